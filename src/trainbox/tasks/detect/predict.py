"""Ask a finished detector what it sees, as a phone would: one picture in, boxes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from trainbox.data.images import decode_resized, decode_rgb
from trainbox.errors import ModelFileError, UsageError
from trainbox.tasks.detect.metrics import CONFUSION_SCORE, Detections, surest
from trainbox.tasks.detect.scoring import FLOAT_FILE, detections

if TYPE_CHECKING:
    from trainbox.export.bundle import Bundle
    from trainbox.export.runtimes import OpenModel

INPUT = "image"
MOST_SAID = 8


def open_predictor(bundle: "Bundle", threshold: float | None = None) -> "DetectPredictor":
    """Open a bundle's detector in LiteRT.

    It answers with what reaches its class's best threshold, or ``threshold`` where given. Raise ModelFileError for a
    bundle of another task, UsageError for a threshold that no score can have.
    """
    from trainbox.export.runtimes import open_model

    manifest = bundle.manifest
    if manifest.get("task") != "detect":
        raise ModelFileError(f"Bundle {bundle.folder} is of task '{manifest.get('task')}', not 'detect'.")
    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(f"A threshold is a score from 0 to 1. Received: {threshold}.")
    path = bundle.file(FLOAT_FILE)
    height, width = manifest["models"][FLOAT_FILE]["inputs"][INPUT][1:3]
    least = thresholds_of(manifest) if threshold is None else threshold
    return DetectPredictor(open_model(path), tuple(manifest["labels"]), (int(height), int(width)), least)


@dataclass(frozen=True)
class DetectPredictor:
    """A detector to be asked: ``model`` sees pictures of ``size`` (height, width) and knows ``labels``.

    ``thresholds`` are the least scores of what it answers: float (classes,), or one for all.
    """

    model: "OpenModel"
    labels: tuple[str, ...]
    size: tuple[int, int]
    thresholds: np.ndarray | float

    def find(self, content: bytes) -> tuple[tuple[int, int], Detections]:
        """Return an image file's (height, width) as shown, and what is found in it; raise UnreadableImage."""
        from trainbox.tasks.detect.examples import as_fed

        pixels, shown = decode_resized(content, self.size)
        found = detections(self.model({INPUT: as_fed(pixels[None])}), None)
        return shown, surest(found[0], self.thresholds)

    def predict(self, content: bytes) -> dict[str, Any]:
        """Return ``{"width", "height", "detections"}`` for an image file's bytes, best first; raise UnreadableImage.

        Each detection has its ``label``, its ``score`` and its ``box``: ``left``, ``top``, ``right``, ``bottom`` in
        pixels of the picture as it is shown.
        """
        shown, found = self.find(content)
        return worded(found, shown, self.labels)

    def say(self, answer: Mapping[str, Any]) -> str:
        """Return what was found in words."""
        return say(answer)

    def draw(self, content: bytes, answer: Mapping[str, Any]) -> np.ndarray:
        """Return the picture with its boxes, the best on top: uint8 (h, w, 3)."""
        return draw(content, answer, self.labels)


def say(answer: Mapping[str, Any]) -> str:
    """Return what was found in words."""
    found = answer["detections"]
    said = [f"{one['label']} {one['score']:.2f} at {_corners(one['box'])}" for one in found[:MOST_SAID]]
    if len(found) > MOST_SAID:
        said.append(f"and {len(found) - MOST_SAID} more")
    return "; ".join(said) or "nothing found"


def draw(content: bytes, answer: Mapping[str, Any], labels: Sequence[str]) -> np.ndarray:
    """Return an image file's picture with its boxes, the best on top: uint8 (h, w, 3)."""
    from trainbox.tasks.detect.draw import colour_of, draw_boxes

    found = list(reversed(answer["detections"]))
    size = np.array([answer["height"], answer["width"]] * 2)
    boxes = np.array([[one["box"][edge] for edge in ("top", "left", "bottom", "right")] for one in found])
    captions = [f"{one['label']} {one['score']:.2f}" for one in found]
    # Where the labels are not known, as of an endpoint, each still has a colour of its own in every picture.
    numbers = [labels.index(name) if (name := one["label"]) in labels else crc32(name.encode()) for one in found]
    colours = [colour_of(number) for number in numbers]
    return draw_boxes(decode_rgb(content)[0], boxes.reshape(-1, 4) / size, captions, colours)


def worded(found: Detections, shown: tuple[int, int], labels: Sequence[str]) -> dict[str, Any]:
    """Return what was found in a picture of ``shown`` (height, width), ready for JSON: see ``predict``."""
    height, width = shown
    answers = zip(found.boxes_yxyx.tolist(), found.classes.tolist(), found.scores.tolist(), strict=True)
    return {
        "width": width,
        "height": height,
        "detections": [
            {"label": labels[label], "score": round(score, 4), "box": _in_pixels(box, height, width)}
            for box, label, score in answers
        ],
    }


def thresholds_of(manifest: Mapping[str, Any]) -> np.ndarray:
    """Return the best score threshold of each class, as training measured it: float64 (classes,)."""
    metrics = manifest.get("metrics") or {}
    best = metrics["files"][metrics["scored_file"]]["threshold"] if metrics else {}
    known = [best.get(label) for label in manifest["labels"]]
    return np.array([CONFUSION_SCORE if one is None else one["threshold"] for one in known], np.float64)


def _in_pixels(box: list[float], height: int, width: int) -> dict[str, float]:
    top, left, bottom, right = box
    edges = {"left": left * width, "top": top * height, "right": right * width, "bottom": bottom * height}
    return {name: round(value, 1) for name, value in edges.items()}


def _corners(box: Mapping[str, float]) -> str:
    return f"{box['left']:.0f},{box['top']:.0f} to {box['right']:.0f},{box['bottom']:.0f}"
