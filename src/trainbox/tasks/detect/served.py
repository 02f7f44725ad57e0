"""A detector that answers strangers: what ``predict`` says, by a shorter way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainbox.data.images import decode_resized
from trainbox.errors import ModelFileError
from trainbox.export.detection_ending import OUTPUTS
from trainbox.export.litert import Interpreter
from trainbox.tasks.detect.metrics import Detections, surest
from trainbox.tasks.detect.predict import INPUT, thresholds_of, worded
from trainbox.tasks.detect.scoring import detections
from trainbox.tasks.detect.service import ANNOTATION, LABELS

if TYPE_CHECKING:
    from trainbox.export.bundle import Bundle

HALF_RANGE = np.float32(127.5)
DIGITS = 6


@dataclass(frozen=True)
class Seen:
    """A picture as the network is fed it, uint8 (height, width, 3), and its own (height, width) as it is shown."""

    pixels: np.ndarray
    shown: tuple[int, int]


@dataclass(frozen=True)
class Found:
    """What was found in a picture of ``shown`` (height, width)."""

    detections: Detections
    shown: tuple[int, int]


class ServedDetector:
    """A detector's ``.tflite`` in one interpreter. See ``trainbox.tasks.Served`` for what each method is."""

    in_order = False

    def __init__(self, bundle: "Bundle", file: str) -> None:
        self._labels = tuple(bundle.manifest["labels"])
        self._thresholds = thresholds_of(bundle.manifest)
        self._interpreter = Interpreter(bundle.file(file))
        if list(self._interpreter.inputs) != [INPUT] or set(self._interpreter.outputs) != set(OUTPUTS):
            ends = f"{list(self._interpreter.inputs)} and {list(self._interpreter.outputs)}"
            raise ModelFileError(f"{file} is no detector's. Received inputs and outputs {ends}. Export it again.")
        self._fed = self._interpreter.tensor(INPUT)
        _, self._height, self._width, _ = self._interpreter.shapes[INPUT]
        self._integers = self._interpreter.kinds[INPUT] is np.uint8

    def forget(self) -> None:
        """Do nothing: pictures know nothing of each other."""

    def see(self, content: bytes) -> Seen:
        """Decode a picture; raise UnreadableImage."""
        return Seen(*decode_resized(content, (self._height, self._width)))

    def answer(self, seen: Seen, threshold: float | None) -> Found:
        """Return what reaches the threshold, that of training for each class where None, best first."""
        if self._integers:
            self._fed()[0] = seen.pixels
        else:  # to the last bit what ``examples.as_fed`` makes of them, without a copy
            np.divide(seen.pixels, HALF_RANGE, out=self._fed()[0], dtype=np.float32)
            np.subtract(self._fed(), np.float32(1), out=self._fed())
        self._interpreter.invoke()
        answers = {name: self._interpreter.output(name) for name in OUTPUTS}
        least = self._thresholds if threshold is None else threshold
        return Found(surest(detections(answers, None)[0], least), seen.shown)

    def word(self, answer: Found, wording: str) -> Mapping[str, Any]:
        """Return what was found as one of ``service.WORDINGS``."""
        if wording == LABELS:
            return worded(answer.detections, answer.shown, self._labels)
        rows = zip(*(part.tolist() for part in _parts(answer.detections)), strict=True)
        if wording == ANNOTATION:
            return _annotations(rows, *answer.shown)
        return {
            "prediction": [
                [label, round(score, DIGITS), *(round(edge, DIGITS) for edge in (left, top, right, bottom))]
                for label, score, (top, left, bottom, right) in rows
            ]
        }


def _parts(found: Detections) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return found.classes, found.scores, found.boxes_yxyx


def _annotations(rows: Any, height: int, width: int) -> dict[str, Any]:
    return {
        "image_size": [{"width": width, "height": height, "depth": 3}],
        "annotations": [
            {
                "class_id": label,
                "score": round(score, DIGITS),
                "left": round(left * width, 1),
                "top": round(top * height, 1),
                "width": round((right - left) * width, 1),
                "height": round((bottom - top) * height, 1),
            }
            for label, score, (top, left, bottom, right) in rows
        ],
    }
