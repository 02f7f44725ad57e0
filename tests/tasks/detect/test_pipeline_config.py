"""``pipeline.config``: what is taken from it, what is listed, and what is refused by name."""

import pytest

from trainbox.errors import DataError
from trainbox.tasks.detect.demo.writers import PIPELINE_CONFIG
from trainbox.tasks.detect.formats.pipeline_config import read_pipeline_config


def parse(text):
    return read_pipeline_config(text.encode(), "pipeline.config")


def test_fields_have_the_values_of_the_file_and_else_the_defaults_of_old():
    config = parse(PIPELINE_CONFIG)
    ssd = config.ssd()
    assert ssd.num_classes == 4 and ssd.image_resizer.fixed_shape_resizer.width == 300
    assert ssd.feature_extractor.type == "ssd_mobilenet_v2" and ssd.feature_extractor.use_depthwise
    assert ssd.feature_extractor.min_depth == 16 and ssd.matcher.argmax_matcher.force_match_for_each_row
    hyperparams = ssd.box_predictor.convolutional_box_predictor.conv_hyperparams
    assert hyperparams.activation == "RELU_6" and hyperparams.regularizer.l2_regularizer.weight == 0.00004
    assert hyperparams.batch_norm.decay == 0.9997 and hyperparams.batch_norm.center
    assert ssd.anchor_generator.ssd_anchor_generator.aspect_ratios == (1.0, 2.0, 0.5, 3.0, 0.3333)
    assert ssd.loss.hard_example_miner.loss_type == "CLASSIFICATION" and ssd.loss.localization_weight == 1
    assert ssd.post_processing.score_converter == "SIGMOID"
    assert config.content.train_config.optimizer.rms_prop_optimizer.momentum_optimizer_value == 0.9
    assert config.augmentations == ("random_horizontal_flip", "ssd_random_crop")
    assert config.label_map_names == ("label_map.pbtxt",)
    assert config.unused == ("model.ssd.similarity_calculator",)


def test_fields_that_are_not_read_are_listed_once_and_not_below():
    config = parse(
        "train_config: { batch_size: 2, sync_replicas: true startup_delay_steps: 0 }\n"
        "eval_config < metrics_set: 'a' metrics_set: 'b' num_examples: 5 >\n"
        "eval_input_reader: [{ shuffle: false }, { shuffle: true }]\n"
        'removed_field: "a{ b: c }" # comment { x: 1 }\n'
        "model { ssd { box_predictor { new_predictor { conv { kernel: 3 } } } } }"
    )
    assert config.content.train_config.batch_size == 2 and len(config.content.eval_input_reader) == 2
    assert config.unused == (
        "train_config.sync_replicas",
        "train_config.startup_delay_steps",
        "eval_config",
        "eval_input_reader.shuffle",
        "removed_field",
        "model.ssd.box_predictor.new_predictor",
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("ssd_mobilenet_v2", "ssd_resnet50_v1_fpn", "names the network 'ssd_resnet50_v1_fpn', which is not built here"),
        ("ssd {", "faster_rcnn {", "names the network 'faster_rcnn', which is not built here"),
        ("ssd {", "center_net {", "names the network 'center_net'"),
        ("fixed_shape_resizer { height: 300", "keep_aspect_ratio_resizer { a: 300", "resizer 'keep_aspect_ratio_"),
        ("convolutional_box_predictor", "weight_shared_convolutional_box_predictor", "predictor 'weight_shared_"),
        ("ssd_anchor_generator", "multiscale_anchor_generator", "anchor generator 'multiscale_anchor_generator'"),
        ("weighted_sigmoid { }", "weighted_softmax { }", "classification loss 'weighted_softmax'"),
        ("weighted_smooth_l1 { }", "weighted_iou { }", "localization loss 'weighted_iou'"),
        ("image_resizer { fixed_shape_resizer { height: 300 width: 300 } }", "", "image resizer 'none'"),
        ("num_classes: 4", "", "sets no number of classes"),
    ],
)  # fmt: skip
def test_what_is_not_built_is_refused_by_name(old, new, said):
    assert old in PIPELINE_CONFIG
    config = parse(PIPELINE_CONFIG.replace(old, new))
    with pytest.raises(DataError, match=said):
        config.ssd()


def test_refusal_says_what_is_supported():
    with pytest.raises(DataError, match="Supported: SSD with feature extractor ssd_mobilenet_v1 or ssd_mobilenet_v2"):
        parse(PIPELINE_CONFIG.replace("ssd {", "faster_rcnn {")).ssd()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model { " * 33 + "}" * 33, "nests more than 32 messages deep"),
        ("model { " * 100_000, "nests more than 32 messages deep"),
        ("model { ssd { num_classes: 'four' } }", "cannot be read as a protobuf text message .*1:28"),
        ("model { ssd { num_classes: 4 }", "cannot be read as a protobuf text message"),
        ("train_config { batch_size: 2 batch_size: 3 }", "should not have multiple"),
        ("model { ssd { loss { classification_weight: nan } } }", "number that is not finite"),
        ("model { ssd { loss { localization_weight: inf } } }", "number that is not finite"),
        ("x: 'y'\n" * 700_000, "too large for a text message"),
        ("\x00\x01\x02", "cannot be read as a protobuf text message"),
    ],
)
def test_what_cannot_be_right_is_refused(text, said):
    with pytest.raises(DataError, match=said):
        parse(text)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_are_read(encoding):
    assert read_pipeline_config(PIPELINE_CONFIG.encode(encoding), "x").ssd().num_classes == 4


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.record-00000-of-00003", "train"),
        ("data/validation.record-00001-of-00003", "validation"),
        ("test.record", ""),
    ],
)
def test_input_readers_say_which_file_is_for_what(name, split):
    assert parse(PIPELINE_CONFIG).split_of(name) == split
