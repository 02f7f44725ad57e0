"""Hyperparameters that were left open, filled in: from pipeline.config, then from the data and the machine."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainbox.tasks.detect.config import DetectConfig
from trainbox.tasks.detect.formats.pipeline_config import FEATURE_EXTRACTORS

if TYPE_CHECKING:
    from trainbox.tasks.detect.datasets import DetectDatasets
    from trainbox.tasks.detect.formats.pipeline_config import PipelineConfig

USUAL_BATCH = 16
STEPS_OF_OLD = 100
LEAST_STEPS = 10
"""Steps between two validations at least: after fewer there is little new to see."""
TRAINED_PER_VALIDATED = 4
"""Training pictures between two validations for each picture validated: validating then takes a tenth of the time."""
IMAGE_BYTES = 150_000_000
"""Memory that training takes per picture of 300 x 300, measured for SSD MobileNetV2 with all of it trained."""
USED_OF_MEMORY = 0.5
_MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_AUGMENTATIONS = {
    "random_horizontal_flip": ("flip",),
    "random_vertical_flip": ("vertical_flip",),
    "random_distort_color": ("photometric",),
    "random_adjust_brightness": ("photometric",),
    "random_adjust_contrast": ("photometric",),
    "random_adjust_hue": ("photometric",),
    "random_adjust_saturation": ("photometric",),
    "random_pixel_value_scale": ("photometric",),
    "random_crop_image": ("crop",),
    "ssd_random_crop": ("crop",),
    "ssd_random_crop_fixed_aspect_ratio": ("crop",),
    "random_pad_image": ("zoom_out",),
    "random_crop_pad_image": ("crop", "zoom_out"),
    "ssd_random_crop_pad": ("crop", "zoom_out"),
    "ssd_random_crop_pad_fixed_aspect_ratio": ("crop", "zoom_out"),
}


def completed(config: DetectConfig, datasets: "DetectDatasets", say: Callable[[str], None]) -> DetectConfig:
    """Return the hyperparameters with those left open filled in; what was given stays.

    Raise DataError where the channel of the checkpoint holds none or several, ModelFileError where it is damaged.
    """
    given = config.model_fields_set
    values: dict[str, Any] = {}
    pipeline = datasets.pipeline
    if config.model is None:
        values["model"] = _model(datasets, say)
    if pipeline is not None:
        values |= {name: value for name, value in of_pipeline(pipeline).items() if name not in given}
    values["image_size"] = _side(config, datasets, say)
    batch = config.batch_size or min(
        values.get("batch_size", USUAL_BATCH), fitting_batch(datasets.size), len(datasets.train)
    )
    values["batch_size"] = batch
    steps = config.num_steps
    if steps is None and pipeline is not None and "epochs" not in given:
        steps = STEPS_OF_OLD
    values |= {"num_steps": steps} | _pace(config, steps, batch, datasets)
    return config.model_copy(update=values)


def _side(config: DetectConfig, datasets: "DetectDatasets", say: Callable[[str], None]) -> int:
    """Return the longer side of the pictures that the network sees, or that the quantized file is to see."""
    (height, width), side = datasets.size, config.image_size
    if side is None or side == max(height, width):
        return max(height, width)
    if not config.quantize:
        say(f"Warning: image_size {side} is not used: pipeline.config resizes to {height} x {width}.")
        return max(height, width)
    say(f"The quantized file sees {side} x {side} pixels; pipeline.config resizes to {height} x {width}.")
    return side


def _model(datasets: "DetectDatasets", say: Callable[[str], None]) -> str | None:
    """Return the network to train: that of the checkpoint, since no other can start from it; else pipeline.config's.

    None stands for the very network that pipeline.config describes.
    """
    from trainbox.tasks.detect.networks.choose import DEFAULT_MODEL
    from trainbox.tasks.detect.networks.pretrained import network_of

    described = named_by(datasets.pipeline) if datasets.pipeline else None
    of_checkpoint = network_of(datasets.start) if datasets.start else None
    if described is None:
        return of_checkpoint or DEFAULT_MODEL
    if of_checkpoint in (None, described):
        return None
    say(
        f"Warning: pipeline.config names {described}, and the checkpoint is of {of_checkpoint}, which is trained: "
        f"nothing else can start from it. Set the hyperparameter 'model' to {described} to train that from scratch."
    )
    return of_checkpoint


def named_by(pipeline: "PipelineConfig") -> str:
    """Return the value of the hyperparameter ``model`` that comes nearest to what pipeline.config describes."""
    ssd = pipeline.ssd()
    backbone = FEATURE_EXTRACTORS[ssd.feature_extractor.type]
    predictor = ssd.box_predictor.convolutional_box_predictor
    lite = backbone == "mobilenet_v2" and predictor is not None and predictor.use_depthwise
    return f"ssd{'lite' if lite else ''}_{backbone}"


def of_pipeline(pipeline: "PipelineConfig") -> dict[str, Any]:
    """Return the hyperparameters that a pipeline.config says.

    Its learning rate is taken only where it is Adam's: that of another optimizer means something else.
    """
    said: dict[str, Any] = {}
    training = pipeline.content.train_config
    if training is None:
        return said
    said["batch_size"] = training.batch_size
    adam = training.optimizer.adam_optimizer
    rate = adam.learning_rate.constant_learning_rate if adam else None
    if rate is not None:
        said["learning_rate"] = rate.learning_rate
    named = [change for name in pipeline.augmentations for change in _AUGMENTATIONS.get(name, ())]
    if training.data_augmentation_options:
        said["augment"] = tuple(dict.fromkeys(named))
    return said


def _pace(config: DetectConfig, steps: int | None, batch: int, datasets: "DetectDatasets") -> dict[str, Any]:
    """Return how many rounds there are between two validations and how many steps each has."""
    if config.steps_per_epoch is not None:
        between = config.steps_per_epoch
    else:
        pictures = max(len(datasets.train), TRAINED_PER_VALIDATED * len(datasets.validation))
        between = max(LEAST_STEPS, -(-pictures // batch))
    if steps is None:
        return {"steps_per_epoch": between}
    rounds = whole_rounds(steps, max(1, min(round(steps / between), steps)))
    return {"epochs": rounds, "steps_per_epoch": steps // rounds}


def whole_rounds(steps: int, wanted: int) -> int:
    """Return the number of equal rounds that ``steps`` can be done in that is nearest to ``wanted``."""
    divisors = {d for low in range(1, int(steps**0.5) + 1) if steps % low == 0 for d in (low, steps // low)}
    return min(divisors, key=lambda divisor: (abs(divisor - wanted), divisor))


def fitting_batch(size: tuple[int, int]) -> int:
    """Return how many pictures of this size (height, width) a training step has memory for, at least one."""
    each = IMAGE_BYTES * size[0] * size[1] / 300**2
    return max(1, int(available_memory() * USED_OF_MEMORY / each))


def available_memory() -> int:
    """Return the bytes of memory that this process may use: the machine's or, where it is less, the container's."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in _MEMORY_LIMITS:
        text = limit.read_text().strip() if limit.is_file() else "max"
        if text.isdecimal():
            return min(machine, int(text))
    return machine
