import time
from typing import Any

import numpy as np
import pytest

from export.detector import CLASSES, anchors, ending
from trainbox.errors import ExportError
from trainbox.export.detection_ending import OUTPUTS, DetectionEnding, decode, detect, overlaps

SQUARES = np.array([[0.5, 0.5, 0.2, 0.2], [0.5, 0.51, 0.2, 0.2], [0.2, 0.2, 0.2, 0.2]], np.float32)
"""The second overlaps the first by 0.9; the third stands apart."""


def found(scores: list[list[float]], **settings: Any) -> list[tuple[int, float]]:
    """Return class and score of what is found at SQUARES."""
    chosen = DetectionEnding(SQUARES, len(scores[0]), **settings)
    answers = detect(np.zeros((1, 3, 4)), np.array([scores]), chosen)
    count = int(answers["num_detections"][0])
    assert not any(answers[name][0, count:].any() for name in OUTPUTS[:3])
    return [
        (int(number), round(float(score), 4))
        for number, score in zip(answers["detection_classes"][0], answers["detection_scores"][0], strict=True)
    ][:count]


def test_of_boxes_that_overlap_the_best_is_kept() -> None:
    assert found([[0.7], [0.9], [0.8]]) == [(0, 0.9), (0, 0.8)]


def test_boxes_of_other_classes_may_overlap_but_in_the_fast_way_not() -> None:
    scores = [[0.7, 0.1], [0.2, 0.9], [0.8, 0.05]]
    assert found(scores, score_threshold=0.15) == [(1, 0.9), (0, 0.8), (0, 0.7)]
    assert found(scores, score_threshold=0.15, regular_nms=False) == [(1, 0.9), (0, 0.8)]


def test_a_score_at_the_threshold_counts() -> None:
    assert found([[0.25], [0.0], [0.125]], score_threshold=0.25) == [(0, 0.25)]


def test_the_number_is_limited_in_all_and_of_each_class() -> None:
    scores = [[0.7, 0.6], [0.0, 0.0], [0.8, 0.5]]
    assert found(scores, maximum_detections=3) == [(0, 0.8), (0, 0.7), (1, 0.6)]
    assert found(scores, detections_per_class=1) == [(0, 0.8), (1, 0.6)]


def test_boxes_are_decoded_from_their_anchors() -> None:
    codes = np.array([[[1.0, -2.0, 5 * np.log(2), 0.0], [0, 0, 0, 0], [0, 0, 0, 0]]])
    box = decode(codes, DetectionEnding(SQUARES, 1))[0, 0]
    np.testing.assert_allclose(box, [0.52 - 0.2, 0.46 - 0.1, 0.52 + 0.2, 0.46 + 0.1], atol=1e-6)


def test_overlap_of_boxes_and_of_nothing() -> None:
    box = np.array([0, 0, 1, 1], np.float32)
    others = np.array([[0, 0, 1, 0.5], [0.5, 0.5, 1.5, 1.5], [2, 2, 3, 3], [0.5, 0.5, 0.5, 0.9]], np.float32)
    np.testing.assert_allclose(overlaps(box, others), [0.5, 0.25 / 1.75, 0, 0])


@pytest.mark.parametrize("regular", [True, False])
def test_it_is_what_the_rule_says_written_out(regular: bool) -> None:
    """Against the rule in its plainest form, class by class and box by box."""
    random = np.random.default_rng(1)
    chosen = ending(regular_nms=regular, maximum_detections=15, detections_per_class=6, iou_threshold=0.4)
    encodings, scores = random.normal(0, 2, (4, 160, 4)), random.random((4, 160, CLASSES)).astype(np.float32)
    answers = detect(encodings, scores, chosen)
    boxes = decode(encodings, chosen)
    for picture in range(4):
        wanted = plainly(boxes[picture], scores[picture], chosen)
        count = int(answers["num_detections"][picture])
        assert count == len(wanted) == 15
        rows, classes, values = zip(*wanted, strict=True)
        np.testing.assert_array_equal(answers["detection_boxes"][picture], boxes[picture][list(rows)])
        np.testing.assert_array_equal(answers["detection_classes"][picture], classes)
        np.testing.assert_array_equal(answers["detection_scores"][picture], np.array(values, np.float32))


def plainly(boxes: np.ndarray, scores: np.ndarray, chosen: DetectionEnding) -> list[tuple[int, int, float]]:
    columns = range(CLASSES) if chosen.regular_nms else [None]
    listed = []
    for column in columns:
        values = scores.max(axis=1) if column is None else scores[:, column]
        kept: list[int] = []
        for row in np.argsort(-values, kind="stable"):
            clear = all(overlaps(boxes[row], boxes[other]) <= chosen.iou_threshold for other in kept)
            if values[row] >= chosen.score_threshold and clear:
                kept.append(int(row))
        limit = chosen.maximum_detections if column is None else chosen.detections_per_class
        for row in kept[:limit]:
            listed.append((row, int(scores[row].argmax()) if column is None else column, float(values[row])))
    return sorted(listed, key=lambda entry: -entry[2])[: chosen.maximum_detections]


def test_a_hundred_pictures_of_a_network_that_sees_things_everywhere_take_seconds() -> None:
    random = np.random.default_rng(2)
    chosen = DetectionEnding(random.uniform(0.1, 0.9, (1917, 4)), 4)
    encodings, scores = random.normal(0, 1, (100, 1917, 4)), random.uniform(0, 1, (100, 1917, 4))
    begin = time.process_time()
    answers = detect(encodings, scores, chosen)
    assert time.process_time() - begin < 15
    assert (answers["num_detections"] > 10).all()


def test_an_ending_survives_json() -> None:
    first = ending(iou_threshold=0.5, regular_nms=False)
    again = DetectionEnding.of(first.settings(), first.anchors_cyxhw)
    assert again.settings() == first.settings()
    assert again.labels == first.labels


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"anchors_cyxhw": anchors()[:, :3]}, r"\(n, 4\). Received: shape \(160, 3\)"),
        ({"classes": 2}, "2 classes has 3 labels"),
        ({"maximum_detections": 0}, "at least one class and one detection"),
        ({"iou_threshold": 0.0}, "at most 1. Received: 0.0"),
    ],
)
def test_what_does_not_fit_together_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        DetectionEnding(**{"anchors_cyxhw": anchors(), "classes": 3, "labels": ("a", "b", "c")} | settings)


def test_answers_of_another_network_are_refused() -> None:
    with pytest.raises(ExportError, match=r"do not fit 160 anchors and 3 classes"):
        detect(np.zeros((1, 160, 4)), np.zeros((1, 160, 4)), ending())
