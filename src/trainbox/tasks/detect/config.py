"""The hyperparameters of ``detect``. docs/hyperparameters.md lists them; a test holds it to this file."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, get_args

from pydantic import Field, field_validator

from trainbox.training.config import TrainingConfig
from trainbox.training.search import Choice, Span

Augmentation = Literal["flip", "photometric", "zoom_out", "crop", "mosaic", "vertical_flip"]
AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)[:-1]
"""What is done unless told otherwise. Few things look the same upside down."""
NETWORKS = Literal["ssd_mobilenet_v1", "ssd_mobilenet_v2", "ssdlite_mobilenet_v2"]
FORMATS = Literal["tfrecord", "coco", "yolo", "voc", "csv"]


class DetectConfig(TrainingConfig):
    """Hyperparameters of a detector's training, beside those every task shares.

    None means: taken from pipeline.config where it says it, else from what the data and the machine are.
    """

    searched: ClassVar[Mapping[str, Span | Choice]] = {
        "learning_rate": Span(2e-4, 5e-3, log=True),
        "freeze": Choice(("none", "stem")),
        "augment": Choice((("flip", "photometric"), AUGMENTATIONS, (*AUGMENTATIONS, "vertical_flip"))),
        "fit_anchors": Choice((False, True)),
    }

    model: NETWORKS | None = Field(
        None, description="The network; from pipeline.config where that is given, else ssdlite_mobilenet_v2."
    )
    image_size: int | None = Field(
        None,
        ge=96,
        le=1024,
        description="Side in pixels of the square picture the network sees, 300 if not given; where pipeline.config "
        "says that, of the picture that model_quantized.tflite sees.",
    )
    depth_multiplier: float | None = Field(
        None, gt=0, le=4, description="Width of the backbone; from pipeline.config, else 1."
    )
    num_steps: int | None = Field(
        None,
        ge=1,
        le=100_000_000,
        description="Steps to train, in place of epochs; 100 where there is a pipeline.config and neither is given.",
    )
    # None until Task.completed has filled it in: how many fit is known once the pictures are read.
    batch_size: int | None = Field(  # type: ignore[assignment]
        None,
        ge=1,
        le=65_536,
        description="Pictures per step; from pipeline.config, else 16, fewer where memory or data are short.",
    )
    patience: int = Field(30, ge=1, description="Validations without improvement before training stops.")
    min_delta: float = Field(0.0005, ge=0, description="Least rise of the validation mAP that counts as improvement.")
    freeze: Literal["none", "stem", "backbone"] = Field(
        "stem", description="What of a pre-trained network stays as it is: nothing, its first blocks, or its backbone."
    )
    warm_up_epochs: int = Field(
        2, ge=0, le=1000, description="First epochs that train only the layers behind a pre-trained backbone."
    )
    augment: tuple[Augmentation, ...] = Field(
        AUGMENTATIONS,
        description="Random changes of training pictures; true means the five of the default, false none.",
    )
    fit_anchors: bool = Field(
        False, description="Give anchors the shapes of the training boxes, in place of the usual or prescribed ones."
    )
    balance: bool = Field(True, description="Show pictures with rare classes more often.")
    data_format: FORMATS | None = Field(
        None, description="The annotations to read where the data has several; TFRecords before others if not given."
    )
    validation_fraction: float = Field(
        0.2, gt=0, le=0.9, description="Share of the pictures that validate where the data has no split of its own."
    )
    score_threshold: float = Field(0.01, ge=0, lt=1, description="Detections of a lower score are left out.")
    iou_threshold: float = Field(0.6, gt=0, le=1, description="Of boxes of a class that overlap more the best is kept.")
    maximum_detections: int = Field(100, ge=1, le=1000, description="Detections per picture at most.")
    quantize: bool = Field(False, description="Write model_quantized.tflite too, as inference_type says.")
    inference_type: Literal["FLOAT", "QUANTIZED_UINT8"] = Field(
        "FLOAT",
        description="The quantized file: FLOAT has 8-bit weights only, QUANTIZED_UINT8 is 8-bit all through.",
    )
    workers: int | None = Field(
        None, ge=0, le=256, description="Processes that prepare pictures; as the machine has processors if not given."
    )

    @field_validator("freeze", mode="before")
    @classmethod
    def _freeze(cls, value: Any) -> Any:
        # SageMaker's clients write Python's None as they write the word.
        return "none" if value is None else value

    @field_validator("augment", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        if isinstance(value, bool) or value is None:
            return AUGMENTATIONS if value else ()
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value
