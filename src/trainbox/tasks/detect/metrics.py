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
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
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
    """Return all scores of a detector on pictures, ready for JSON; None where there is nothing to score.

    ``mAP``, ``mAP50``, ``mAP75``, ``mAP_by_size``; ``by_class``: AP, AP50, AP by size, the number of boxes and the
    precision at 101 recalls; ``threshold``: the best of each class, ``best_threshold`` of all together;
    ``by_threshold``: precision, recall and F1 over score thresholds; ``confusion``: counts at each class's best
    threshold.
    """
    evaluation = _evaluate(truths, found, len(labels))
    precision = evaluation.eval["precision"]  # (overlap, recall, class, size, detections)
    stats = [_known(value) for value in evaluation.stats[:6]]
    judged = _judge(truths, found, len(labels))
    best = [judged.best(k) for k in range(len(labels))]
    thresholds = np.array([CONFUSION_SCORE if one is None else one["threshold"] for one in best])
    return {
        "pictures": len(truths),
        "boxes": int(judged.wanted.sum()),
        "mAP": stats[0],
        "mAP50": stats[1],
        "mAP75": stats[2],
        "mAP_by_size": dict(zip(SIZES, stats[3:6], strict=True)),
        "by_class": {
            label: {"boxes": int(judged.wanted[k]), **_of_class(precision[:, :, k, :, -1])}
            for k, label in enumerate(labels)
        },
        "threshold": dict(zip(labels, best, strict=True)),
        "best_threshold": judged.best(),
        "by_threshold": judged.by_threshold(),
        "confusion": confusion(truths, found, len(labels), thresholds).tolist(),
    }


def _of_class(precision: np.ndarray) -> dict[str, Any]:
    """Return average precision and the curve at overlap .5 over 101 recalls, from (overlap, recall, size)."""
    everything = precision[:, :, 0]
    return {
        "AP": _mean(everything),
        "AP50": _mean(everything[0]),
        "AP_by_size": {size: _mean(precision[:, :, number]) for number, size in enumerate(SIZES, start=1)},
        "precision": [] if _mean(everything) is None else [round(float(value), 4) for value in everything[0]],
    }


