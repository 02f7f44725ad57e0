"""A small network with two inputs and two outputs, and the bundle written from it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainbox.export.bundle import Bundle, Deployable, write_bundle

FILES = {
    "model.keras": ("keras", 1e-5),
    "model.h5": ("h5", 1e-5),
    "saved_model": ("saved_model", 1e-5),
    "model.tflite": ("tflite", 1e-4),
    "model_quantized.tflite": ("tflite_int8", None),
}


def small_network(seed: int = 3) -> Any:
    """A network as a pilot's with memory, but of a few hundred parameters; seen for the first time, not trained."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    picture, memory = keras.Input((12, 16, 3), name="img_in"), keras.Input((4,), name="mem_in")
    x = layers.Conv2D(4, 3, strides=2, activation="relu", name="conv2d_1")(picture)
    x = layers.Dropout(0.2, name="dropout_1")(x)
    x = layers.Flatten(name="flattened")(x)
    x = layers.Concatenate(name="joined")([x, layers.Dense(3, activation="relu", name="mem_c_1")(memory)])
    x = layers.Dense(8, activation="relu", name="dense_1")(x)
    answers = [
        layers.Dense(3, activation="softmax", name="angle_out")(x),
        layers.Dense(1, activation="tanh", name="throttle_out")(x),
    ]
    return keras.Model([picture, memory], answers, name="small")


def small_inputs(count: int = 6) -> dict[str, np.ndarray]:
    random = np.random.default_rng(5)
    return {
        "img_in": random.random((count, 12, 16, 3), dtype=np.float32),
        "mem_in": random.uniform(-1, 1, (count, 4)).astype(np.float32),
    }


def deployables(*files: str) -> list[Deployable]:
    return [Deployable(file, FILES[file][0], small_inputs(), FILES[file][1]) for file in files or FILES]


@pytest.fixture(scope="session")
def network() -> Any:
    return small_network()


@pytest.fixture(scope="session")
def bundle(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Every kind of file of the small network. Read only."""
    folder: Path = tmp_path_factory.mktemp("bundle") / "model"
    return write_bundle(network, deployables(), {"task": "drive"}, folder, {"report.html": "<p>", "labels.txt": b"a\n"})
