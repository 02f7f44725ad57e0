"""Pilots trained just enough to look at the picture, with the bundle that is written from each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cars.frames import TRAINED, Drive
from trainbox.export.bundle import Bundle, Deployable, write_bundle
from trainbox.tasks.drive import pilots

FILES = (
    ("model.keras", "keras", 1e-4),
    ("model.h5", "h5", 1e-4),
    ("saved_model", "saved_model", 1e-4),
    ("model.tflite", "tflite", 1e-3),
    ("model_quantized.tflite", "tflite_int8", None),
)


def trained(pilot: str, drive: Drive, folder: Path) -> tuple[Any, Bundle]:
    """Return the network as deployed, after a few passes, and its bundle in ``folder``."""
    import keras

    keras.utils.set_random_seed(7)
    network = pilots.build(pilot)
    losses = [
        "categorical_crossentropy" if bins else "mean_squared_error" for _, _, bins in pilots.KINDS[pilot].outputs
    ]
    network.compile("adam", loss=losses)
    inputs = network_inputs(drive, network, 1 / 255, slice(0, TRAINED))
    network.fit(list(inputs.values()), targets(pilot, drive), batch_size=32, epochs=4, verbose=0)
    network = pilots.deployed(network, pilot)
    scale = pilots.KINDS[pilot].pixel_range / 255
    proof = network_inputs(drive, network, scale, slice(TRAINED, None))
    seen = network_inputs(drive, network, scale, slice(0, TRAINED, 4))
    representative = [{name: array[i] for name, array in seen.items()} for i in range(TRAINED // 4)]
    deployables = [
        Deployable(file, kind, proof, tolerance, representative if kind == "tflite_int8" else None)
        for file, kind, tolerance in FILES
    ]
    return network, write_bundle(network, deployables, {"task": "drive", "pilot": pilot}, folder)


def network_inputs(drive: Drive, network: Any, scale: float, rows: slice) -> dict[str, np.ndarray]:
    """Return the inputs of ``network`` by name; the memory is of the three commands before, zero at the start."""
    commands = np.stack([drive.angles, drive.throttles], axis=1)
    padded = np.concatenate([np.zeros((3, 2), np.float32), commands])
    memory = np.stack([padded[i : i + 3].ravel() for i in range(len(commands))])
    given = {"img_in": drive.frames[rows].astype(np.float32) * np.float32(scale), "mem_in": memory[rows]}
    return {tensor.name: given[tensor.name] for tensor in network.inputs}


def targets(pilot: str, drive: Drive) -> list[np.ndarray]:
    """Return the targets of the outputs in order: numbers, or one-hot bins."""
    quantities: Mapping[str, tuple[np.ndarray, float, float]] = {
        "angle": (drive.angles[:TRAINED], -1.0, 2 / 14),
        "throttle": (drive.throttles[:TRAINED], 0.0, 0.8 / 20),
    }
    found = []
    for _, quantity, bins in pilots.KINDS[pilot].outputs:
        values, lowest, width = quantities[quantity]
        if bins:
            values = np.eye(bins, dtype=np.float32)[
                np.clip(np.round((values - lowest) / width).astype(int), 0, bins - 1)
            ]
        found.append(values)
    return found
