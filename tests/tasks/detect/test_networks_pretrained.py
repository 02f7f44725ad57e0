"""Finding a checkpoint in a channel, and starting from each kind of file."""

import os
import re
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest

from trainbox.errors import DataError, ModelFileError
from trainbox.tasks.detect.networks import foreign_names, pretrained, ssd, tf1_checkpoint
from trainbox.tasks.detect.networks.statistics import reestimate

SMALL = {"size": (96, 96), "depth_multiplier": 0.25}
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


def small(**values) -> ssd.SsdSpec:
    return ssd.SsdSpec(**{**SMALL, **values})


@cache
def empty() -> keras.Model:
    """A network that no test fills."""
    return ssd.build(small())


def filled(spec: ssd.SsdSpec, seed: int = 0) -> keras.Model:
    network, random = ssd.build(spec), np.random.default_rng(seed)
    for layer in network.layers:
        layer.set_weights([random.uniform(0.1, 1, array.shape) for array in layer.get_weights()])
    return network


def assert_same_arrays(one: keras.Model, other: keras.Model, scope: str = "") -> None:
    first, second = (tf1_checkpoint.named_arrays(network) for network in (one, other))
    names = [name for name in first if name.startswith(scope)]
    assert names
    for name in names:
        np.testing.assert_array_equal(second[name], first[name], err_msg=name)


def tf2_names(network: keras.Model, spec: ssd.SsdSpec) -> dict[str, np.ndarray]:
    """The network's arrays as the OD API's TensorFlow 2 models save them."""
    renamed = {}
    last = {"weights": "kernel", "depthwise_weights": "depthwise_kernel", "biases": "bias"}
    order = foreign_names.backbone_scopes(network)
    for name, array in tf1_checkpoint.named_arrays(network).items():
        scope, _, variable = name.replace("/BatchNorm/", "/BatchNorm:").rpartition("/")
        norm = variable.startswith("BatchNorm:")
        variable = variable.removeprefix("BatchNorm:") if norm else last[variable]
        if scope in order:
            place = "_feature_extractor/classification_backbone/"
            place += f"layer_with_weights-{2 * order.index(scope) + norm}"
        elif scope.startswith("BoxPredictor_"):
            number, head = re.fullmatch(r"BoxPredictor_(\d)/(.*?)(?:_depthwise)?", scope).groups()
            depthwise, attribute = scope.endswith("_depthwise"), {
                "BoxEncodingPredictor": "box_encodings/{}/_box_encoder_layers",
                "ClassPredictor": "class_predictions_with_background/{}/_class_predictor_layers",
            }[head]  # fmt: skip
            index = int(norm) if depthwise else 3 if spec.depthwise_predictors else 0
            place = f"_box_predictor/_prediction_heads/{attribute.format(number)}/{index}"
        else:
            part, number = re.search(r"_([12])_Conv2d_(\d)", scope).groups()
            index = {"1": 0, "2": 3}[part] + (3 if spec.depthwise_extras and part == "2" else 0)
            index = 3 if scope.endswith("_depthwise") else index
            place = f"_feature_extractor/feature_map_generator/convolutions/{number}/{index + norm}"
        renamed[f"model/{place}/{variable}{SUFFIX}"] = array
        renamed[f"model/{place}/{variable}/.OPTIMIZER_SLOT/optimizer/momentum{SUFFIX}"] = array * 0
    return renamed


@pytest.mark.parametrize(
    ("backbone", "depthwise"),
    [
        ("mobilenet_v2", True),
        ("mobilenet_v1", False),
        pytest.param("mobilenet_v2", False, marks=pytest.mark.slow),
        pytest.param("mobilenet_v1", True, marks=pytest.mark.slow),
    ],
)
def test_a_tensorflow_2_detector_fills_every_array(backbone: str, depthwise: bool) -> None:
    spec = small(backbone=backbone, classes=3, depthwise_extras=depthwise, depthwise_predictors=depthwise)
    source, network = filled(spec), ssd.build(spec)
    imported = pretrained.start_from(network, tf2_names(source, spec))
    assert imported.kind == "TensorFlow 2 detector"
    assert imported.fresh == () and not imported.class_head_fresh and not imported.folded
    assert_same_arrays(source, network)


def test_a_tensorflow_2_detector_of_other_classes() -> None:
    source = filled(small(classes=90))
    network = ssd.build(small(classes=2))
    imported = pretrained.start_from(network, tf2_names(source, small(classes=90)))
    assert imported.class_head_fresh and len(imported.fresh) == 12
    assert_same_arrays(source, network, "FeatureExtractor/")


def test_a_tensorflow_2_detector_of_another_network_is_named() -> None:
    spec = small(backbone="mobilenet_v1")
    with pytest.raises(ModelFileError, match=r"Tensor 'FeatureExtractor/MobilenetV2/.* does not fit"):
        pretrained.start_from(empty(), tf2_names(filled(spec), spec))


