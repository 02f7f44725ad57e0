from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.conftest import FILES, deployables, small_inputs, small_network
from trainbox.errors import ModelFileError, ProofError
from trainbox.export import cars, runtimes
from trainbox.export.bundle import Bundle, Deployable
from trainbox.export.keras_native import answers, float32_copy
from trainbox.export.op_versions import TFLITE_RUNTIME_2_14
from trainbox.export.saved_model import signature_outputs
from trainbox.export.tflite import write_tflite, write_tflite_dynamic


@pytest.mark.parametrize("file", FILES)
def test_a_file_answers_as_the_network(file: str, bundle: Bundle, network: Any) -> None:
    opened = runtimes.open_model(bundle.folder / file, small_network(seed=9), trusted=True)
    received = opened(small_inputs())
    expected = answers(float32_copy(network), small_inputs())
    assert list(received) == list(expected) == ["angle_out", "throttle_out"]
    for name, wanted in expected.items():
        assert received[name].dtype == np.float32
        np.testing.assert_allclose(received[name], wanted, atol=0.05 if "quantized" in file else 1e-5)


def test_a_graph_from_outside_is_not_run(bundle: Bundle) -> None:
    with pytest.raises(ModelFileError, match="is a SavedModel, a program"):
        runtimes.open_model(bundle.folder / "saved_model")
    for file in ("model.keras", "model.h5"):
        with pytest.raises(ModelFileError, match="by giving its arrays to a network"):
            runtimes.open_model(bundle.folder / file)


def test_a_tflite_from_outside_is_tried_in_a_process_of_its_own(bundle: Bundle, tmp_path: Path) -> None:
    assert set(runtimes.open_model(bundle.folder / "model.tflite")(small_inputs())) == {"angle_out", "throttle_out"}
    content = (bundle.folder / "model.tflite").read_bytes()
    damaged = tmp_path / "model.tflite"
    for cut in (4, 30, len(content) // 2, len(content) - 40):
        damaged.write_bytes(content[:cut])
        with pytest.raises(ModelFileError, match=r"model.tflite"):
            runtimes.open_model(damaged)


@pytest.mark.parametrize("name", ["model.caffe", "folder", "none.tflite"])
def test_what_is_no_model_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "model.caffe").write_bytes(b"caffe")
    with pytest.raises(ModelFileError, match="is no model file"):
        runtimes.kind_of(tmp_path / name)


@pytest.mark.parametrize("file", ["model.h5", "model.keras", "model.tflite"])
def test_another_networks_file_is_no_proof(file: str, bundle: Bundle) -> None:
    [deployable] = deployables(file)
    with pytest.raises(
        ProofError, match=rf"{file} answers up to .* away from the Keras model on .*; (1e-05|0.0001) is allowed"
    ):
        runtimes.prove(float32_copy(small_network(seed=9)), deployable, bundle.folder / file)


def test_a_damaged_file_is_no_proof(network: Any, bundle: Bundle, tmp_path: Path) -> None:
    for file in ("model.h5", "model.keras", "model.tflite"):
        path = tmp_path / file
        path.write_bytes((bundle.folder / file).read_bytes()[:-600])
        with pytest.raises(ProofError, match=f"{file} does not load or run"):
            runtimes.prove(float32_copy(network), deployables(file)[0], path)


def test_a_file_without_its_arrays_is_no_proof(bundle: Bundle) -> None:
    """An untrained network of the same answers but more parameters than the file has bytes."""
    import keras

    network = small_network()
    wide = keras.layers.Dense(5000, name="wide")(network.get_layer("dense_1").output)
    zero = keras.layers.Dense(1, kernel_initializer="zeros", name="zero")(wide)
    summed = keras.layers.Add(name="sum")([network.outputs[1], zero])
    larger = float32_copy(keras.Model(network.inputs, [network.outputs[0], summed]))
    with pytest.raises(ProofError, match=r"model.tflite has \d+ bytes, too few for \d+ parameters"):
        runtimes.prove(larger, deployables("model.tflite")[0], bundle.folder / "model.tflite")


def test_outputs_come_in_the_models_order_also_where_their_names_do_not(tmp_path: Path) -> None:
    import keras

    picture = keras.Input((4, 4, 3), name="img_in")
    flat = keras.layers.Flatten(name="flat")(picture)
    network = float32_copy(
        keras.Model(picture, [keras.layers.Dense(2, name="throttle")(flat), keras.layers.Dense(3, name="angle")(flat)])
    )
    assert signature_outputs(network) == ["output_0", "output_1"]
    write_tflite(network, tmp_path / "model.tflite")
    inputs = {"img_in": small_inputs()["img_in"][:, :4, :4]}
    entry = runtimes.prove(network, Deployable("model.tflite", "tflite", inputs, 1e-5), tmp_path / "model.tflite")
    assert entry["outputs"] == {"output_0": [2], "output_1": [3]}
    assert set(entry["proof"]["differences"]) == {"throttle", "angle"}


def test_a_tflite_is_what_a_car_asks_for(bundle: Bundle) -> None:
    from ai_edge_litert.interpreter import Interpreter

    for file in ("model.tflite", "model_quantized.tflite"):
        interpreter = Interpreter(str(bundle.folder / file))
        assert interpreter.get_signature_list() == {
            "serving_default": {"inputs": ["img_in", "mem_in"], "outputs": ["angle_out", "throttle_out"]}
        }
        details = interpreter.get_input_details()
        assert {d["name"] for d in details} == {"serving_default_img_in:0", "serving_default_mem_in:0"}
        assert {d["dtype"] for d in [*details, *interpreter.get_output_details()]} == {np.float32}
        assert [1, 12, 16, 3] in [d["shape"].tolist() for d in details]


def test_int8_is_int8_inside(bundle: Bundle) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(bundle.folder / "model_quantized.tflite"))
    arrays = [d for d in interpreter.get_tensor_details() if len(d["shape"]) in (2, 4)]
    floats = {d["name"] for d in arrays if d["dtype"] == np.float32}
    ends = {d["name"] for d in [*interpreter.get_input_details(), *interpreter.get_output_details()]}
    assert floats == ends
    assert sum(d["dtype"] == np.int8 for d in arrays) >= 10


def test_every_operator_is_one_that_an_old_car_knows(bundle: Bundle, network: Any, tmp_path: Path) -> None:
    write_tflite_dynamic(float32_copy(network), tmp_path / "dynamic.tflite")
    for path in (bundle.folder / "model.tflite", bundle.folder / "model_quantized.tflite", tmp_path / "dynamic.tflite"):
        operators = cars.tflite_operators(path)
        assert operators["FULLY_CONNECTED"] >= 1 and operators["CONV_2D"] >= 1
        assert all(version <= TFLITE_RUNTIME_2_14[name] for name, version in operators.items()), operators
    assert cars.tflite_operators(tmp_path / "dynamic.tflite")["FULLY_CONNECTED"] == 9


def test_an_operator_too_new_for_a_car_is_said(network: Any, tmp_path: Path) -> None:
    """What TensorFlow writes when left to itself: dense layers quantized channel by channel."""
    import tensorflow as tf

    from trainbox.export.tflite import _converter

    with _converter(float32_copy(network), tmp_path) as converter:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        (tmp_path / "model.tflite").write_bytes(converter.convert())
    [old, new] = cars.loads_on("tflite_dynamic", tmp_path / "model.tflite")
    assert not old["loads"] and old["because"] == "needs FULLY_CONNECTED 12 (it knows up to 10)"
    assert new["loads"]


def test_nothing_aside_is_left(bundle: Bundle) -> None:
    assert not list(bundle.folder.glob(".*"))
