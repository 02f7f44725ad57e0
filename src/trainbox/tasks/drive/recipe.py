"""How a pilot is trained: its network behind the augmentation, its losses, and the files it becomes."""

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from trainbox.tasks.drive.augment import PARAMETERS, augment_layer
from trainbox.tasks.drive.config import DriveConfig
from trainbox.tasks.drive.examples import DriveExamples
from trainbox.tasks.drive.pilots import HEIGHT, KINDS, WIDTH, PilotKind, build
from trainbox.tasks.drive.scoring import FLOAT_FILE, INT8_FILE
from trainbox.tasks.drive.start import start_well
from trainbox.tasks.drive.transfer import start_from
from trainbox.training.recipe import Recipe

if TYPE_CHECKING:
    import keras

    from trainbox.export.bundle import Deployable
    from trainbox.tasks.drive.datasets import DriveDatasets

PROVED_FRAMES = 32
REPRESENTATIVE_FRAMES = 200
FLOAT_TOLERANCE = 1e-3

ROBOCARS_THROTTLE_WEIGHT = 0.5
"""The original gave its throttle .001 beside .9 for the angle, which left it where chance had put it."""


def recipe(config: DriveConfig, datasets: "DriveDatasets") -> Recipe:
    """Build the network, filled from an earlier pilot where one was given, and say how to train it."""
    import keras

    # Layers draw their first weights and their dropout from this seed.
    keras.utils.set_random_seed(config.seed)
    network = build(config.pilot, config.memory_length, dropout=config.dropout)
    start_well(network, datasets.train, config.seed)
    if datasets.initial:
        start_from(network, datasets.initial)
    kind = KINDS[config.pilot]
    return Recipe(
        model=_training_model(network, kind, config.augment),
        network=network,
        losses={name: _loss(kind, quantity, bins) for name, quantity, bins in kind.outputs},
        loss_weights={name: _loss_weight(kind, quantity) for name, quantity, _ in kind.outputs},
        train=datasets.train,
        validation=datasets.validation,
        fingerprint=datasets.fingerprint,
    )


def _training_model(network: "keras.Model", kind: PilotKind, changes: Collection[str]) -> "keras.Model":
    """Put the augmentation before the network: ``image`` uint8, ``augmentation``, ``mem_in`` where it has one."""
    import keras

    inputs = {
        "image": keras.Input((HEIGHT, WIDTH, 3), dtype="uint8", name="image"),
        "augmentation": keras.Input((len(PARAMETERS),), dtype="float32", name="augmentation"),
    }
    features = [augment_layer(changes)(inputs["image"], inputs["augmentation"])]
    if kind.remembers:
        inputs["mem_in"] = keras.Input(network.inputs[1].shape[1:], dtype="float32", name="mem_in")
        features.append(inputs["mem_in"])
    answers = network(features)
    answers = answers if isinstance(answers, list) else [answers]
    return keras.Model(inputs, dict(zip(kind.output_names, answers, strict=True)), name=f"{network.name}_training")


def _loss(kind: PilotKind, quantity: str, bins: int | None) -> str:
    if bins is not None:
        return "categorical_crossentropy"
    return "mean_absolute_error" if kind.name == "robocars" else "mean_squared_error"


def _loss_weight(kind: PilotKind, quantity: str) -> float:
    """Return the weight of an output's loss: donkeycar's own, so that its losses and ours compare."""
    if kind.name == "categorical":
        return 0.5
    if kind.name == "robocars":
        return 0.9 if quantity == "angle" else ROBOCARS_THROTTLE_WEIGHT
    return 1.0


def deployables(config: DriveConfig, datasets: "DriveDatasets") -> "list[Deployable]":
    """Return the files of a pilot: what each car loads, proved on validation frames."""
    from trainbox.export.bundle import Deployable

    frames = _proof_inputs(datasets.validation)
    files = [
        Deployable("model.keras", "keras", frames, FLOAT_TOLERANCE),
        Deployable("model.h5", "h5", frames, FLOAT_TOLERANCE),
        Deployable("saved_model", "saved_model", frames, FLOAT_TOLERANCE),
        Deployable(FLOAT_FILE, "tflite", frames, FLOAT_TOLERANCE),
    ]
    if config.quantize:
        representative = list(_representative(datasets.train))
        # How far int8 may be off depends on the pilot: it is reported, in commands, with the scores.
        files.append(Deployable(INT8_FILE, "tflite_int8", frames, None, representative))
    return files


def _proof_inputs(examples: DriveExamples) -> Mapping[str, np.ndarray]:
    return examples.car_inputs(_evenly(len(examples), PROVED_FRAMES))


def _representative(examples: DriveExamples) -> Iterator[dict[str, np.ndarray]]:
    """Return single training frames, evenly spread: they set the scales of the quantized file."""
    inputs = examples.car_inputs(_evenly(len(examples), REPRESENTATIVE_FRAMES))
    for index in range(len(inputs["img_in"])):
        yield {name: array[index] for name, array in inputs.items()}


def _evenly(count: int, wanted: int) -> Any:
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).astype(np.int64))
