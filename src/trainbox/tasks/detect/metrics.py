"""How well a detector finds things: COCO's average precision, thresholds worth using, and what is taken for what.

Average precision is computed by faster-coco-eval, as pycocotools would. Sources: T. Lin et al., "Microsoft COCO"
(2014), and
its evaluation page: ten overlaps .50 to .95, 101 recall points, sizes split at 32 and 96 pixels squared.
"""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainbox.tasks.detect.matcher import intersection_over_union

SIZES = ("small", "medium", "large")
OVERLAP = 0.5
CONFUSION_SCORE = 0.5
NOTHING_TO_SCORE = -1.0
"""faster-coco-eval's word for a class or size that the pictures do not hold."""


@dataclass(frozen=True)
class Truth:
    """What a picture holds. ``boxes_yxyx`` float (n, 4) normalised, ``classes`` int (n,), ``size`` (height, width)."""

    boxes_yxyx: np.ndarray
    classes: np.ndarray
    size: tuple[int, int]
    crowd: np.ndarray | None = None


@dataclass(frozen=True)
class Detections:
    """What a detector says of a picture, best first: as ``Truth``, with ``scores`` float (n,) in 0..1."""

    boxes_yxyx: np.ndarray
    classes: np.ndarray
    scores: np.ndarray


def score(truths: Sequence[Truth], found: Sequence[Detections], labels: Sequence[str]) -> dict[str, Any]:
    """Return all scores of a detector on pictures, ready for JSON; None where there is nothing to score."""
    evaluation = _evaluate(truths, found, len(labels))
    precision = evaluation.eval["precision"]  # (overlap, recall, class, size, detections)
    stats = [_known(value) for value in evaluation.stats[:6]]
    return {
        "mAP": stats[0],
        "mAP50": stats[1],
        "mAP75": stats[2],
        "mAP_by_size": dict(zip(SIZES, stats[3:6], strict=True)),
        "by_class": {label: _of_class(precision[:, :, k, 0, -1]) for k, label in enumerate(labels)},
        "threshold": {label: best_threshold(truths, found, k) for k, label in enumerate(labels)},
        "confusion": confusion(truths, found, len(labels)).tolist(),
    }


def _of_class(precision: np.ndarray) -> dict[str, Any]:
    """Return average precision and the curve at overlap .5 over 101 recalls, from (overlap, recall)."""
    if (precision < 0).all():
        return {"AP": None, "AP50": None, "precision": []}
    return {
        "AP": float(precision.mean()),
        "AP50": float(precision[0].mean()),
        "precision": [round(float(value), 4) for value in precision[0]],
    }


def _known(value: float) -> float | None:
    return None if value == NOTHING_TO_SCORE else float(value)


def _evaluate(truths: Sequence[Truth], found: Sequence[Detections], classes: int) -> Any:
    from faster_coco_eval import COCO, COCOeval_faster

    with contextlib.redirect_stdout(io.StringIO()):  # It prints its table.
        truth = COCO(_data_set(truths, classes))
        answers = truth.loadRes(_answers(truths, found) or np.zeros((0, 7)))
        evaluation = COCOeval_faster(truth, answers, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def _data_set(truths: Sequence[Truth], classes: int) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for image, truth in enumerate(truths, start=1):
        crowd = np.zeros(len(truth.classes), bool) if truth.crowd is None else truth.crowd
        for box, label, many in zip(_xywh(truth.boxes_yxyx, truth.size), truth.classes, crowd, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(label) + 1,
                    "bbox": box.tolist(),
                    "area": float(box[2] * box[3]),
                    "iscrowd": int(many),
                }
            )
    return {
        "images": [{"id": i, "height": t.size[0], "width": t.size[1]} for i, t in enumerate(truths, start=1)],
        "annotations": annotations,
        "categories": [{"id": k + 1, "name": str(k)} for k in range(classes)],
    }


def _answers(truths: Sequence[Truth], found: Sequence[Detections]) -> list[dict[str, Any]]:
    return [
        {"image_id": image, "category_id": int(label) + 1, "bbox": box.tolist(), "score": float(confidence)}
        for image, (truth, answer) in enumerate(zip(truths, found, strict=True), start=1)
        for box, label, confidence in zip(
            _xywh(answer.boxes_yxyx, truth.size), answer.classes, answer.scores, strict=True
        )
    ]


def _xywh(boxes_yxyx: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return left, top, width, height in pixels: float64 (n, 4)."""
    y_min, x_min, y_max, x_max = np.asarray(boxes_yxyx, np.float64).reshape(-1, 4).T
    return np.stack([x_min * size[1], y_min * size[0], (x_max - x_min) * size[1], (y_max - y_min) * size[0]], axis=-1)


def pair(truth: Truth, answer: Detections, by_class: bool = True) -> np.ndarray:
    """Return for each detection, best first, the index of the box it found, or -1: int64 (n,).

    Each box is found once, by the best-scored detection that overlaps it most, from OVERLAP on.
    """
    overlap = intersection_over_union(np.asarray(answer.boxes_yxyx), np.asarray(truth.boxes_yxyx))
    if by_class:
        overlap = overlap * (answer.classes[:, None] == truth.classes[None, :])
    pairs = np.full(len(answer.classes), -1)
    for index in np.argsort(-answer.scores, kind="stable"):
        if overlap.shape[1] and overlap[index].max() >= OVERLAP:
            pairs[index] = overlap[index].argmax()
            overlap[:, pairs[index]] = 0
    return pairs


def best_threshold(truths: Sequence[Truth], found: Sequence[Detections], label: int) -> dict[str, float] | None:
    """Return the score threshold of the best F1 of one class, with its precision and recall."""
    wanted = sum(int((truth.classes == label).sum()) for truth in truths)
    scores, right = [np.zeros(0)], [np.zeros(0, bool)]
    for truth, answer in zip(truths, found, strict=True):
        chosen = answer.classes == label
        right.append((pair(truth, answer) >= 0)[chosen])
        scores.append(answer.scores[chosen])
    order = np.argsort(-np.concatenate(scores), kind="stable")
    if not wanted or not len(order):
        return None
    hits = np.cumsum(np.concatenate(right)[order])
    precision, recall = hits / np.arange(1, len(order) + 1), hits / wanted
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    best = int(f1.argmax())
    return {
        "threshold": float(np.concatenate(scores)[order][best]),
        "F1": float(f1[best]),
        "precision": float(precision[best]),
        "recall": float(recall[best]),
    }


def confusion(truths: Sequence[Truth], found: Sequence[Detections], classes: int) -> np.ndarray:
    """Return counts (classes + 1, classes + 1): rows what is there, columns what was said, the last one background."""
    counts = np.zeros((classes + 1, classes + 1), int)
    for truth, answer in zip(truths, found, strict=True):
        sure = answer.scores >= CONFUSION_SCORE
        kept = Detections(answer.boxes_yxyx[sure], answer.classes[sure], answer.scores[sure])
        pairs = pair(truth, kept, by_class=False)
        for said, index in zip(kept.classes, pairs, strict=True):
            counts[truth.classes[index] if index >= 0 else classes, said] += 1
        for index in set(range(len(truth.classes))) - set(pairs.tolist()):
            counts[truth.classes[index], classes] += 1
    return counts