def test_a_tensorflow_2_file_of_no_detector_is_refused() -> None:
    with pytest.raises(ModelFileError, match="holds nothing of an SSD MobileNet"):
        pretrained.start_from(empty(), {f"model/dense/kernel{SUFFIX}": np.zeros((2, 2), np.float32)})


def test_the_zoos_tensorflow_2_names_fill_the_backbone() -> None:
    listing = real_data() / "weights/zoo_indexes/tf2_ssd_mobilenet_v2_fpnlite_ckpt/variables.txt"
    arrays = {}
    for line in listing.read_text().splitlines():
        name, _, shape = line.partition(" ")
        arrays[name] = np.ones([int(side) for side in shape.strip("[]").split(",") if side.strip()], np.float32)
    network = ssd.build(ssd.SsdSpec(classes=5))
    imported = pretrained.start_from(network, arrays)
    assert imported.kind == "TensorFlow 2 backbone" and imported.assigned == 260
    assert not [name for name in imported.fresh if "/MobilenetV2/" in name and "layer_19" not in name]


@pytest.mark.parametrize("alpha", [0.5, pytest.param(1.0, marks=pytest.mark.slow)])
def test_keras_mobilenet_v2_answers_as_keras_does(alpha: float, tmp_path: Path) -> None:
    application = keras.applications.MobileNetV2((96, 96, 3), alpha, include_top=False, weights=None)
    revive(application)
    network = ssd.build(small(depth_multiplier=alpha, min_depth=8))
    for name in ("model.keras", "model.h5", "model.weights.h5"):
        path = tmp_path / name
        (application.save_weights if name.endswith("weights.h5") else application.save)(path)
        imported = pretrained.start_from(network, path)
        # Keras keeps the last convolution of a narrow classifier at 1280 filters, a detector has fewer.
        assert imported.kind == "Keras backbone" and imported.assigned == (260 if alpha == 1 else 255), name
        tapped = [network.get_layer(f"FeatureExtractor.MobilenetV2.{part}.Relu6").output
                  for part in ("expanded_conv_13.expand", "Conv_1")]  # fmt: skip
        theirs = [application.get_layer(name).output for name in ("block_13_expand_relu", "out_relu")]
        pictures = np.random.default_rng(0).uniform(-1, 1, (2, 96, 96, 3)).astype(np.float32)
        ours = keras.Model(network.input, tapped)(pictures)
        assert (alpha == 1) != ("MobilenetV2/Conv_1" in " ".join(imported.sentences()))
        for answer, wanted in list(zip(ours, keras.Model(application.input, theirs)(pictures), strict=True))[
            : 2 if alpha == 1 else 1
        ]:
            np.testing.assert_allclose(answer, wanted, atol=1e-5)
        for layer in network.layers:
            layer.set_weights([array * 0 for array in layer.get_weights()])


def test_keras_mobilenet_v1_fills_the_backbone(tmp_path: Path) -> None:
    application = keras.applications.MobileNet((96, 96, 3), 0.25, include_top=False, weights=None)
    network = ssd.build(small(backbone="mobilenet_v1", min_depth=8))
    for name in ("model.keras", "model.weights.h5"):
        (application.save_weights if name.endswith("weights.h5") else application.save)(tmp_path / name)
        imported = pretrained.start_from(network, tmp_path / name)
        assert imported.kind == "Keras backbone" and imported.assigned == 27 * 5


def test_our_own_model_is_started_from(tmp_path: Path) -> None:
    spec = small(classes=2)
    source, network = filled(spec), ssd.build(spec)
    scores = keras.layers.Activation("sigmoid", name="scores")(source.output["logits"])
    keras.Model(source.input, [source.output["encodings"], scores]).save(tmp_path / "model.keras")
    imported = pretrained.start_from(network, tmp_path / "model.keras")
    assert (imported.kind, imported.fresh, imported.folded) == ("Trainbox model", (), False)
    assert_same_arrays(source, network)


def test_what_an_import_says() -> None:
    arrays = tf1_checkpoint.named_arrays(empty())
    backbone = {name: array for name, array in arrays.items() if "/MobilenetV2/" in name and "layer_19" not in name}
    said = pretrained.start_from(ssd.build(small()), backbone).sentences()
    assert said[0] == "Start from a TensorFlow 1 backbone: 260 arrays taken from it."
    assert "FeatureExtractor/MobilenetV2/layer_19_1_Conv2d_2_1x1_64" in said[1]


def revive(network: keras.Model) -> None:
    """Give batch norms values as training leaves them, so that the answers are not all alike."""
    random = np.random.default_rng(3)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.set_weights(
                [random.uniform(low, high, shape) for low, high in ((0.5, 2), (-1, 1), (-0.1, 0.1), (0.05, 1))]
            )


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def checkpoint(prefix: str) -> tuple[str, str]:
    return f"{prefix}.index", f"{prefix}.data-00000-of-00001"


