"""What a detector's files end in: anchors and scores turned into the few boxes that are left.

The word for it is TensorFlow Lite's, whose operator ``TFLite_Detection_PostProcess`` phones and robots know. Here are
its settings, and the same computed with NumPy: what every file is compared with.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from trainbox.errors import ExportError

OPERATOR = "TFLite_Detection_PostProcess"

OUTPUTS = ("detection_boxes", "detection_classes", "detection_scores", "num_detections")
"""Names of the outputs in the operator's order, by which clients index them."""

Detected = dict[str, np.ndarray]
"""The outputs by name, float32: boxes (b, N, 4) yxyx as shares of the picture's sides, classes (b, N) from 0, scores
(b, N), count (b,). What stands behind the count is 0."""


@dataclass(frozen=True, eq=False)
class DetectionEnding:
    """How encodings (b, n, 4) and scores (b, n, classes) become detections.

    ``anchors_cyxhw``: float32 (n, 4), centre y, centre x, height, width as shares of the picture's sides.
    ``labels``: class names in order, none for a background. Of boxes that overlap by more than ``iou_threshold`` the
    best is kept: of each class (``regular_nms``), or whatever their class. ``scales`` are what the box coder multiplied
    ty, tx, th, tw by. Raise ExportError where these do not fit together.
    """

    anchors_cyxhw: np.ndarray
    classes: int
    labels: tuple[str, ...] = ()
    maximum_detections: int = 100
    score_threshold: float = 0.01
    iou_threshold: float = 0.6
    regular_nms: bool = True
    detections_per_class: int = 100
    scales: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)

    def __post_init__(self) -> None:
        shape = np.shape(self.anchors_cyxhw)
        if len(shape) != 2 or shape[1] != 4:
            raise ExportError(f"Anchors of a detector are (n, 4). Received: shape {shape}.")
        if self.labels and len(self.labels) != self.classes:
            raise ExportError(f"A detector of {self.classes} classes has {len(self.labels)} labels. Give one for each.")
        if min(self.classes, self.maximum_detections, self.detections_per_class) < 1:
            raise ExportError("A detector needs at least one class and one detection. Received less.")
        if not 0 < self.iou_threshold <= 1:
            raise ExportError(f"iou_threshold is more than 0 and at most 1. Received: {self.iou_threshold}.")
        object.__setattr__(self, "anchors_cyxhw", np.ascontiguousarray(self.anchors_cyxhw, dtype=np.float32))

    def settings(self) -> dict[str, Any]:
        """Return all but the anchors, as JSON can say it."""
        return {
            "classes": self.classes,
            "labels": list(self.labels),
            "maximum_detections": self.maximum_detections,
            "score_threshold": self.score_threshold,
            "iou_threshold": self.iou_threshold,
            "regular_nms": self.regular_nms,
            "detections_per_class": self.detections_per_class,
            "scales": list(self.scales),
        }

    def attributes(self) -> dict[str, bool | int | float]:
        """Return the attributes of TensorFlow Lite's operator."""
        scales = dict(zip(("y_scale", "x_scale", "h_scale", "w_scale"), map(float, self.scales), strict=True))
        return {
            "max_detections": self.maximum_detections,
            "max_classes_per_detection": 1,
            "detections_per_class": self.detections_per_class,
            "use_regular_nms": self.regular_nms,
            "nms_score_threshold": float(self.score_threshold),
            "nms_iou_threshold": float(self.iou_threshold),
            "num_classes": self.classes,
            **scales,
        }

    @classmethod
    def of(cls, settings: Mapping[str, Any], anchors_cyxhw: np.ndarray) -> Self:
        """Return the ending of ``settings()`` and anchors."""
        plain = {**settings, "labels": tuple(settings["labels"]), "scales": tuple(settings["scales"])}
        return cls(anchors_cyxhw, **plain)


