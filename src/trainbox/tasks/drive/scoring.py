"""Score model files on examples: every file answers every frame, read once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainbox.tasks.drive import metrics
from trainbox.tasks.drive.config import DriveConfig
from trainbox.tasks.drive.examples import DriveExamples
from trainbox.tasks.drive.pilots import build

if TYPE_CHECKING:
    from trainbox.export.runtimes import OpenModel

FLOAT_FILE, INT8_FILE = "model.tflite", "model_quantized.tflite"
SHUFFLED_FRAMES = 1024
SHOWN_FRAMES = 400

Commands = dict[str, dict[str, np.ndarray]]


def open_files(files: Mapping[str, Path], config: DriveConfig, *, trusted: bool) -> "dict[str, OpenModel]":
    """Open model files by name; a SavedModel only where ``trusted``. Raise ModelFileError where one cannot be."""
    from trainbox.export.runtimes import kind_of, open_model

    network = build(config.pilot, config.memory_length)
    return {
        name: open_model(path, network, trusted=trusted)
        for name, path in files.items()
        if trusted or kind_of(path) != "saved_model"
    }


def answer(models: "Mapping[str, OpenModel]", examples: DriveExamples) -> Commands:
    """Return the commands of each model for all examples: ``{model: {"angle": (n,), "throttle": (n,)}}``."""
    answered: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in models}
    for inputs in examples.car_batches():
        for name, model in models.items():
            answered[name].append(metrics.decode(examples.kind, model(inputs), examples.throttle_range))
    return {
        name: {command: np.concatenate([part[command] for part in parts]) for command in ("angle", "throttle")}
        for name, parts in answered.items()
    }


def shuffled_angles(model: "OpenModel", examples: DriveExamples, indices: np.ndarray, seed: int) -> np.ndarray:
    """Return the model's angles (n,) for the examples at ``indices``, each shown the picture of another of them."""
    other = np.random.default_rng(seed).permutation(indices)
    angles = []
    for start in range(0, len(indices), 128):
        inputs = examples.car_inputs(indices[start : start + 128])
        inputs["img_in"] = examples.car_inputs(other[start : start + 128])["img_in"]
        angles.append(metrics.decode(examples.kind, model(inputs), examples.throttle_range)["angle"])
    return np.concatenate(angles)


def score(
    models: "Mapping[str, OpenModel]", examples: DriveExamples, means: Mapping[str, float], seed: int
) -> dict[str, Any]:
    """Score models on examples: what the manifest holds under ``metrics``.

    ``files`` by model: ``metrics.file_scores``; ``baseline``: the same of always answering ``means``; ``shuffled``;
    ``int8``: the gap between the quantized and the float file; ``frames``: some of what was driven and answered, for
    the report; ``warnings``: sentences.
    """
    driven = {"angle": examples.angle.astype(np.float64), "throttle": examples.throttle.astype(np.float64)}
    commands = answer(models, examples)
    first = FLOAT_FILE if FLOAT_FILE in models else next(iter(models))
    some = _spread(len(examples), SHUFFLED_FRAMES)
    wrong = shuffled_angles(models[first], examples, some, seed)
    shuffled = metrics.shuffled_scores(commands[first]["angle"][some], wrong, driven["angle"][some])
    files = {name: metrics.file_scores(predicted, driven, means) for name, predicted in commands.items()}
    blind = {command: np.full(len(examples), means[command]) for command in driven}
    return {
        "pilot": examples.kind.name,
        "scored_file": first,
        "files": files,
        "baseline": metrics.file_scores(blind, driven, means),
        "shuffled": shuffled,
        "int8": _int8_gap(commands),
        "frames": _frames(commands[first], driven, examples.images),
        "warnings": metrics.warnings(files[first], shuffled, float(np.std(driven["angle"]))),
    }


def _int8_gap(commands: Commands) -> dict[str, float] | None:
    """Return how far the quantized file's commands are from the float file's."""
    if FLOAT_FILE not in commands or INT8_FILE not in commands:
        return None
    gap = {name: np.abs(commands[INT8_FILE][name] - commands[FLOAT_FILE][name]) for name in ("angle", "throttle")}
    return {f"{name}_{kind}": float(value) for name in gap for kind, value in _mean_and_most(gap[name])}


def _mean_and_most(gap: np.ndarray) -> Sequence[tuple[str, float]]:
    return (("mean", float(gap.mean())), ("most", float(gap.max())))


def _frames(
    predicted: Mapping[str, np.ndarray], driven: Mapping[str, np.ndarray], images: Sequence[str]
) -> dict[str, Any]:
    some = _spread(len(images), SHOWN_FRAMES)
    columns = {f"driven_{name}": values[some] for name, values in driven.items()}
    columns |= {f"predicted_{name}": values[some] for name, values in predicted.items()}
    return {"image": [images[index] for index in some]} | {
        name: [round(float(value), 4) for value in values] for name, values in columns.items()
    }


def _spread(count: int, most: int) -> np.ndarray:
    """Return at most ``most`` places spread evenly over ``count``: int64."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))
