from typing import Any

import numpy as np
import pytest

from export.detector import CLASSES, ending
from trainbox.errors import ProofError
from trainbox.export.detection_ending import detect
from trainbox.export.detection_proof import compare

Answers = dict[str, np.ndarray]


@pytest.fixture
def network() -> Answers:
    random = np.random.default_rng(3)
    return {
        "encodings": random.normal(0, 1, (3, 160, 4)).astype(np.float32),
        "scores": random.uniform(0, 0.9, (3, 160, CLASSES)).astype(np.float32),
    }


ROOM = ending(maximum_detections=400)
"""More detections fit than there are."""


def proof(network: Answers, received: Answers, tolerance: float | None = 1e-4) -> Any:
    return compare(network, received, ROOM, "model.tflite", tolerance)


def largest(network: Answers, received: Answers, tolerance: float | None = 1e-4) -> float:
    return float(max(proof(network, received, tolerance)["differences"].values()))


def test_the_same_detections_do_not_differ(network: Answers) -> None:
    said = proof(network, detect(*network.values(), ROOM))
    assert said["differences"] == {"detection_boxes": 0.0, "detection_scores": 0.0}
    assert said["detections"]["expected"] == said["detections"]["received"] > 100


@pytest.mark.parametrize("tolerance", [1e-4, None])
@pytest.mark.parametrize(
    ("name", "place", "change", "differs"),
    [
        ("detection_boxes", (1, 3, 2), 0.01, 0.01),
        ("detection_scores", (2, 5), -0.02, 0.02),
        ("detection_classes", (0, 0), 1.0, 0.1),
    ],
)
def test_a_detection_that_is_off_is_seen(
    network: Answers, name: str, place: Any, change: float, differs: float, tolerance: float | None
) -> None:
    received = detect(*network.values(), ROOM)
    received[name][place] = (
        (received[name][place] + change) % CLASSES if "classes" in name else received[name][place] + change
    )
    assert largest(network, received, tolerance) >= differs * 0.9


def test_a_missing_and_a_needless_detection_are_seen(network: Answers) -> None:
    received = detect(*network.values(), ROOM)
    count = int(received["num_detections"][1])
    names = ("detection_boxes", "detection_classes", "detection_scores")
    missing = {name: np.array(array) for name, array in received.items()}
    for name in names:
        missing[name][1, : count - 1] = received[name][1, 1:count]
    missing["num_detections"][1] -= 1
    assert largest(network, missing) > 0.85 - ROOM.score_threshold  # the best is not there
    for name in names:
        received[name][1, count] = received[name][1, 0]
    received["num_detections"][1] += 1
    assert largest(network, received) > 0.3  # the best is there twice: it overlaps itself


def test_where_no_more_are_listed_what_scores_as_the_last_may_come_or_go(network: Answers) -> None:
    full = ending(maximum_detections=5)
    received = detect(*network.values(), full)
    sixth = detect(*network.values(), ending(maximum_detections=6))
    for name in ("detection_boxes", "detection_classes", "detection_scores"):
        received[name][:, 4] = sixth[name][:, 5]
    said = compare(network, received, full, "model.tflite", None)
    gap = float((sixth["detection_scores"][:, 4] - sixth["detection_scores"][:, 5]).max())
    assert said["differences"] == {"detection_boxes": 0.0, "detection_scores": pytest.approx(gap)}


def test_of_two_boxes_of_the_same_score_either_may_be_kept(network: Answers) -> None:
    """Rounding decides between them, and another one in each runtime."""
    network["encodings"][:] = 0
    network["scores"][:] = 0
    network["scores"][:, [0, 1], 0] = [[0.8, 0.8 - 1e-7]]
    other = {name: array.copy() for name, array in network.items()}
    other["scores"][:, [0, 1], 0] = [[0.8 - 1e-7, 0.8]]
    settings = {"iou_threshold": 0.3}
    received = detect(*other.values(), ending(**settings))
    assert received["num_detections"].tolist() == [1, 1, 1]
    assert not np.allclose(
        received["detection_boxes"], detect(*network.values(), ending(**settings))["detection_boxes"]
    )
    said = compare(network, received, ending(**settings), "model.tflite", 1e-4)
    assert max(said["differences"].values()) < 1e-6
    received["detection_boxes"] += 0.01
    said = compare(network, received, ending(**settings), "model.tflite", 1e-4)
    assert max(said["differences"].values()) > 0.009


def test_what_scores_at_the_threshold_may_come_or_go(network: Answers) -> None:
    network["scores"][:] = 0
    network["scores"][:, 7, 1] = 0.3 + 1e-6
    other = {"encodings": network["encodings"], "scores": network["scores"] - 2e-6}
    assert detect(*other.values(), ROOM)["num_detections"].tolist() == [0, 0, 0]
    assert largest(network, detect(*other.values(), ROOM)) < 1e-5


def test_other_outputs_are_no_detections(network: Answers) -> None:
    received = detect(*network.values(), ROOM)
    with pytest.raises(ProofError, match="gives the outputs detection_classes, detection_boxes"):
        proof(network, {name: received[name] for name in ("detection_classes", "detection_boxes")})
    with pytest.raises(ProofError, match=r"'detection_boxes' has shape \(3, 10, 4\)"):
        proof(network, {**received, "detection_boxes": received["detection_boxes"][:, :10]})
    off_by_one = {**received, "detection_classes": received["detection_classes"] + 1}
    with pytest.raises(ProofError, match="finds classes 1 to 3; there are 0 to 2"):
        proof(network, off_by_one)
    received["detection_scores"][0, 0] = np.nan
    with pytest.raises(ProofError, match="'detection_scores' is not finite"):
        proof(network, received)
