"""Scores a driver understands, of commands as the car decodes them against commands as they were driven."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from trainbox.tasks.drive.bins import angle_of, inferred_throttle, throttle_of
from trainbox.tasks.drive.pilots import PilotKind

CLOSE = 0.1
"""A command this near to the driver's counts as the same."""

STEERING_EDGES = np.array([-1.0, -0.6, -0.2, -0.05, 0.05, 0.2, 0.6, 1.0])
STEERING_NAMES = ("hard left", "left", "slightly left", "straight", "slightly right", "right", "hard right")

LEAST_GAIN = 0.05
"""A pilot whose error is not smaller by this share than without its pictures does not look at the track."""


def decode(kind: PilotKind, answers: Mapping[str, np.ndarray], throttle_range: float) -> dict[str, np.ndarray]:
    """Return ``angle`` and ``throttle`` (n,), as the car reckons them from the outputs in the model's order."""
    commands = {}
    for (_, quantity, bins), answer in zip(kind.outputs, answers.values(), strict=True):
        if bins is None:
            commands[quantity] = np.asarray(answer, np.float64).reshape(len(answer))
        else:
            commands[quantity] = angle_of(answer) if quantity == "angle" else throttle_of(answer, throttle_range)
    if "throttle" not in commands:
        commands["throttle"] = inferred_throttle(commands["angle"])
    return commands


def command_scores(predicted: np.ndarray, driven: np.ndarray, mean: float) -> dict[str, float | None]:
    """Score one command, both (n,). ``mean`` is its mean in training: the answer of one who never looks.

    ``mae``, ``rmse``: in units of the command. ``r2``: 1 at best, None where the command never changes. ``within``:
    share of frames no more than 0.1 off. ``gain``: by which share ``rmse`` is smaller than that of ``mean``.
    """
    error = np.asarray(predicted, np.float64) - driven
    rmse = float(np.sqrt(np.mean(error**2)))
    spread = float(np.var(driven))
    blind = float(np.sqrt(np.mean((driven - mean) ** 2)))
    return {
        "mae": float(np.mean(np.abs(error))),
        "rmse": rmse,
        "r2": 1 - rmse**2 / spread if spread > 1e-12 else None,
        # A hair beyond, so that .3 against .2 counts as within .1 in binary arithmetic too.
        "within": float(np.mean(np.abs(error) <= CLOSE + 1e-6)),
        "gain": 1 - rmse / blind if blind > 1e-6 else None,
    }


def steering_bins(predicted: np.ndarray, driven: np.ndarray) -> list[dict[str, Any]]:
    """Score the angle for each way of steering, from hard left to hard right: frames, ``mae``, ``bias``, ``within``."""
    place = np.clip(np.searchsorted(STEERING_EDGES, driven, side="right") - 1, 0, len(STEERING_NAMES) - 1)
    rows: list[dict[str, Any]] = []
    for number, name in enumerate(STEERING_NAMES):
        error = (predicted - driven)[place == number]
        row: dict[str, Any] = {"name": name, "from": STEERING_EDGES[number], "to": STEERING_EDGES[number + 1]}
        row["frames"] = len(error)
        if len(error):
            close = float(np.mean(np.abs(error) <= CLOSE + 1e-6))
            row |= {"mae": float(np.abs(error).mean()), "bias": float(error.mean()), "within": close}
        rows.append(row)
    return rows


def file_scores(
    predicted: Mapping[str, np.ndarray], driven: Mapping[str, np.ndarray], means: Mapping[str, float]
) -> dict[str, Any]:
    """Score one model file: ``frames``, each of ``command_scores`` as ``angle_mae``..., and ``steering`` by bin."""
    scores: dict[str, Any] = {"frames": len(driven["angle"])}
    for command in ("angle", "throttle"):
        for name, value in command_scores(predicted[command], driven[command], means[command]).items():
            scores[f"{command}_{name}"] = value
    scores["steering"] = steering_bins(predicted["angle"], driven["angle"])
    return scores


def shuffled_scores(predicted: np.ndarray, shuffled: np.ndarray, driven: np.ndarray) -> dict[str, float | None]:
    """Say how much the pilot's steering owes to its pictures, given its angles (n,) with them and with shuffled ones.

    ``angle_rmse`` is that with shuffled pictures; ``angle_change`` the mean change of the angle they cause;
    ``gain`` the share by which the right pictures lower the error.
    """
    rmse = float(np.sqrt(np.mean((predicted - driven) ** 2)))
    wrong = float(np.sqrt(np.mean((shuffled - driven) ** 2)))
    return {
        "angle_rmse": wrong,
        "angle_change": float(np.mean(np.abs(shuffled - predicted))),
        "gain": 1 - rmse / wrong if wrong > 1e-6 else None,
    }


def warnings(scores: Mapping[str, Any], shuffled: Mapping[str, Any], angle_spread: float) -> list[str]:
    """Say in plain sentences what is wrong with a pilot of these ``file_scores`` and ``shuffled_scores``."""
    if angle_spread < 1e-3:
        return ["The validation records are all steered the same: nothing can be said of the pilot's steering."]
    found = []
    if shuffled["angle_change"] < 1e-3 or (shuffled["gain"] or 0) < LEAST_GAIN:
        found.append("The pilot does not look at the track: with its pictures shuffled it steers as well.")
    if (scores["angle_gain"] or 0) < LEAST_GAIN:
        found.append(
            "The pilot steers hardly better than one who never looks and always steers the mean. Record more laps, "
            "leave out bad driving, or train longer."
        )
    return found