def detect(encodings: np.ndarray, scores: np.ndarray, ending: DetectionEnding) -> Detected:
    """Return the detections in what a network answers, best first, as the operator of TensorFlow Lite would.

    ``encodings``: float (b, n, 4) as ty, tx, th, tw times the scales; ``scores``: float (b, n, classes), 0 to 1,
    without a background. Raise ExportError where these do not fit the anchors or the classes.
    """
    count = len(ending.anchors_cyxhw)
    if np.shape(encodings)[1:] != (count, 4) or np.shape(scores)[1:] != (count, ending.classes):
        raise ExportError(
            f"Encodings {np.shape(encodings)} and scores {np.shape(scores)} do not fit {count} anchors and "
            f"{ending.classes} classes. Take the ending that belongs to the network."
        )
    boxes = decode(encodings, ending)
    found = _nothing(len(boxes), ending.maximum_detections)
    select = _best_of_each_class if ending.regular_nms else _best_of_all
    for picture, (corners, values) in enumerate(zip(boxes, np.asarray(scores, np.float32), strict=True)):
        rows, classes = select(corners, values, ending)
        number = len(rows)
        found["detection_boxes"][picture, :number] = corners[rows]
        found["detection_classes"][picture, :number] = classes
        found["detection_scores"][picture, :number] = values[rows, classes]
        found["num_detections"][picture] = number
    return found


def decode(encodings: np.ndarray, ending: DetectionEnding) -> np.ndarray:
    """Return boxes yxyx, float32 (b, n, 4), not clipped: in float64 up to the corners, as the operator does it."""
    codes = np.asarray(encodings, np.float64) / np.array(ending.scales)
    anchors = ending.anchors_cyxhw.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        centres = (codes[..., :2] * anchors[:, 2:] + anchors[:, :2]).astype(np.float32)
        halves = (0.5 * np.exp(codes[..., 2:]) * anchors[:, 2:]).astype(np.float32)
        return np.concatenate([centres - halves, centres + halves], axis=-1)


def overlaps(box_yxyx: np.ndarray, boxes_yxyx: np.ndarray) -> np.ndarray:
    """Return intersection over union of one box (4,), or of boxes (m, 1, 4), with boxes (n, 4); 0 for empty boxes."""
    low = np.maximum(box_yxyx[..., :2], boxes_yxyx[..., :2])
    high = np.minimum(box_yxyx[..., 2:], boxes_yxyx[..., 2:])
    both = np.prod(np.maximum(high - low, 0), axis=-1)
    one, other = _areas(box_yxyx), _areas(boxes_yxyx)
    either = one + other - both
    return np.divide(both, either, out=np.zeros_like(both), where=(one > 0) & (other > 0) & (either > 0))


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _nothing(pictures: int, most: int) -> Detected:
    shapes = ((pictures, most, 4), (pictures, most), (pictures, most), (pictures,))
    return {name: np.zeros(shape, np.float32) for name, shape in zip(OUTPUTS, shapes, strict=True)}


def _best_of_each_class(
    boxes: np.ndarray, scores: np.ndarray, ending: DetectionEnding
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and classes of the boxes kept, each class by itself.

    All classes go in one descent through the scores, which ends with the last box that can be among the best; class by
    class, all of each class would be compared.
    """
    rows, classes = np.nonzero(scores >= ending.score_threshold)
    order = np.argsort(-scores[rows, classes], kind="stable")
    rows, classes = rows[order], classes[order]
    places = {number: np.flatnonzero(classes == number) for number in np.unique(classes).tolist()}
    alive, kept, per_class = np.ones(len(rows), bool), [], Counter[int]()
    for place, number in enumerate(classes.tolist()):
        if not alive[place] or per_class[number] == ending.detections_per_class:
            continue
        kept.append(place)
        per_class[number] += 1
        if len(kept) == ending.maximum_detections:
            break
        rivals = places[number][alive[places[number]]]
        alive[rivals[overlaps(boxes[rows[place]], boxes[rows[rivals]]) > ending.iou_threshold]] = False
    return rows[kept], classes[kept]


def _best_of_all(boxes: np.ndarray, scores: np.ndarray, ending: DetectionEnding) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and classes of the boxes kept, each box for the class that it scores highest in."""
    classes = scores.argmax(axis=1)
    alone = scores.max(axis=1, keepdims=True)
    any_class = DetectionEnding.of(
        {**ending.settings(), "classes": 1, "labels": [], "detections_per_class": ending.maximum_detections},
        ending.anchors_cyxhw,
    )
    rows, _ = _best_of_each_class(boxes, alone, any_class)
    return rows, classes[rows]
