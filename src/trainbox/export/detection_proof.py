"""Comparing the detections of a file with those of the network, picture by picture, detection by detection."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainbox.errors import ProofError
from trainbox.export.detection_ending import OUTPUTS, DetectionEnding, decode, detect, overlaps

SAME_OBJECT = 0.5
"""Boxes of a class that overlap by less are not the same detection."""


@dataclass(frozen=True)
class Gap:
    """How far the detections of two answers to a picture are apart.

    ``boxes``: largest difference of a corner, as a share of a side; ``scores``: largest difference of a score, where a
    detection that one of them lacks counts by what its score stands above the least that would be listed.
    """

    boxes: float = 0.0
    scores: float = 0.0

    @property
    def largest(self) -> float:
        """The larger of the two."""
        return max(self.boxes, self.scores)


def compare(
    network: Mapping[str, np.ndarray],
    received: Mapping[str, np.ndarray],
    ending: DetectionEnding,
    file: str,
    tolerance: float | None,
) -> dict[str, Any]:
    """Return what the proof says of a file's detections: ``differences``, and how many were ``expected`` and received.

    ``network`` are the answers that the ending is computed from, encodings first and scores second. A picture that
    differs by more than ``tolerance`` is looked at again, since of two boxes of the same score either may be kept.
    Raise ProofError where the outputs are not those of a detector, or not finite.
    """
    encodings, scores = network.values()
    expected = detect(encodings, scores, ending)
    _check_outputs(expected, received, ending.classes, file)
    boxes = decode(encodings, ending)
    gaps = []
    for picture in range(len(scores)):
        given = one_picture(received, picture)
        gap = difference(one_picture(expected, picture), given, ending)
        if tolerance is not None and gap.largest > tolerance:
            gap = min(gap, soundness(boxes[picture], scores[picture], given, ending, tolerance), key=_largest)
        gaps.append(gap)
    return {
        "differences": {
            "detection_boxes": max(gap.boxes for gap in gaps),
            "detection_scores": max(gap.scores for gap in gaps),
        },
        "detections": {
            "expected": int(expected["num_detections"].sum()),
            "received": int(received["num_detections"].sum()),
        },
    }


Found = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Boxes (m, 4), classes (m,) and scores (m,) of one picture, best first."""


def one_picture(answers: Mapping[str, np.ndarray], picture: int) -> Found:
    """Return what was found in one picture, without the empty places behind it."""
    boxes, classes, scores, count = (answers[name][picture] for name in OUTPUTS)
    found = int(count)
    return boxes[:found], classes[:found], scores[:found]


def difference(expected: Found, received: Found, ending: DetectionEnding) -> Gap:
    """Match each detection with the one of its class that it overlaps most, and return the largest differences."""
    pairs = _pairs(expected, received)
    boxes = [float(np.abs(expected[0][i] - received[0][j]).max()) for i, j in pairs]
    scores = [abs(float(expected[2][i] - received[2][j])) for i, j in pairs]
    ours, theirs = {i for i, _ in pairs}, {j for _, j in pairs}
    lone = _above(expected, ours, _floors(received, ending)) + _above(received, theirs, _floors(expected, ending))
    return Gap(max(boxes, default=0.0), max([*scores, *lone, 0.0]))


def soundness(boxes: np.ndarray, scores: np.ndarray, received: Found, ending: DetectionEnding, tolerance: float) -> Gap:
    """Return how far ``received`` is from some right choice among the network's boxes (n, 4) and scores (n, classes).

    A right choice lists boxes of the network with their scores, none of which overlap too much, and leaves out only
    what overlaps something better or scores too little.
    """
    chosen, classes, values = received
    gaps = [_nearest(boxes, scores[:, int(number)], box, value) for box, number, value in zip(*received, strict=True)]
    together = np.triu(overlaps(chosen[:, None], chosen), 1)
    rival = np.ones((len(classes), ending.classes), bool)
    if ending.regular_nms:
        together[classes[:, None] != classes] = 0
        rival = classes[:, None] == np.arange(ending.classes)
    excess = max(0.0, float(together.max(initial=0)) - ending.iou_threshold)
    shares = overlaps(chosen[:, None], boxes) > ending.iou_threshold - tolerance
    better = values[:, None, None] >= scores[None] - tolerance
    covered = (shares[:, :, None] & better & rival[:, None]).any(axis=0)
    taken = (np.abs(chosen[:, None] - boxes).max(axis=-1) <= tolerance)[:, :, None] & rival[:, None]
    missing = np.where(covered | taken.any(axis=0), 0, scores - _floors(received, ending))
    return Gap(max([excess, *(gap.boxes for gap in gaps)]), max([float(missing.max()), *(gap.scores for gap in gaps)]))


def _nearest(boxes: np.ndarray, scores: np.ndarray, box: np.ndarray, score: float) -> Gap:
    """Return how far a detection is from that of the network's boxes which is nearest in place and score."""
    gaps = np.abs(boxes - box).max(axis=-1), np.abs(scores - score)
    best = np.maximum(*gaps).argmin()
    return Gap(float(gaps[0][best]), float(gaps[1][best]))


def _pairs(expected: Found, received: Found) -> list[tuple[int, int]]:
    """Pair what overlaps most, best pairs first, each detection once."""
    shares = overlaps(expected[0][:, None], received[0])
    shares[expected[1][:, None] != received[1]] = 0
    pairs = []
    while shares.size and shares.max() > SAME_OBJECT:
        i, j = divmod(int(shares.argmax()), shares.shape[1])
        pairs.append((i, j))
        shares[i], shares[:, j] = 0, 0
    return pairs


def _floors(found: Found, ending: DetectionEnding) -> np.ndarray:
    """Return the score from which on a further detection would have been listed, of each class."""
    _, classes, scores = found
    full = len(scores) == ending.maximum_detections
    floors = np.full(ending.classes, max(ending.score_threshold, float(scores.min()) if full else 0.0))
    for number in range(ending.classes) if ending.regular_nms else ():
        alike = scores[classes == number]
        if len(alike) == ending.detections_per_class:
            floors[number] = max(floors[number], float(alike.min()))
    return floors


def _above(found: Found, paired: set[int], floors: np.ndarray) -> list[float]:
    """Return by how much each detection that is not among ``paired`` stands above what would be listed."""
    lone = (i for i in range(len(found[2])) if i not in paired)
    return [float(found[2][i] - floors[int(found[1][i])]) for i in lone]


def _check_outputs(
    expected: Mapping[str, np.ndarray], received: Mapping[str, np.ndarray], classes: int, file: str
) -> None:
    if tuple(received) != OUTPUTS:
        raise ProofError(f"{file} gives the outputs {', '.join(received)}; a detector's are {', '.join(OUTPUTS)}.")
    for name, wanted in expected.items():
        if received[name].shape != wanted.shape:
            raise ProofError(f"{file}: '{name}' has shape {received[name].shape}, not {wanted.shape}.")
        if not np.isfinite(received[name]).all():
            raise ProofError(f"{file}: output '{name}' is not finite for some validation input.")
    numbers = received["detection_classes"]
    if not ((numbers >= 0) & (numbers < classes)).all():
        raise ProofError(f"{file} finds classes {numbers.min():g} to {numbers.max():g}; there are 0 to {classes - 1}.")


def _largest(gap: Gap) -> float:
    return gap.largest
