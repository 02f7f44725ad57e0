"""Which network and losses a pipeline.config or a hyperparameter asks for, and what is refused by name."""

import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from trainbox.errors import DataError
from trainbox.tasks.detect.anchors import anchors_cyxhw
from trainbox.tasks.detect.config import DetectConfig
from trainbox.tasks.detect.demo.writers import PIPELINE_CONFIG
from trainbox.tasks.detect.formats.pipeline_config import read_pipeline_config
from trainbox.tasks.detect.losses import ClassificationLoss, LocalisationLoss
from trainbox.tasks.detect.networks import ssd
from trainbox.tasks.detect.networks.choose import MODELS, departures, losses_for, spec_for


def described(text: str = PIPELINE_CONFIG):
    return read_pipeline_config(text.encode(), "pipeline.config").ssd()


def changed(*pairs: tuple[str, str]):
    text = PIPELINE_CONFIG
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return described(text)


@pytest.mark.parametrize("model", MODELS)
def test_each_model_has_a_network(model: str) -> None:
    spec = spec_for(DetectConfig(model=model, depth_multiplier=0.25, image_size=160), None, 3)
    assert spec.size == (160, 160) and spec.classes == 3 and spec.backbone in model
    assert ssd.build(spec).output["logits"].shape[-1] == 4


def test_without_anything_it_is_ssdlite_at_300() -> None:
    spec = spec_for(DetectConfig(), None, 1)
    assert spec == ssd.SsdSpec(depthwise_extras=True, depthwise_predictors=True, predictor_kernel=3)


def test_the_file_decides_and_hyperparameters_win() -> None:
    description = described()
    spec = spec_for(DetectConfig(), description, 4)
    assert (spec.backbone, spec.size, spec.classes, spec.depth_multiplier) == ("mobilenet_v2", (300, 300), 4, 1.0)
    assert spec.depthwise_extras and spec.depthwise_predictors
    other = spec_for(DetectConfig(model="ssd_mobilenet_v1", depth_multiplier=0.5), description, 7)
    assert other == ssd.SsdSpec(backbone="mobilenet_v1", classes=7, depth_multiplier=0.5)


def test_losses_of_hard_mining() -> None:
    classification, localisation, class_weight, box_weight = losses_for(described())
    assert classification == ClassificationLoss("hard_mining", 3.0, least_negatives=3)
    assert localisation == LocalisationLoss() and (class_weight, box_weight) == (1.0, 1.0)


def test_no_description_has_losses_too() -> None:
    assert losses_for(None) == (ClassificationLoss(least_negatives=3), LocalisationLoss(), 1.0, 1.0)


def test_losses_of_focal() -> None:
    description = changed(
        ("weighted_sigmoid { }", "weighted_sigmoid_focal { alpha: .25 gamma: 1.5 }"),
        ("weighted_smooth_l1 { }", "weighted_smooth_l1 { delta: .5 }"),
        ("num_classes: 4", "num_classes: 4 encode_background_as_zeros: true normalize_loc_loss_by_codesize: true"),
    )
    classification, localisation, _, _ = losses_for(description)
    assert (classification.kind, classification.focal_alpha, classification.focal_gamma) == ("focal", 0.25, 1.5)
    assert classification.background_as_zeros
    assert localisation == LocalisationLoss(by_code_size=True, corner=0.5)