@pytest.mark.parametrize(
    ("names", "named", "found"),
    [
        ((), "", None),
        (("pipeline.config", "label_map.pbtxt"), "", None),
        ((*checkpoint("model.ckpt"), "model.ckpt.meta", "frozen_inference_graph.pb"), "", "model.ckpt"),
        ((*checkpoint("a/model.ckpt-77"), "a/saved_model/saved_model.pb"), "", "a/model.ckpt-77"),
        ((*checkpoint("m/checkpoint/ckpt-0"), "m/saved_model/saved_model.pb",
          *checkpoint("m/saved_model/variables/variables")), "", "m/checkpoint/ckpt-0"),
        ((*checkpoint("ckpt-1"), *checkpoint("ckpt-2")), "gs://bucket/run/ckpt-1", "ckpt-1"),
        ((*checkpoint("a/model.ckpt"), *checkpoint("b/model.ckpt")), "C:\\old\\b\\model.ckpt", "b/model.ckpt"),
        (("run/manifest.json", "run/model.keras", "run/model.h5"), "", "run"),
        (("weights.h5",), "PATH_TO_BE_CONFIGURED/model.ckpt", "weights.h5"),
        (("model.tar.gz",), "", "model.tar.gz"),
    ],
)  # fmt: skip
def test_the_checkpoint_of_a_channel_is_found(names: tuple[str, ...], named: str, found: str, tmp_path: Path) -> None:
    put(tmp_path, *names)
    assert pretrained.find_checkpoint(tmp_path, named) == (tmp_path / found if found else None)


def test_tensorflows_own_file_decides_between_several(tmp_path: Path) -> None:
    put(tmp_path, *checkpoint("ckpt-1"), *checkpoint("ckpt-2"))
    with pytest.raises(DataError, match=r"holds 2 checkpoints: ckpt-1, ckpt-2\. Leave the one"):
        pretrained.find_checkpoint(tmp_path)
    (tmp_path / "checkpoint").write_text(
        'model_checkpoint_path: "/home/x/ckpt-2"\nall_model_checkpoint_paths: "ckpt-1"'
    )
    assert pretrained.find_checkpoint(tmp_path) == tmp_path / "ckpt-2"


@pytest.mark.parametrize("name", ["frozen_inference_graph.pb", "model.ckpt.index", "detect.tflite"])
def test_a_graph_or_half_a_checkpoint_is_named(name: str, tmp_path: Path) -> None:
    put(tmp_path, name)
    with pytest.raises(DataError, match=f"holds {name}, but no whole checkpoint. Give model.ckpt.index"):
        pretrained.find_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["x.h5", "x.keras", "x.tar.gz"])
def test_a_damaged_file_is_named(name: str, tmp_path: Path) -> None:
    put(tmp_path, name)
    with pytest.raises(ModelFileError, match=re.escape(name)):
        pretrained.start_from(empty(), tmp_path / name)


def test_the_real_tensorflow_1_backbone_fills_mobilenet_v1() -> None:
    network = ssd.build(ssd.SsdSpec(backbone="mobilenet_v1"))
    imported = pretrained.start_from(network, real_data() / "weights/mobilenet_v1_1.0_imagenet/model.ckpt")
    assert imported.kind == "TensorFlow 1 backbone" and imported.assigned == 27 * 5


def test_the_real_keras_backbone_is_folded_and_estimated_anew() -> None:
    from PIL import Image

    network = ssd.build(ssd.SsdSpec(size=(224, 224)))
    path = real_data() / "weights/keras_mobilenet_v2_imagenet/mobilenet_v2_1.0_224_1001.weights.h5"
    imported = pretrained.start_from(network, path)
    assert imported.folded and imported.assigned == 260 and imported.kind == "Keras backbone"
    photos = [
        np.asarray(Image.open(real_data() / f"odapi_test_data/image{number}.jpg").convert("RGB").resize((224, 224)))
        for number in (1, 2)
    ]
    batch = np.stack(photos).astype(np.float32) / 127.5 - 1
    features = keras.Model(network.input, network.get_layer("FeatureExtractor.MobilenetV2.Conv_1.Relu6").output)
    before = keras.ops.convert_to_numpy(features(batch))
    assert 0.1 < before.mean() < 2
    reestimate(network, [batch], imported.fresh)
    np.testing.assert_allclose(features(batch), before, atol=2e-3)


def real_data() -> Path:
    folder = os.environ.get("TRAINBOX_TEST_DATA")
    if not folder:
        pytest.skip("TRAINBOX_TEST_DATA is not set: the zoo's indexes and the real checkpoints are not here")
    return Path(folder)
