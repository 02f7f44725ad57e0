"""A detector's files: what they answer, and what phones and robots take for granted of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export import detector
from trainbox.errors import ModelFileError, ProofError
from trainbox.export import cars, elsewhere, runtimes, tflite_detection
from trainbox.export.bundle import Bundle, write_bundle
from trainbox.export.detection_ending import OPERATOR, OUTPUTS, detect
from trainbox.export.keras_native import answers, float32_copy
from trainbox.export.op_versions import TFLITE_RUNTIME_2_14

TFLITE = ("model.tflite", "model_dynamic.tflite", "model_quantized.tflite")
FLOAT = ("model.tflite", "saved_model", "model.onnx")


def needs(file: str) -> None:
    if file.endswith(".onnx"):
        pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")


@pytest.fixture(scope="session")
def network() -> Any:
    return float32_copy(detector.network())


@pytest.fixture(scope="session")
def files(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Every kind of TensorFlow Lite file of the detector. Read only."""
    return write_bundle(network, detector.deployables(*TFLITE), {}, tmp_path_factory.mktemp("detector") / "model")


@pytest.fixture(scope="session")
def expected(network: Any) -> dict[str, np.ndarray]:
    found = detect(*answers(network, detector.pictures()).values(), detector.ending())
    assert found["num_detections"].min() > 3
    assert len(np.unique(found["detection_classes"])) == detector.CLASSES
    return found


@pytest.mark.parametrize("regular_nms", [True, False])
@pytest.mark.parametrize("file", FLOAT)
def test_a_file_finds_what_the_network_finds(file: str, regular_nms: bool, network: Any, tmp_path: Path) -> None:
    needs(file)
    wanted = detector.deployables(file, regular_nms=regular_nms)
    bundle = write_bundle(network, wanted, {}, tmp_path / "model")
    proof = bundle.manifest["models"][file]["proof"]
    assert proof["detections"]["expected"] == proof["detections"]["received"] > 20
    assert proof["largest_difference"] < 1e-5
    found = runtimes.open_model(bundle.folder / file, trusted=True)(detector.pictures())
    assert {name: array.shape for name, array in found.items()} == dict(
        zip(OUTPUTS, [(5, 20, 4), (5, 20), (5, 20), (5,)], strict=True)
    )


@pytest.mark.parametrize("file", FLOAT)
def test_a_classs_own_limit_holds(file: str, network: Any, tmp_path: Path) -> None:
    needs(file)
    bundle = write_bundle(network, detector.deployables(file, detections_per_class=2), {}, tmp_path / "model")
    found = runtimes.open_model(bundle.folder / file, trusted=True)(detector.pictures())
    assert found["num_detections"].max() == 6
    assert bundle.manifest["models"][file]["proof"]["largest_difference"] < 1e-5


@pytest.mark.parametrize("file", FLOAT)
def test_where_there_is_nothing_nothing_is_found(file: str, network: Any, tmp_path: Path) -> None:
    needs(file)
    bundle = write_bundle(network, detector.deployables(file, score_threshold=0.9999), {}, tmp_path / "model")
    found = runtimes.open_model(bundle.folder / file, trusted=True)(detector.pictures())
    assert not any(found[name].any() for name in OUTPUTS)


@pytest.mark.parametrize("file", TFLITE[1:])
def test_a_rounded_file_finds_nearly_the_same(file: str, files: Bundle, expected: dict[str, np.ndarray]) -> None:
    found = runtimes.open_model(files.file(file), trusted=True)(detector.pictures())
    best = expected["detection_scores"][:, 0]
    np.testing.assert_allclose(found["detection_scores"][:, 0], best, atol=0.06)
    np.testing.assert_array_equal(found["detection_classes"][:, 0], expected["detection_classes"][:, 0])
    np.testing.assert_allclose(found["detection_boxes"][:, 0], expected["detection_boxes"][:, 0], atol=0.06)
    assert files.manifest["models"][file]["proof"]["tolerance"] is None


@pytest.mark.parametrize("file", TFLITE)
def test_outputs_stand_where_clients_look_for_them(file: str, files: Bundle, expected: dict[str, np.ndarray]) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(files.file(file)))
    interpreter.allocate_tensors()
    [given] = interpreter.get_input_details()
    picture = detector.pictures()["image"][:1]
    integers = np.round(picture * 127.5 + 127.5).astype(np.uint8)
    interpreter.set_tensor(given["index"], integers if file == "model_quantized.tflite" else picture)
    interpreter.invoke()
    details = interpreter.get_output_details()
    assert [detail["name"] for detail in details] == [OPERATOR, *(f"{OPERATOR}:{i}" for i in (1, 2, 3))]
    assert [detail["shape"].tolist() for detail in details] == [[1, 20, 4], [1, 20], [1, 20], [1]]
    boxes, classes, scores, count = (interpreter.get_tensor(detail["index"]) for detail in details)
    np.testing.assert_allclose(boxes[0, 0], expected["detection_boxes"][0, 0], atol=0.06)
    assert classes[0, 0] == expected["detection_classes"][0, 0]
    np.testing.assert_allclose(scores[0, 0], expected["detection_scores"][0, 0], atol=0.06)
    assert count[0] >= 1
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["image"], "outputs": list(OUTPUTS)}}
    assert given["name"] == "serving_default_image:0"


