import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from export.conftest import small_inputs
from trainbox.errors import ExportError
from trainbox.export.bundle import Bundle
from trainbox.export.keras_h5 import keras_2_config, write_keras_h5
from trainbox.export.keras_native import answers, float32_copy


def test_the_configuration_is_keras_2s(network: Any) -> None:
    config = keras_2_config(float32_copy(network))
    assert config["class_name"] == "Model"
    layers = {layer["name"]: layer for layer in config["config"]["layers"]}
    assert layers["img_in"] == {
        "class_name": "InputLayer",
        "config": {"batch_input_shape": [None, 12, 16, 3], "dtype": "float32", "sparse": False, "name": "img_in"},
        "name": "img_in",
        "inbound_nodes": [],
    }
    assert layers["conv2d_1"]["inbound_nodes"] == [[["img_in", 0, 0, {}]]]
    assert layers["conv2d_1"]["config"] == {
        "name": "conv2d_1", "trainable": True, "dtype": "float32", "filters": 4, "kernel_size": [3, 3],
        "strides": [2, 2], "padding": "valid", "data_format": "channels_last", "dilation_rate": [1, 1],
        "activation": "relu", "use_bias": True,
    }  # fmt: skip
    assert layers["joined"]["inbound_nodes"] == [[["flattened", 0, 0, {}], ["mem_c_1", 0, 0, {}]]]
    assert config["config"]["input_layers"] == [["img_in", 0, 0], ["mem_in", 0, 0]]
    assert config["config"]["output_layers"] == [["angle_out", 0, 0], ["throttle_out", 0, 0]]


def test_no_name_of_keras_3_is_left(bundle: Bundle) -> None:
    with h5py.File(bundle.file("model.h5")) as file:
        text = bytes(file.attrs["model_config"]).decode()
        assert file.attrs["keras_version"] == b"2.15.0"
        assert list(file["model_weights/dense_1"].attrs["weight_names"]) == [b"dense_1/kernel:0", b"dense_1/bias:0"]
    for name in (
        "batch_shape",
        "DTypePolicy",
        "module",
        "registered_name",
        "build_config",
        "keras_history",
        "optional",
    ):
        assert name not in text
    assert json.loads(text)["config"]["name"] == "small"


def test_one_input_and_one_output_are_lists_too(tmp_path: Path) -> None:
    import keras

    picture = keras.Input((4, 4, 3), name="img_in")
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Flatten(name="flattened")(picture))
    network = float32_copy(keras.Model(picture, keras.layers.Dense(1, name="n_outputs0")(x)))
    config = keras_2_config(network)["config"]
    assert config["input_layers"] == [["img_in", 0, 0]] and config["output_layers"] == [["n_outputs0", 0, 0]]
    write_keras_h5(network, tmp_path / "model.h5")
    loaded = keras.models.load_model(tmp_path / "model.h5", compile=False)
    picture_values = np.random.default_rng(0).random((5, 4, 4, 3), dtype=np.float32)
    expected = answers(network, {"img_in": picture_values})["n_outputs0"]
    np.testing.assert_array_equal(np.asarray(loaded([picture_values])), expected)


def test_a_layer_that_keras_2_cannot_hold_is_refused(tmp_path: Path) -> None:
    import keras
    from keras import layers

    picture = keras.Input((4, 4, 3), name="img_in")
    for layer, message in (
        (layers.GroupNormalization(1, name="odd"), "layer 'odd' of class GroupNormalization"),
        (layers.Conv2D(3, 1, groups=3, name="odd"), "layer 'odd': it has 3 groups"),
        (layers.Conv2D(3, 1, activation="mish", name="odd"), "layer 'odd': Keras 2 has no setting 'mish'"),
        (layers.Flatten(data_format="channels_first", name="odd"), "layer 'odd': its channels come first"),
    ):
        with pytest.raises(ExportError, match=message):
            write_keras_h5(float32_copy(keras.Model(picture, layer(picture))), tmp_path / "model.h5")


def test_a_network_in_bfloat16_is_copied_to_float32() -> None:
    import keras

    picture = keras.Input((4, 4, 3), name="img_in")
    flat = keras.layers.Flatten(name="flat", dtype="mixed_bfloat16")(picture)
    network = keras.Model(picture, keras.layers.Dense(2, name="out", dtype="mixed_bfloat16")(flat))
    assert network.get_layer("out").compute_dtype == "bfloat16"
    copy = float32_copy(network)
    assert {layer.compute_dtype for layer in copy.layers} == {"float32"}
    values = small_inputs()["img_in"][:, :4, :4]
    kernel, bias = network.get_layer("out").get_weights()
    np.testing.assert_allclose(
        answers(copy, {"img_in": values})["out"], values.reshape(6, -1) @ kernel + bias, atol=1e-6
    )
