from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from trainbox.tasks.detect.completion import STEPS_OF_OLD, completed, fitting_batch, of_pipeline, whole_rounds
from trainbox.tasks.detect.config import DetectConfig
from trainbox.tasks.detect.datasets import DetectDatasets, quantized_size, read_datasets
from trainbox.tasks.detect.formats.pipeline_config import read_pipeline_config

PIPELINE = """
model { ssd {
  num_classes: 1
  image_resizer { fixed_shape_resizer { height: 128 width: 160 } }
  feature_extractor { type: "ssd_mobilenet_v2" use_depthwise: true
    conv_hyperparams { activation: RELU_6 batch_norm { epsilon: 0.001 } } }
  box_coder { faster_rcnn_box_coder { y_scale: 10 x_scale: 10 height_scale: 5 width_scale: 5 } }
  matcher { argmax_matcher { matched_threshold: .5 unmatched_threshold: .5 force_match_for_each_row: true } }
  box_predictor { convolutional_box_predictor { use_depthwise: true kernel_size: 3
    conv_hyperparams { activation: RELU_6 batch_norm { epsilon: 0.001 } } } }
  anchor_generator { ssd_anchor_generator { aspect_ratios: 1 aspect_ratios: 2 aspect_ratios: .5 } }
  loss { classification_loss { weighted_sigmoid {} } localization_loss { weighted_smooth_l1 {} } }
} }
train_config { batch_size: 3 num_steps: 200000
  data_augmentation_options { random_horizontal_flip {} }
  data_augmentation_options { ssd_random_crop {} }
  optimizer { rms_prop_optimizer { learning_rate { constant_learning_rate { learning_rate: .004 } } } } }
"""
ADAM = "adam_optimizer { learning_rate { constant_learning_rate { learning_rate: .0002 } } }"


Datasets = Callable[..., DetectDatasets]


@pytest.fixture
def datasets(make: SimpleNamespace, tmp_path: Path) -> Datasets:
    def read(count: int = 12, pipeline: str | None = None) -> DetectDatasets:
        folder = make.voc(tmp_path / "data", count)
        if pipeline is not None:
            make.put(folder / "pipeline.config", pipeline)
        (tmp_path / "scratch").mkdir()
        return read_datasets(DetectConfig.parse({}), {"testing": folder}, tmp_path / "scratch")

    return read


def filled(read: DetectDatasets, say: Callable[[str], None] = print, **values: object) -> DetectConfig:
    return completed(DetectConfig.parse(values), read, say)


def test_without_a_pipeline_config_the_defaults_are_filled_in(datasets: Datasets) -> None:
    config = filled(datasets())
    assert (config.model, config.image_size, config.num_steps) == ("ssdlite_mobilenet_v2", 300, None)
    assert config.batch_size == min(10, fitting_batch((300, 300))), "no more than there are training pictures"
    assert config.steps_per_epoch is not None


def test_pipeline_config_fills_in_what_was_not_given(datasets: Datasets) -> None:
    read = datasets(pipeline=PIPELINE)
    assert read.size == (128, 160)
    config = filled(read, augment="flip")
    assert (config.batch_size, config.augment, config.model) == (3, ("flip",), None)
    assert filled(read).augment == ("flip", "crop")
    assert filled(read, batch_size=2).batch_size == 2


def test_an_image_size_beside_a_pipeline_config_is_said_to_be_unused(datasets: Datasets) -> None:
    said: list[str] = []
    config = filled(datasets(pipeline=PIPELINE), said.append, image_size=320)
    assert config.image_size == 160
    assert "image_size 320 is not used: pipeline.config resizes to 128 x 160" in said[0]


def test_an_image_size_beside_a_pipeline_config_shapes_the_quantized_file(datasets: Datasets) -> None:
    said: list[str] = []
    read = datasets(pipeline=PIPELINE)
    config = filled(read, said.append, image_size=320, quantize=True)
    assert quantized_size(config, read.size) == (320, 320)
    assert "The quantized file sees 320 x 320 pixels; pipeline.config resizes to 128 x 160" in said[0]
    assert quantized_size(filled(read, quantize=True), read.size) == (128, 160)


def test_a_job_of_old_takes_a_hundred_steps_and_what_is_given_wins(datasets: Datasets) -> None:
    read = datasets(pipeline=PIPELINE)
    config = filled(read)
    assert config.num_steps == STEPS_OF_OLD
    assert config.epochs * (config.steps_per_epoch or 0) == STEPS_OF_OLD
    given = filled(read, num_steps=7)
    assert given.epochs * (given.steps_per_epoch or 0) == 7
    assert filled(read, epochs=4).num_steps is None


def test_a_learning_rate_is_taken_from_adam_only() -> None:
    assert "learning_rate" not in of_pipeline(read_pipeline_config(PIPELINE.encode(), "pipeline.config"))
    i, j = PIPELINE.index("rms_prop_optimizer"), PIPELINE.rindex("} }")
    adam = PIPELINE[:i] + ADAM + PIPELINE[j:]
    assert of_pipeline(read_pipeline_config(adam.encode(), "pipeline.config"))["learning_rate"] == pytest.approx(0.0002)


@pytest.mark.parametrize(("steps", "wanted", "rounds"), [(100, 5, 5), (100, 6, 5), (97, 4, 1), (12, 5, 4), (1, 1, 1)])
def test_steps_are_done_in_equal_rounds(steps: int, wanted: int, rounds: int) -> None:
    assert whole_rounds(steps, wanted) == rounds
    assert steps % whole_rounds(steps, wanted) == 0


def test_larger_pictures_fit_fewer_to_a_batch() -> None:
    assert fitting_batch((600, 600)) <= fitting_batch((300, 300))
    assert fitting_batch((100_000, 100_000)) == 1


def test_pictures_with_rare_classes_are_shown_more_often(datasets: Datasets) -> None:
    from trainbox.tasks.detect.balance import shown_more_often

    images = datasets(count=100).train.images
    rare = [replace(image, classes=np.array([place == 0], np.int64)) for place, image in enumerate(images)]
    counts = np.bincount(shown_more_often(rare, seed=0), minlength=len(rare))
    assert counts[0] > 3
    assert (counts[1:] == 1).all()
