import numpy as np
import pytest

from trainbox.tasks.drive import metrics
from trainbox.tasks.drive.pilots import KINDS
from trainbox.tasks.drive.sentences import summary_lines


def test_scores_of_a_perfect_answer() -> None:
    driven = np.array([-0.5, 0.0, 0.5])
    scores = metrics.command_scores(driven, driven, mean=0.0)
    assert scores == {"mae": 0, "rmse": 0, "r2": 1, "within": 1, "gain": 1}


def test_scores_by_hand() -> None:
    scores = metrics.command_scores(np.array([0.1, 0.3]), np.array([0.0, 0.6]), mean=0.3)
    assert scores["mae"] == pytest.approx(0.2)
    assert scores["rmse"] == pytest.approx(np.sqrt((0.01 + 0.09) / 2))
    assert scores["r2"] == pytest.approx(1 - 0.05 / 0.09)
    assert scores["within"] == pytest.approx(0.5)
    assert scores["gain"] == pytest.approx(1 - np.sqrt(0.05) / 0.3)


def test_mean_of_training_gains_nothing_over_itself() -> None:
    assert metrics.command_scores(np.full(4, 0.2), np.array([0.0, 0.1, 0.5, 0.9]), mean=0.2)["gain"] == 0


def test_constant_driving_has_no_r2() -> None:
    scores = metrics.command_scores(np.array([0.1, 0.2]), np.array([0.3, 0.3]), mean=0.3)
    assert scores["r2"] is None
    assert scores["gain"] is None


def test_steering_bins_cover_every_frame_once() -> None:
    driven = np.linspace(-1, 1, 201)
    rows = metrics.steering_bins(driven + 0.05, driven)
    assert sum(row["frames"] for row in rows) == 201
    assert rows[0]["name"] == "hard left"
    assert rows[-1]["name"] == "hard right"
    assert all(row["bias"] == pytest.approx(0.05) for row in rows)


def test_steering_bin_without_frames_has_no_scores() -> None:
    rows = metrics.steering_bins(np.array([0.0]), np.array([0.0]))
    assert rows[0]["frames"] == 0
    assert "mae" not in rows[0]


def test_linear_commands_are_the_outputs() -> None:
    answers = {"a": np.array([[0.3], [-2.0]]), "b": np.array([[0.5], [0.6]])}
    commands = metrics.decode(KINDS["linear"], answers, 0.8)
    np.testing.assert_allclose(commands["angle"], [0.3, -2.0])
    np.testing.assert_allclose(commands["throttle"], [0.5, 0.6])


def test_categorical_commands_are_those_of_the_highest_bins() -> None:
    answers = {"a": np.eye(15)[[0, 7, 14]], "b": np.eye(20)[[0, 10, 19]]}
    commands = metrics.decode(KINDS["categorical"], answers, 0.8)
    np.testing.assert_allclose(commands["angle"], [-1, 0, 1])
    np.testing.assert_allclose(commands["throttle"], [0, 0.4, 0.76])


def test_robocars_commands_are_a_bin_and_a_number() -> None:
    commands = metrics.decode(KINDS["robocars"], {"a": np.eye(15)[[7]], "b": np.array([[0.33]])}, 0.8)
    assert commands["angle"][0] == pytest.approx(0)
    assert commands["throttle"][0] == pytest.approx(0.33)


def test_inferred_throttle_is_reckoned_from_the_angle() -> None:
    commands = metrics.decode(KINDS["inferred"], {"a": np.array([[-1.0]])}, 0.8)
    assert commands["throttle"][0] == 1


def scored(predicted: np.ndarray, shuffled: np.ndarray, driven: np.ndarray) -> list[str]:
    commands = {"angle": predicted, "throttle": np.full(len(driven), 0.5)}
    truth = {"angle": driven, "throttle": np.full(len(driven), 0.5)}
    scores = metrics.file_scores(commands, truth, {"angle": 0.0, "throttle": 0.5})
    return metrics.warnings(scores, metrics.shuffled_scores(predicted, shuffled, driven), float(driven.std()))


def test_no_warning_for_a_pilot_that_steers_by_what_it_sees() -> None:
    random = np.random.default_rng(0)
    driven = random.uniform(-1, 1, 500)
    seen = driven + random.normal(0, 0.1, 500)
    assert scored(seen, random.permutation(seen), driven) == []


def test_warns_of_a_pilot_that_always_answers_the_same() -> None:
    driven = np.random.default_rng(0).uniform(-1, 1, 500)
    constant = np.zeros(500)
    found = scored(constant, constant, driven)
    assert len(found) == 2
    assert "does not look at the track" in found[0]


def test_warns_of_a_pilot_that_goes_by_its_memory_alone() -> None:
    driven = np.random.default_rng(0).uniform(-1, 1, 500)
    from_memory = driven * 0.95
    found = scored(from_memory, from_memory + 1e-4, driven)
    assert ["shuffled" in warning for warning in found] == [True]


def test_warns_where_nothing_can_be_said() -> None:
    found = scored(np.zeros(9), np.zeros(9), np.full(9, 0.25))
    assert ["all steered the same" in warning for warning in found] == [True]


def test_summary_says_scores_and_warnings() -> None:
    driven = {"angle": np.array([-0.5, 0.0, 0.7]), "throttle": np.array([0.4, 0.5, 0.6])}
    means = {"angle": 0.1, "throttle": 0.5}
    blind = {name: np.full(3, mean) for name, mean in means.items()}
    files = {"model.tflite": metrics.file_scores(driven, driven, means)}
    baseline = metrics.file_scores(blind, driven, means)
    result = {"pilot": "linear", "scored_file": "model.tflite", "files": files, "baseline": baseline, "int8": None}
    lines = summary_lines({**result, "warnings": ["It rains."]})
    assert "within 0.1 of the driver on 100 % of 3 frames" in lines[0]
    assert "100 % below" in lines[1]
    assert lines[-1] == "WARNING: It rains."
    assert not any("Donkeycar 2" in line for line in lines)
    of_old = summary_lines({**result, "pilot": "robocars", "warnings": []})
    assert "for Donkeycar 2" in of_old[-1]