def _mean(precision: np.ndarray) -> float | None:
    return None if (precision < 0).all() else float(precision.mean())


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
        boxes = _xywh(truth.boxes_yxyx, truth.size)
        for box, label, many in zip(boxes, truth.classes, _crowd(truth), strict=True):
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

    Each box is found once, by the best-scored detection that overlaps it most, from OVERLAP on; a crowd's is found by
    any number.
    """
    overlap = intersection_over_union(np.asarray(answer.boxes_yxyx), np.asarray(truth.boxes_yxyx))
    if by_class:
        overlap = overlap * (answer.classes[:, None] == truth.classes[None, :])
    crowd = _crowd(truth)
    pairs = np.full(len(answer.classes), -1)
    for index in np.argsort(-answer.scores, kind="stable"):
        if overlap.shape[1] and overlap[index].max() >= OVERLAP:
            pairs[index] = overlap[index].argmax()
            if not crowd[pairs[index]]:
                overlap[:, pairs[index]] = 0
    return pairs


def _crowd(truth: Truth) -> np.ndarray:
    return np.zeros(len(truth.classes), bool) if truth.crowd is None else np.asarray(truth.crowd, bool)


@dataclass(frozen=True)
class _Judged:
    """All detections, best first: ``scores`` (n,), ``classes`` (n,), ``right`` (n,); ``wanted`` boxes by class."""

    scores: np.ndarray
    classes: np.ndarray
    right: np.ndarray
    wanted: np.ndarray

    def best(self, label: int | None = None) -> dict[str, float] | None:
        """Return the threshold of the best F1 of one class, or of all; None where nothing was found."""
        mine = np.ones(len(self.classes), bool) if label is None else self.classes == label
        wanted = self.wanted.sum() if label is None else self.wanted[label]
        scores, hits = self.scores[mine], np.cumsum(self.right[mine])
        if not wanted or not len(hits) or not hits[-1]:
            return None
        precision, recall = hits / np.arange(1, len(hits) + 1), hits / wanted
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
        # Of equal scores, as integers give many, a threshold takes all or none.
        best = int(np.where(np.append(scores[1:] != scores[:-1], True), f1, -1).argmax())
        return {
            "threshold": float(scores[best]),
            "F1": float(f1[best]),
            "precision": float(precision[best]),
            "recall": float(recall[best]),
        }

    def by_threshold(self) -> dict[str, list[float | None]]:
        """Return precision, recall and F1 of all classes together at THRESHOLDS."""
        told = [int((self.scores >= threshold).sum()) for threshold in THRESHOLDS]
        hits = [int(self.right[:count].sum()) for count in told]
        wanted = int(self.wanted.sum())
        return {
            "threshold": list(THRESHOLDS),
            "precision": [_share(hit, count) for hit, count in zip(hits, told, strict=True)],
            "recall": [_share(hit, wanted) for hit in hits],
            "F1": [_share(2 * hit, count + wanted) for hit, count in zip(hits, told, strict=True)],
        }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _judge(truths: Sequence[Truth], found: Sequence[Detections], classes: int) -> _Judged:
    """Tell right detections from wrong ones, by class; those of a crowd are neither, and not among them."""
    scores, labels, right = [np.zeros(0)], [np.zeros(0, np.int64)], [np.zeros(0, bool)]
    wanted = np.zeros(classes, np.int64)
    for truth, answer in zip(truths, found, strict=True):
        crowd = _crowd(truth)
        np.add.at(wanted, truth.classes[~crowd], 1)
        pairs = pair(truth, answer)
        counted = ~np.append(crowd, False)[pairs]
        scores.append(answer.scores[counted])
        labels.append(answer.classes[counted])
        right.append(pairs[counted] >= 0)
    together = np.concatenate(scores)
    order = np.argsort(-together, kind="stable")
    return _Judged(together[order], np.concatenate(labels)[order], np.concatenate(right)[order], wanted)


def best_threshold(truths: Sequence[Truth], found: Sequence[Detections], label: int) -> dict[str, float] | None:
    """Return the score threshold of the best F1 of one class, with its precision and recall."""
    return _judge(truths, found, label + 1 + max((int(t.classes.max(initial=0)) for t in truths), default=0)).best(
        label
    )


def surest(answer: Detections, thresholds: np.ndarray | float) -> Detections:
    """Return the detections that reach their class's threshold: ``thresholds`` (classes,), or one for all."""
    least = np.asarray(thresholds, np.float64)
    sure = answer.scores >= (least[answer.classes.astype(np.int64)] if least.ndim else least)
    return Detections(answer.boxes_yxyx[sure], answer.classes[sure], answer.scores[sure])


def confusion(
    truths: Sequence[Truth],
    found: Sequence[Detections],
    classes: int,
    thresholds: np.ndarray | float = CONFUSION_SCORE,
) -> np.ndarray:
    """Return counts (classes + 1, classes + 1): rows what is there, columns what was said, the last one background.

    Detections below their class's threshold count as not said, boxes of crowds as not there.
    """
    counts = np.zeros((classes + 1, classes + 1), int)
    for truth, answer in zip(truths, found, strict=True):
        kept, crowd = surest(answer, thresholds), _crowd(truth)
        pairs = pair(truth, kept, by_class=False)
        for said, index in zip(kept.classes, pairs, strict=True):
            if index < 0 or not crowd[index]:
                counts[truth.classes[index] if index >= 0 else classes, said] += 1
        for index in set(np.flatnonzero(~crowd).tolist()) - set(pairs.tolist()):
            counts[truth.classes[index], classes] += 1
    return counts
