import os
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from trainbox.errors import ModelFileError
from trainbox.tasks.detect.anchors import AnchorSpec, anchors_cyxhw
from trainbox.tasks.detect.networks import folding, pretrained, ssd, tf1_checkpoint
from trainbox.training.device import Device

SSDLITE = ssd.SsdSpec(classes=1, depthwise_extras=True, depthwise_predictors=True)


@pytest.mark.parametrize("backbone", ["mobilenet_v1", "mobilenet_v2"])
def test_feature_maps_at_300(backbone: str) -> None:
    spec = ssd.SsdSpec(backbone=backbone, depth_multiplier=0.25, classes=2)
    network = ssd.build(spec)
    assert ssd.grids(network, spec) == [(19, 19), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)]
    assert {name: output.shape for name, output in network.output.items()} == {
        "encodings": (None, 1917, 4),
        "logits": (None, 1917, 3),
    }


def test_any_size() -> None:
    spec = ssd.SsdSpec(size=(128, 192), depth_multiplier=0.25)
    network = ssd.build(spec)
    assert len(anchors_cyxhw(AnchorSpec(), ssd.grids(network, spec))) == network.output["logits"].shape[1]


@pytest.mark.parametrize("depthwise", [False, True])
def test_answers_are_float32_and_gradients_numbers_in_bfloat16(depthwise: bool) -> None:
    tf = pytest.importorskip("tensorflow")
    spec = ssd.SsdSpec(size=(96, 64), depth_multiplier=0.25, batch_norm=False, depthwise_extras=depthwise)
    with Device("cpu", "tensorflow", "", "mixed_bfloat16").arithmetic():
        network = ssd.build(spec)
    assert {output.dtype for output in network.output.values()} == {"float32"}
    assert network.get_layer("FeatureExtractor.MobilenetV2.Conv").compute_dtype == "bfloat16"

    @tf.function
    def gradients(image):
        with tf.GradientTape() as tape:
            loss = sum(tf.reduce_sum(answer**2) for answer in network(image, training=True).values())
        return tape.gradient(loss, [variable.value for variable in network.trainable_variables])

    for _ in range(5):
        # What is freed here is what an unset gradient would be found to hold.
        tf.constant(np.full(1 << 20, np.nan, np.float32))
        for variable, gradient in zip(network.trainable_variables, gradients(_noise(spec.size)), strict=True):
            assert np.isfinite(gradient).all(), variable.path


