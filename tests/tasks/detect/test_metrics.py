import json

import numpy as np
import pytest

from trainbox.tasks.detect.metrics import Detections, Truth, best_threshold, confusion, score

LABELS = ("cat", "dog")
SIZE = (200, 400)
BOXES = np.array([[0.1, 0.1, 0.5, 0.4], [0.5, 0.5, 0.9, 0.8]])


def truths() -> list[Truth]:
    return [Truth(BOXES, np.array([0, 1]), SIZE), Truth(BOXES[:1], np.array([0]), SIZE), none()]


def none() -> Truth:
    return Truth(np.zeros((0, 4)), np.zeros(0, int), SIZE)


def said(boxes: np.ndarray, classes: list[int], scores: list[float]) -> Detections:
    return Detections(np.asarray(boxes).reshape(-1, 4), np.array(classes, int), np.array(scores))


def perfect() -> list[Detections]:
    return [said(BOXES, [0, 1], [0.9, 0.8]), said(BOXES[:1], [0], [0.7]), said([], [], [])]


def test_perfect_answers_score_one() -> None:
    scores = score(truths(), perfect(), LABELS)
    assert scores["mAP"] == scores["mAP50"] == scores["mAP75"] == pytest.approx(1)
    assert scores["by_class"]["dog"]["AP"] == pytest.approx(1)
    json.dumps(scores, allow_nan=False)


def test_no_answers_score_zero_and_do_not_fail() -> None:
    scores = score(truths(), [said([], [], [])] * 3, LABELS)
    assert scores["mAP50"] == 0
    assert scores["threshold"] == {"cat": None, "dog": None}


def test_a_class_that_is_not_there_has_no_score() -> None:
    scores = score(truths(), perfect(), (*LABELS, "bird"))
    absent = {"boxes": 0, "AP": None, "AP50": None, "AP_by_size": dict.fromkeys(("small", "medium", "large"))}
    assert scores["by_class"]["bird"] == {**absent, "precision": []}
    assert scores["mAP"] == pytest.approx(1)


def test_wrong_class_scores_zero_and_shows_in_the_confusion() -> None:
    answers = [said(BOXES, [1, 0], [0.9, 0.8]), *perfect()[1:]]
    counts = confusion(truths(), answers, 2)
    assert counts.tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert score(truths(), answers, LABELS)["by_class"]["dog"]["AP50"] == 0


def test_missed_and_invented_go_to_background() -> None:
    answers = [said(BOXES[:1], [0], [0.9]), said([], [], []), said(BOXES[:1], [1], [0.95])]
    assert confusion(truths(), answers, 2).tolist() == [[1, 0, 1], [0, 0, 1], [0, 1, 0]]


def test_half_overlap_counts_at_50_and_not_at_75() -> None:
    shifted = BOXES[:1] + np.array([0, 0.06, 0, 0.06])
    scores = score([truths()[1]], [said(shifted, [0], [0.9])], LABELS)
    assert scores["mAP50"] == pytest.approx(1)
    assert scores["mAP75"] == 0


def test_best_threshold_drops_the_invented() -> None:
    answers = [said(np.vstack([BOXES, BOXES[:1] + 0.4]), [0, 1, 0], [0.9, 0.8, 0.3]), *perfect()[1:]]
    best = best_threshold(truths(), answers, 0)
    assert best == {"threshold": 0.7, "F1": pytest.approx(1), "precision": 1.0, "recall": 1.0}


def test_a_box_is_found_once() -> None:
    twice = [said(np.vstack([BOXES[:1]] * 2), [0, 0], [0.9, 0.85])]
    assert confusion([truths()[1]], twice, 2).tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 0]]


def test_sizes_are_those_of_the_pictures() -> None:
    """Of 200 x 400 pixels, the first box has 80 x 120: medium or large by its area, 9600 pixels."""
    tiny = np.array([[0.5, 0.5, 0.6, 0.55]])
    there = [Truth(np.vstack([BOXES[:1], tiny]), np.array([0, 0]), SIZE)]
    scores = score(there, [said(BOXES[:1], [0], [0.9])], LABELS)
    assert scores["by_class"]["cat"]["AP_by_size"] == {"small": 0, "medium": None, "large": pytest.approx(1)}
    assert scores["by_class"]["cat"]["boxes"] == scores["boxes"] == 2
    assert scores["by_class"]["dog"]["AP_by_size"] == dict.fromkeys(("small", "medium", "large"))


def test_a_threshold_takes_equal_scores_together() -> None:
    """Integers give many equal scores: of three at 0.5, one of them wrong, none can be had alone."""
    answers = [said(np.vstack([BOXES, BOXES[:1] + 0.4]), [0, 1, 0], [0.5, 0.5, 0.5]), said([], [], [])]
    best = best_threshold(truths()[:2], answers, 0)
    assert best == {"threshold": 0.5, "F1": pytest.approx(0.5), "precision": 0.5, "recall": 0.5}


def test_nothing_right_has_no_best_threshold() -> None:
    assert best_threshold(truths(), [said(BOXES[:1] + 0.4, [0], [0.9]), *perfect()[2:] * 2], 0) is None


def test_scores_by_threshold_are_of_all_classes_together() -> None:
    by = score(truths(), perfect(), LABELS)["by_threshold"]
    at = {threshold: place for place, threshold in enumerate(by["threshold"])}
    assert (by["precision"][at[0.5]], by["recall"][at[0.5]], by["F1"][at[0.5]]) == (1, 1, 1)
    assert by["recall"][at[0.75]] == pytest.approx(2 / 3, abs=1e-3)
    assert by["F1"][at[0.75]] == pytest.approx(0.8)
    assert (by["precision"][at[0.95]], by["recall"][at[0.95]]) == (None, 0)


def test_detections_of_a_crowd_are_neither_right_nor_wrong() -> None:
    crowd = [Truth(BOXES, np.array([0, 1]), SIZE, np.array([False, True]))]
    answers = [said(np.vstack([BOXES, BOXES[1:]]), [0, 1, 1], [0.9, 0.8, 0.7])]
    assert confusion(crowd, answers, 2).tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    scores = score(crowd, answers, LABELS)
    assert scores["threshold"]["dog"] is None
    assert scores["boxes"] == 1
    assert scores["by_threshold"]["precision"][0] == 1


def test_confusion_is_counted_at_the_threshold_of_each_class() -> None:
    answers = [said(BOXES, [0, 1], [0.3, 0.3])]
    assert confusion(truths()[:1], answers, 2, np.array([0.2, 0.4])).tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_confusion_of_the_scores_is_at_the_best_thresholds() -> None:
    """The true cat scores .2, so a fixed .5 would show nothing."""
    scores = score([truths()[1]], [said(BOXES[:1], [0], [0.2])], LABELS)
    assert scores["confusion"] == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