def test_losses_without_mining_leave_no_negative_out() -> None:
    loss = losses_for(changed(("max_negatives_per_positive: 3", "max_negatives_per_positive: 0")))[0]
    targets = np.eye(3, dtype=np.float32)[np.array([[0] * 50, [1] + [0] * 49])]
    logits = np.linspace(-2, 2, targets.size, dtype=np.float32).reshape(targets.shape)
    entropy = np.log1p(np.exp(logits)) - logits * targets
    np.testing.assert_allclose(loss(targets, logits), entropy.sum(), rtol=1e-5)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("use_depthwise: true", "use_depthwise: true pad_to_multiple: 7", "pad_to_multiple of 7"),
        ("height: 300", "height: 20", r"fixed_shape_resizer of \(20, 300\)"),
        ("height: 300", "height: 100000", r"fixed_shape_resizer of \(100000, 300\)"),
        ("num_layers: 6", "num_layers: 7", "anchor_generator.num_layers of 7"),
        ("num_layers: 6", "num_layers: 1", "anchor_generator.num_layers of 1"),
        ("kernel_size: 3", "kernel_size: 2", "kernel_size of 2"),
        ("kernel_size: 3", "kernel_size: 3 num_layers_before_predictor: 2 max_depth: 64", "before_predictor of 2"),
        ("kernel_size: 3", "kernel_size: 3 box_code_size: 5", "box_code_size of 5"),
        ("score_converter: SIGMOID", "score_converter: SOFTMAX", "score_converter of SOFTMAX"),
        ("y_scale: 10", "y_scale: 5", "box_coder scales"),
        ("activation: RELU_6", "activation: RELU", "activation of RELU"),
        ("epsilon: 0.001", "epsilon: 0.1", "batch_norm.epsilon of 0.1"),
        ("num_classes: 4", "num_classes: 4 add_background_class: false", "add_background_class of False"),
        ("min_scale: 0.2", "min_scale: 0.2 scales: .5", "scales of"),
        ("min_scale: 0.2", "min_scale: -0.2", "ssd_anchor_generator of -0.2"),
        ("min_scale: 0.2", "min_scale: 0.2 height_stride: 16", "height_stride of"),
    ],
)  # fmt: skip
def test_what_the_network_cannot_be_is_refused_by_name(old: str, new: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        spec_for(DetectConfig(), changed((old, new)), 4)


def test_explicit_scales_ratios_strides_and_bases_are_the_anchors() -> None:
    lists = "scales: [.1, .2, .3, .4, .5, .6] interpolated_scale_aspect_ratio: 0 reduce_boxes_in_lowest_layer: false "
    lists += "height_stride: [16, 32, 64, 100, 150, 300] width_stride: [16, 32, 64, 100, 150, 300] "
    lists += "height_offset: [0, 0, 0, 0, 0, 30] width_offset: [0, 0, 0, 0, 0, 60] base_anchor_width: 0.5 "
    spec = spec_for(DetectConfig(), changed(("min_scale: 0.2", lists), ("width: 300", "width: 600")), 4)
    anchors = anchors_cyxhw(spec.anchors, [(19, 38), (10, 19), (5, 10), (3, 5), (2, 3), (1, 2)])
    ratios = np.array([1, 2, 0.5, 3, 0.3333])
    last = np.stack([0 * ratios + 0.1, 0 * ratios + 0.1, 0.6 / np.sqrt(ratios), 0.15 * np.sqrt(ratios)], axis=-1)
    np.testing.assert_allclose(anchors[-10:-5], last, rtol=1e-5)
    np.testing.assert_allclose(anchors[5] - anchors[0], [0, 16 / 600, 0, 0], atol=1e-6)
    np.testing.assert_allclose(anchors[5 * 38] - anchors[0], [16 / 300, 0, 0, 0], atol=1e-6)


def test_another_size_has_the_same_pixels_of_stride_and_the_same_arrays() -> None:
    spec = spec_for(DetectConfig(depth_multiplier=0.25), changed(("width: 300", "width: 600")), 1)
    assert spec.anchors.base == (1.0, 0.5)
    square = spec.at((300, 300))
    assert square.anchors.base == (1.0, 1.0) and square.size == (300, 300)
    shapes = [[weight.shape for weight in ssd.build(each).weights] for each in (spec, square)]
    assert shapes[0] == shapes[1]


def test_explicit_padding_shifts_strided_convolutions_only() -> None:
    text = (("use_depthwise: true", "use_explicit_padding: true use_depthwise: true"),)
    spec = spec_for(DetectConfig(depth_multiplier=0.25), changed(*text), 1)
    network = ssd.build(spec)
    assert ssd.grids(network, spec) == [(19, 19), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)]
    padded = [layer.name for layer in network.layers if layer.name.endswith(".padding")]
    assert len(padded) == 9
    assert network.get_layer(padded[0]).padding == ((1, 1), (1, 1))


