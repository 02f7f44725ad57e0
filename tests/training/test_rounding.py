import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from trainbox.export.keras_native import float32_copy
from trainbox.export.runtimes import open_model
from trainbox.export.tflite import write_tflite_int8
from trainbox.training.rounding import Rounded, rounded_copy, rounded_kernel, take_weights

SIDE = 16


def uneven(seed: int = 3) -> keras.Model:
    """A network with every layer that is rounded, whose channels are of so different size that rounding hurts."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    image = keras.Input((SIDE, SIDE, 3), name="image")
    x = layers.ReLU(6.0, name="first.relu")(layers.Conv2D(8, 3, strides=2, padding="same", name="first")(image))
    narrow = layers.Conv2D(6, 1, name="narrow")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="deep")(narrow)
    x = layers.Add(name="sum")([narrow, x])
    x = layers.Flatten(name="flat")(layers.ReLU(6.0, name="last.relu")(x))
    network = keras.Model(image, {"place": layers.Dense(2, name="place")(x)}, name="uneven")
    scale = np.geomspace(0.02, 1, 6)
    narrow, place = network.get_layer("narrow"), network.get_layer("place")
    narrow.set_weights([narrow.get_weights()[0] * scale, narrow.get_weights()[1]])
    place.set_weights([place.get_weights()[0] / np.tile(scale, SIDE * SIDE // 4)[:, None], place.get_weights()[1]])
    return network


def pictures(count: int) -> np.ndarray:
    """Pictures of 256 values, black and white among them: a file's integers hold them exactly."""
    return np.random.default_rng(1).integers(0, 256, (count, SIDE, SIDE, 3)).astype(np.float32) / 127.5 - 1


def of_file(network: keras.Model, rows: np.ndarray, folder: Path) -> np.ndarray:
    """Return what the integer file of a network answers."""
    path = folder / "model_quantized.tflite"
    write_tflite_int8(float32_copy(network), path, [{"image": row} for row in rows])
    return open_model(path, trusted=True)({"image": rows})["place"]


def test_a_rounded_copy_is_as_far_off_as_the_integer_file_is(tmp_path: Path) -> None:
    network, rows = uneven(), pictures(64)
    exact = network.predict_on_batch(rows)["place"]
    copy = rounded_copy(network)
    copy(rows, training=True)
    rounded = np.abs(copy.predict_on_batch(rows)["place"] - exact).mean()
    file = np.abs(of_file(network, rows, tmp_path) - exact).mean()
    assert file > 0.1 * np.abs(exact).mean()
    # Not the same to the last bit: the file's scales are those of all rows, and its sums are integers.
    assert 0.6 * file < rounded < 1.6 * file


def test_training_on_with_the_rounding_brings_the_integer_file_back(tmp_path: Path) -> None:
    network, rows = uneven(), pictures(64)
    exact = network.predict_on_batch(rows)["place"]
    before = np.abs(of_file(network, rows, tmp_path) - exact).mean()
    rounded = rounded_copy(network)
    rounded.compile(keras.optimizers.Adam(0.0001), loss="mse")
    rounded.fit(rows, exact, epochs=150, batch_size=64, verbose=0)
    take_weights(network, rounded)
    assert np.abs(of_file(network, rows, tmp_path) - exact).mean() < 0.85 * before


@pytest.mark.parametrize(("shape", "channels"), [((3, 3, 4, 5), 3), ((3, 3, 5, 1), 2), ((4, 6), None)])
def test_kernels_are_rounded_to_255_values_between_like_ends(shape: tuple[int, ...], channels: int | None) -> None:
    kernel = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    axes = None if channels is None else tuple(axis for axis in range(len(shape)) if axis != channels)
    step = np.abs(kernel).max(axis=axes, keepdims=True) / 127
    rounded = keras.ops.convert_to_numpy(rounded_kernel(kernel, channels))
    np.testing.assert_allclose(rounded, np.rint(kernel / step) * step, atol=1e-6)


def test_a_channel_of_zeros_stays_one() -> None:
    assert not keras.ops.convert_to_numpy(rounded_kernel(np.zeros((1, 1, 2, 3), np.float32), 3)).any()
    assert not keras.ops.convert_to_numpy(Rounded()(np.zeros((2, 3), np.float32), training=True)).any()


def test_answers_are_rounded_between_the_ends_seen_in_training() -> None:
    layer = Rounded()
    layer(np.array([[-1.0, 2.0]], np.float32), training=True)
    layer(np.array([[0.5, 0.7]], np.float32), training=True)
    step = 3 / 255
    answers = keras.ops.convert_to_numpy(layer(np.array([[0.0, 1.0, 9.0, -9.0]], np.float32)))[0]
    np.testing.assert_allclose(answers, [0, round(1 / step) * step, 170 * step, -85 * step], atol=1e-6)


def test_weights_come_back_and_the_network_stays_as_it_was() -> None:
    network = uneven()
    held = network.get_weights()
    rounded = rounded_copy(network)
    rounded.get_layer("narrow").set_weights([array + 1 for array in rounded.get_layer("narrow").get_weights()])
    for before, after in zip(held, network.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    take_weights(network, rounded)
    np.testing.assert_array_equal(network.get_layer("narrow").get_weights()[0], held[2] + 1)


def test_it_computes_in_float32_though_the_network_does_not() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = uneven()
    finally:
        keras.config.set_dtype_policy("float32")
    assert network.get_layer("deep").compute_dtype == "bfloat16"
    assert {layer.compute_dtype for layer in rounded_copy(network).layers} == {"float32"}


ON_JAX = """
import sys
sys.path.insert(0, sys.argv[1])
from test_rounding import pictures, uneven
from trainbox.training.rounding import rounded_copy
network, rows = uneven(), pictures(8)
rounded = rounded_copy(network)
rounded.compile("adam", loss="mse")
rounded.fit(rows, network.predict_on_batch(rows)["place"], epochs=2, verbose=0)
print(rounded.predict_on_batch(rows)["place"].shape, float(rounded.get_layer("last.relu.rounded").high) > 0)
"""


def test_it_trains_on_jax() -> None:
    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX, which trains on GPUs, is not installed.")
    done = subprocess.run(
        [sys.executable, "-c", ON_JAX, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        check=False,
    )
    assert done.stdout == "(8, 2) True\n", done.stderr[-2000:]