def test_the_integers_of_the_quantized_file_are_those_of_the_picture(files: Bundle) -> None:
    """Though no picture that set its scales was white or black anywhere."""
    from ai_edge_litert.interpreter import Interpreter

    [given] = Interpreter(str(files.file("model_quantized.tflite"))).get_input_details()
    scale, zero = given["quantization"]
    assert given["dtype"] is np.uint8
    assert scale == pytest.approx(1 / 127.5, rel=1e-3)
    assert zero in (127, 128)
    assert abs(detector.pictures()["image"]).max() < 0.9
    with pytest.raises(ProofError, match=r"stand for -0.896 to 0.904, not for -1 to 1"):
        tflite_detection.check_pixels("image", 1.8 / 255, 127)


def test_the_quantized_file_is_integers_up_to_the_ending(files: Bundle) -> None:
    from ai_edge_litert.interpreter import Interpreter

    details = Interpreter(str(files.file("model_quantized.tflite"))).get_tensor_details()
    assert not [d["name"] for d in details if len(d["shape"]) == 4 and d["dtype"] is np.float32]
    assert sum(d["dtype"] is np.int8 for d in details if len(d["shape"]) == 4) > 10


@pytest.mark.parametrize("file", TFLITE)
def test_a_file_says_what_it_ends_in(file: str, files: Bundle) -> None:
    read = tflite_detection.read_ending(files.file(file))
    assert read is not None
    assert read.settings() == {**detector.ending().settings(), "labels": ["cat", "traffic light", "Ä dog"]}
    np.testing.assert_array_equal(read.anchors_cyxhw, detector.anchors())


def test_a_file_without_an_ending_has_none(tmp_path: Path) -> None:
    import keras

    from trainbox.export.tflite import write_tflite

    image = keras.Input((4,), name="image")
    write_tflite(float32_copy(keras.Model(image, keras.layers.Dense(2)(image))), tmp_path / "model.tflite")
    assert tflite_detection.read_ending(tmp_path / "model.tflite") is None


def test_outputs_in_another_order_are_no_proof(files: Bundle, tmp_path: Path) -> None:
    from ai_edge_litert import schema_py_generated as schema

    path = files.file("model.tflite")
    tflite_detection.check_order(path)
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    model.subgraphs[0].outputs = model.subgraphs[0].outputs[[0, 2, 1, 3]]
    (tmp_path / "model.tflite").write_bytes(tflite_detection._packed(model))
    with pytest.raises(ProofError, match="gives detection_boxes, detection_scores, detection_classes, num_detections"):
        tflite_detection.check_order(tmp_path / "model.tflite")


def test_a_cut_file_is_refused(files: Bundle, tmp_path: Path) -> None:
    content = files.file("model.tflite").read_bytes()
    for length in (4, 40, len(content) // 2):
        (tmp_path / "model.tflite").write_bytes(content[:length])
        with pytest.raises(ModelFileError, match=r"model.tflite"):
            tflite_detection.read_ending(tmp_path / "model.tflite")


def test_arrays_stand_where_processors_want_them(files: Bundle) -> None:
    from ai_edge_litert import schema_py_generated as schema

    content = np.frombuffer(files.file("model.tflite").read_bytes(), np.uint8)
    model = schema.Model.GetRootAs(content, 0)
    arrays = [model.Buffers(i).DataAsNumpy() for i in range(model.BuffersLength()) if model.Buffers(i).DataLength()]
    start = content.__array_interface__["data"][0]
    assert len(arrays) > 10
    assert {(array.__array_interface__["data"][0] - start) % 16 for array in arrays} == {0}


@pytest.mark.parametrize("file", TFLITE)
def test_every_operator_is_one_that_an_old_runtime_knows(file: str, files: Bundle) -> None:
    operators = cars.tflite_operators(files.file(file))
    assert operators.pop(f"CUSTOM {OPERATOR}") == 1
    assert operators
    assert all(version <= TFLITE_RUNTIME_2_14[name] for name, version in operators.items()), operators
    said = files.manifest["models"][file]["loads_on"]
    assert [entry["runtime"] for entry in said] == ["tflite-runtime 2.14", "ai-edge-litert 2.1.4 or later"]
    assert all(entry["loads"] for entry in said)


def test_another_networks_file_is_no_proof(files: Bundle) -> None:
    [deployable] = detector.deployables("model.tflite")
    with pytest.raises(ProofError, match=r"model.tflite answers up to .* away from the Keras model"):
        runtimes.prove(float32_copy(detector.network(seed=5)), deployable, files.file("model.tflite"))


def test_the_other_process_writes_the_same_files(network: Any, files: Bundle, tmp_path: Path) -> None:
    wanted = detector.deployables("model.tflite", "model_quantized.tflite")
    models = elsewhere.write_and_prove(network, wanted, tmp_path)
    assert models["model.tflite"]["proof"]["largest_difference"] < 1e-5
    for file in models:
        assert (tmp_path / file).read_bytes() == files.file(file).read_bytes()