def test_narrow_networks_of_tensorflow_2_are_as_the_od_api_builds_them_there() -> None:
    """It multiplies MobileNetV1's backbone twice, and MobileNetV2 has no shortcut where min_depth widened a block."""
    shortcuts = {}
    for kind in ("", "_keras"):
        text = (('"ssd_mobilenet_v2"', f'"ssd_mobilenet_v2{kind}"'), ("depth_multiplier: 1.0", "depth_multiplier: 0.5"))
        network = ssd.build(spec_for(DetectConfig(), changed(*text), 1))
        shortcuts[kind] = {layer.name for layer in network.layers if layer.name.endswith(".add")}
    assert shortcuts[""] - shortcuts["_keras"] == {"FeatureExtractor.MobilenetV2.expanded_conv.add"}
    text = (('"ssd_mobilenet_v2"', '"ssd_mobilenet_v1_keras"'), ("depth_multiplier: 1.0", "depth_multiplier: 0.5"))
    network = ssd.build(spec_for(DetectConfig(), changed(*text), 1))
    assert network.get_layer("FeatureExtractor.MobilenetV1.Conv2d_13_pointwise").filters == 256
    assert network.get_layer("FeatureExtractor.MobilenetV1.Conv2d_13_pointwise_2_Conv2d_2_3x3_s2_256").filters == 256


def test_what_is_trained_otherwise_is_said() -> None:
    assert departures(described()) == ()
    said = departures(changed(("matched_threshold: 0.5", "matched_threshold: 0.7"), ("use_dropout: false", "")))
    assert len(said) == 2 and "overlap of .5" in said[0] and "dropout" in said[1]


REFUSED = {
    "ssd_mobilenet_v1_fpn": "ssd_mobilenet_v1_fpn", "ssd_mobilenet_v2_fpnlite": "ssd_mobilenet_v2_fpn",
    "ssd_mobilenet_v1_ppn": "ssd_mobilenet_v1_ppn", "ssd_mobilenet_v2_fullyconv": "keep_aspect_ratio_resizer",
    "embedded_ssd": "embedded_ssd_mobilenet_v1", "tf2_ssd_mobilenet_v2_fpnlite": "ssd_mobilenet_v2_fpn_keras",
}  # fmt: skip


def samples() -> list[Path]:
    folder = os.environ.get("TRAINBOX_TEST_DATA")
    return sorted(Path(folder).rglob("*.config")) if folder else []


@pytest.mark.parametrize("path", samples() or [None], ids=lambda path: path and f"{path.parent.name}/{path.name}")
def test_every_sample_is_built_or_refused_by_name(path: Path | None) -> None:
    if path is None:
        pytest.skip("TRAINBOX_TEST_DATA is not set: the sample configurations are not here")
    config = read_pipeline_config(path.read_bytes(), path.name)
    name = f"{path.parent.name}/{path.name}"
    refused = next((kind for part, kind in REFUSED.items() if part in name), None)
    if refused:
        with pytest.raises(DataError, match=f"'{refused}.*which is not built here"):
            config.ssd()
        return
    description = config.ssd()
    spec = spec_for(DetectConfig(), description, description.num_classes)
    assert spec.classes == description.num_classes
    anchors, answers = built(replace(spec, classes=1, class_bias=0))
    assert 1000 < anchors == answers
    assert losses_for(description)


@cache
def built(spec: ssd.SsdSpec) -> tuple[int, int]:
    """Return the number of anchors and of boxes answered: many samples describe the same network."""
    network = ssd.build(spec)
    return len(anchors_cyxhw(spec.anchors, ssd.grids(network, spec))), network.output["encodings"].shape[1]