def _noise(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (2, *size, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("spec", "folder"),
    [
        (ssd.SsdSpec(backbone="mobilenet_v1", classes=90), "ssd_mobilenet_v1_coco_2018_01_28"),
        (ssd.SsdSpec(classes=90, depthwise_extras=True, predictor_kernel=3), "ssd_mobilenet_v2_coco_2018_03_29"),
        (
            ssd.SsdSpec(classes=90, depthwise_extras=True, depthwise_predictors=True),
            "ssdlite_mobilenet_v2_coco_2018_05_09",
        ),
    ],
)
def test_names_and_shapes_are_those_of_the_zoo(spec: ssd.SsdSpec, folder: str) -> None:
    listing = real_data() / "weights/zoo_indexes" / folder / "variables.txt"
    zoo = {}
    for line in listing.read_text().splitlines():
        name, _, shape = line.partition(" ")
        zoo[name] = tuple(int(side) for side in shape.strip("[]").split(",") if side.strip())
    ours = {name: array.shape for name, array in tf1_checkpoint.named_arrays(ssd.build(spec)).items()}
    assert {name: zoo.get(name) for name in ours} == ours


def test_the_supplied_checkpoint_answers_as_its_frozen_graph() -> None:
    folder = real_data() / "weights/ssdlite_mobilenet_v2_pedestrian"
    network = ssd.build(SSDLITE)
    imported = pretrained.start_from(network, folder / "model.ckpt")
    assert imported == tf1_checkpoint.Imported(assigned=404, fresh=())
    folded = folding.fold(network, SSDLITE)
    for name in ("image1.jpg", "image2.jpg"):
        photo = np.asarray(Image.open(real_data() / "odapi_test_data" / name).convert("RGB"))[None]
        scaled, encodings, logits = frozen_answers(folder / "frozen_inference_graph.pb", photo)
        ours = network(scaled)
        np.testing.assert_allclose(keras.ops.sigmoid(ours["logits"]), 1 / (1 + np.exp(-logits)), atol=1e-5)
        np.testing.assert_allclose(ours["encodings"], encodings.reshape(1, -1, 4), atol=1e-4)
        without_norm = folded(scaled)
        np.testing.assert_allclose(keras.ops.sigmoid(without_norm["logits"]), 1 / (1 + np.exp(-logits)), atol=1e-5)
        np.testing.assert_allclose(without_norm["encodings"], encodings.reshape(1, -1, 4), atol=1e-4)


def frozen_answers(path: Path, photo: np.ndarray) -> list[np.ndarray]:
    """Return the scaled picture, the box encodings and the logits of an original frozen graph."""
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(path.read_bytes())
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.import_graph_def(definition, name="")
        return session.run(["Preprocessor/sub:0", "Squeeze:0", "concat_1:0"], {"image_tensor:0": photo})


def test_another_number_of_classes_starts_the_class_head_anew() -> None:
    source = ssd.SsdSpec(depth_multiplier=0.25, classes=3)
    target = ssd.SsdSpec(depth_multiplier=0.25, classes=5)
    imported = tf1_checkpoint.assign(ssd.build(target), tf1_checkpoint.named_arrays(ssd.build(source)))
    assert imported.fresh and imported.class_head_fresh
    assert "Its classes are others, so the class predictors start anew." in imported.sentences()
    assert all("/ClassPredictor/" in name for name in imported.fresh)


def test_a_bare_classifier_fills_the_backbone_only() -> None:
    spec = ssd.SsdSpec(backbone="mobilenet_v1", depth_multiplier=0.25)
    network = ssd.build(spec)
    prefix = "FeatureExtractor/"
    classifier = {
        name.removeprefix(prefix): array + 1
        for name, array in tf1_checkpoint.named_arrays(network).items()
        if name.startswith(prefix)
    }
    imported = tf1_checkpoint.assign(network, classifier)
    assert imported.assigned == len(classifier) > 100 and imported.kind == "TensorFlow 1 backbone"
    assert not [name for name in imported.fresh if name.startswith(prefix)]


def test_a_tensor_that_does_not_fit_is_named() -> None:
    arrays = tf1_checkpoint.named_arrays(ssd.build(ssd.SsdSpec(depth_multiplier=0.5)))
    with pytest.raises(ModelFileError, match=r"Tensor 'FeatureExtractor/MobilenetV2/.*does not fit.*shape \["):
        tf1_checkpoint.assign(ssd.build(ssd.SsdSpec(depth_multiplier=1.0)), arrays)


def test_nothing_is_assigned_unless_all_fits() -> None:
    spec = ssd.SsdSpec(depth_multiplier=0.25)
    network = ssd.build(spec)
    before = tf1_checkpoint.named_arrays(network)
    arrays = {name: array + 1 for name, array in before.items()}
    last = next(name for name in reversed(arrays) if "/ClassPredictor/" not in name)
    arrays[last] = np.full_like(arrays[last], np.nan)
    with pytest.raises(ModelFileError, match=f"Tensor '{last}'.* not finite"):
        tf1_checkpoint.assign(network, arrays)
    for name, array in tf1_checkpoint.named_arrays(network).items():
        np.testing.assert_array_equal(array, before[name])


def test_a_foreign_checkpoint_is_refused() -> None:
    with pytest.raises(ModelFileError, match="no tensor of this network"):
        tf1_checkpoint.assign(ssd.build(ssd.SsdSpec(depth_multiplier=0.25)), {"bert/embeddings": np.zeros(3)})


def real_data() -> Path:
    folder = os.environ.get("TRAINBOX_TEST_DATA")
    if not folder:
        pytest.skip("TRAINBOX_TEST_DATA is not set: the zoo's indexes and the real checkpoint are not here")
    return Path(folder)
