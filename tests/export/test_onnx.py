from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.conftest import small_inputs
from trainbox.errors import ExportError, ModelFileError
from trainbox.export import runtimes
from trainbox.export.bundle import Deployable
from trainbox.export.keras_native import answers, float32_copy

onnx = pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")


def proved(network: Any, inputs: dict[str, np.ndarray], folder: Path) -> Any:
    """Write the network, prove it, and return the file in its runtime."""
    from trainbox.export.onnx import write_onnx

    network = float32_copy(network)
    write_onnx(network, folder / "model.onnx")
    entry = runtimes.prove(network, Deployable("model.onnx", "onnx", inputs, 1e-5), folder / "model.onnx")
    assert entry["proof"]["runtime"].startswith("onnxruntime ")
    return runtimes.open_model(folder / "model.onnx")


def test_a_pilot_answers_as_in_keras(network: Any, tmp_path: Path) -> None:
    received = proved(network, small_inputs(), tmp_path)(small_inputs())
    assert list(received) == ["angle_out", "throttle_out"]
    for name, wanted in answers(float32_copy(network), small_inputs()).items():
        np.testing.assert_allclose(received[name], wanted, atol=1e-6)


def every_layer() -> Any:
    """A network in which pictures are turned round and back, on sides that no stride divides."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(2)
    picture = keras.Input((11, 14, 3), name="image")
    x = layers.Rescaling(2.0, -1.0)(picture)
    x = layers.Conv2D(6, (3, 2), 2, padding="same", activation="elu")(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(6.0)(x)
    left = layers.DepthwiseConv2D(3, 1, padding="same", depth_multiplier=2, dilation_rate=2)(x)
    right = layers.Conv2D(12, 1, groups=3, activation="relu6")(layers.SpatialDropout2D(0.2)(x))
    joined = layers.Add()([left, right])
    wide = layers.Concatenate()([joined, layers.Multiply()([left, right]), layers.Maximum()([left, right])])
    small = layers.MaxPooling2D(2, 2, padding="same")(wide)
    even = layers.AveragePooling2D(3, 2, padding="same")(layers.Activation("tanh")(small))
    parts = layers.Reshape((-1, 9))(even)[..., 1:5]
    flat = layers.Flatten()(layers.Subtract()([parts, layers.Dense(4)(parts)]))
    mean = layers.GlobalAveragePooling2D()(wide)
    x = layers.Concatenate()([flat, layers.Flatten()(even), layers.Dense(4, activation="softplus")(mean)])
    return keras.Model(picture, layers.Dense(3, "softmax", name="answer")(x), name="every")


def test_every_layer_answers_as_in_keras(tmp_path: Path) -> None:
    inputs = {"image": np.random.default_rng(0).random((3, 11, 14, 3), dtype=np.float32)}
    opened = proved(every_layer(), inputs, tmp_path)
    assert opened({"image": inputs["image"][:2]})["answer"].shape == (2, 3)


def test_a_layer_without_a_counterpart_is_named(tmp_path: Path) -> None:
    import keras

    from trainbox.export.onnx import write_onnx

    steps = keras.Input((4, 3), name="steps")
    network = float32_copy(keras.Model(steps, keras.layers.LSTM(2, name="memory")(steps)))
    with pytest.raises(ExportError, match="Layer 'memory' is a LSTM, which is not written to ONNX"):
        write_onnx(network, tmp_path / "model.onnx")
    leaky = keras.Model(steps, keras.layers.ReLU(negative_slope=0.1, name="leaky")(steps))
    with pytest.raises(ExportError, match="Layer 'leaky' has a slope or a threshold"):
        write_onnx(float32_copy(leaky), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_the_same_network_gives_the_same_file(network: Any, tmp_path: Path) -> None:
    from trainbox.export.onnx import write_onnx

    for name in ("a.onnx", "b.onnx"):
        write_onnx(float32_copy(network), tmp_path / name)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(ModelFileError, match=r"model.onnx does not load in onnxruntime"):
        runtimes.open_model(tmp_path / "model.onnx")
