import numpy as np
import pytest

from trainbox.tasks.drive.pilots import KINDS, Dropout, build, deployed, trainable


@pytest.mark.parametrize(
    ("pilot", "parameters"), [("linear", 817_028), ("categorical", 268_311), ("inferred", 816_977), ("memory", 817_266)]
)
def test_pilots_have_the_size_of_the_cars(pilot: str, parameters: int) -> None:
    assert build(pilot).count_params() == parameters


@pytest.mark.parametrize(
    ("pilot", "names", "activations"),
    [
        ("linear", ["n_outputs0", "n_outputs1"], ["linear", "linear"]),
        ("categorical", ["angle_out", "throttle_out"], ["softmax", "softmax"]),
        ("inferred", ["n_outputs0"], ["linear"]),
        ("memory", ["n_outputs0", "n_outputs1"], ["tanh", "sigmoid"]),
        ("robocars", ["angle_out", "throttle_out"], ["softmax", "relu"]),
    ],
)
def test_outputs_are_named_and_ordered_as_the_car_reads_them(
    pilot: str, names: list[str], activations: list[str]
) -> None:
    network = build(pilot)
    assert network.output_names == list(KINDS[pilot].output_names) == names
    # A car with a .tflite takes its outputs in alphabetical order.
    assert sorted(names) == names
    assert [network.get_layer(name).activation.__name__ for name in names] == activations


def test_inputs_are_named_as_the_car_feeds_them() -> None:
    assert [tensor.name for tensor in build("linear").inputs] == ["img_in"]
    memory = build("memory", memory_length=5)
    assert [tensor.name for tensor in memory.inputs] == ["img_in", "mem_in"]
    assert [tensor.shape for tensor in memory.inputs] == [(None, 120, 160, 3), (None, 10)]


def test_the_layer_that_a_car_freezes_up_to_is_there() -> None:
    assert "flattened" in [layer.name for layer in build("linear").layers]


def test_robocars_is_the_original_network() -> None:
    network = build("robocars")
    shapes = [layer.get_weights()[0].shape for layer in network.layers if layer.get_weights()]
    assert shapes[:5] == [(5, 5, 3, 24), (5, 5, 24, 32), (5, 5, 32, 64), (3, 3, 64, 64), (3, 3, 64, 64)]
    assert shapes[6:] == [(100, 50), (50, 15), (50, 1)]
    assert [layer.rate for layer in network.layers if layer.name.startswith("dropout")] == [0.1, 0.1]


def test_deployed_robocars_answers_pixels_as_the_trained_one_answers_shares() -> None:
    network = build("robocars")
    car = deployed(network, "robocars")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 120, 160, 3)).astype(np.float32)
    for trained, driven in zip(network([pixels / 255]), car([pixels]), strict=True):
        np.testing.assert_allclose(trained, driven, atol=1e-5)
    again = trainable(car, "robocars")
    for before, after in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(before, after, rtol=1e-5)


@pytest.mark.parametrize("dropout", ["dense", "none"])
@pytest.mark.parametrize("pilot", KINDS)
def test_what_was_trained_with_less_dropout_is_deployed_with_the_cars(pilot: str, dropout: Dropout) -> None:
    network = build(pilot, dropout=dropout)
    dropped = [layer.name for layer in network.layers if layer.name.startswith("dropout")]
    assert not any("conv" in name for name in dropped)
    assert ("dropout_dense_1" in dropped) == (dropout == "dense")
    car = deployed(network, pilot)
    assert [layer.name for layer in car.layers] == [layer.name for layer in build(pilot).layers]
    assert all(layer.rate > 0 for layer in car.layers if layer.name.startswith("dropout"))
    for layer in network.layers[2:]:
        for trained, driven in zip(layer.get_weights(), car.get_layer(layer.name).get_weights(), strict=True):
            if layer.name != "conv2d_1":
                np.testing.assert_array_equal(trained, driven)
