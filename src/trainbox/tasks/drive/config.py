"""The hyperparameters of ``drive``. docs/hyperparameters.md lists them; a test holds it to this file."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, get_args

from pydantic import Field, field_validator, model_validator

from trainbox.tasks.drive.expression import Expression
from trainbox.tasks.drive.pilots import Dropout
from trainbox.training.config import TrainingConfig
from trainbox.training.search import Choice, Span

Augmentation = Literal["mirror", "brightness", "contrast", "blur", "shadow"]
AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)

JOB_OF_OLD: Mapping[str, Any] = {
    "pilot": "robocars",
    "batch_size": 32,
    "minimum_throttle": 0.1,
    "raise_throttle_to": 0.2,
    "min_records": 32,
}
"""What the robocars image did without being asked; ``sagemaker_region`` is the hyperparameter only its jobs have."""


class DriveConfig(TrainingConfig):
    """Hyperparameters of a pilot's training, beside those every task shares."""

    only_for_training: ClassVar[tuple[str, ...]] = ("transfer",)
    counted_in_words: ClassVar[tuple[str, ...]] = ("with_slide",)
    searched: ClassVar[Mapping[str, Span | Choice]] = {
        "learning_rate": Span(3e-4, 3e-3, log=True),
        "smooth_steering": Span(0, 3),
        "augment": Choice((False, ("mirror",), AUGMENTATIONS)),
        "dropout": Choice(("none", "dense")),
    }

    pilot: Literal["linear", "categorical", "inferred", "memory", "robocars"] = Field(
        "linear", description="The network: the type the car is started with; robocars is the original job's."
    )
    memory_length: int = Field(3, ge=1, le=20, description="Past commands the pilot memory is fed.")
    throttle_range: float = Field(
        0.8, gt=0, le=1, description="Throttle the bins reach up to; the car's MODEL_CATEGORICAL_MAX_THROTTLE_RANGE."
    )
    with_slide: int = Field(
        0, ge=0, le=100, description="Frames by which commands lag behind images; true means 2, as of old."
    )
    minimum_throttle: float | None = Field(
        None, ge=-1, le=1, description="Records are kept only where the throttle is greater; none keeps all."
    )
    raise_throttle_to: float | None = Field(
        None, ge=-1, le=1, description="Lower throttles of the kept records are raised to this; none raises nothing."
    )
    drive_modes: tuple[str, ...] = Field(
        ("user",), description="Records are kept only where user/mode is one of these; empty keeps all."
    )
    filter: str | None = Field(
        None,
        description="Expression over a record's keys, true for those to keep, as: user/throttle > 0.2 and angle < 1.",
    )
    min_records: int = Field(100, ge=2, description="Fewer usable records than this are refused.")
    validation: Literal["blocks", "random"] = Field(
        "blocks", description="How validation records are chosen; random leaks, and is for comparison with donkeycar."
    )
    validation_fraction: float = Field(0.2, gt=0, le=0.9, description="Share of the records used for validation.")
    block_length: int = Field(200, ge=1, description="Records in a row that are split off together.")
    block_gap: int = Field(
        5, ge=0, le=1000, description="Records left out of training on both sides of a validation block."
    )
    augment: tuple[Augmentation, ...] = Field(
        AUGMENTATIONS, description="Random changes of training images; true means all of them, false none."
    )
    smooth_steering: float = Field(
        1.5,
        ge=0,
        le=30,
        description="Frames (standard deviation) over which the steering to learn is averaged; 0 learns it as driven. "
        "Validation is on what was driven.",
    )
    balance: bool = Field(False, description="Weigh records so that rare steering angles count more.")
    dropout: Dropout = Field(
        "none",
        description="Which dropout of the car's networks to train with: all (car, or true), only that between the "
        "dense layers (dense), or none (or false).",
    )
    transfer: str | None = Field(
        None, description="CHANNEL or CHANNEL/FILE holding a bundle, .keras or .h5 whose arrays training starts from."
    )
    quantize: bool = Field(True, description="Write model_quantized.tflite too: int8 inside, float32 in and out.")
    sagemaker_region: str | None = Field(
        None, description="Accepted from jobs of old and unused; such a job gets their pilot and throttle rule."
    )

    @model_validator(mode="before")
    @classmethod
    def _as_of_old(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or values.get("sagemaker_region") is None or "pilot" in values:
            return values
        return {**JOB_OF_OLD, **values}

    @field_validator("with_slide", mode="before")
    @classmethod
    def _frames(cls, value: Any) -> Any:
        return 2 * value if isinstance(value, bool) else value

    @field_validator("augment", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        if isinstance(value, bool) or value is None:
            return AUGMENTATIONS if value else ()
        return _listed(value)

    @field_validator("dropout", mode="before")
    @classmethod
    def _dropout(cls, value: Any) -> Any:
        return ("car" if value else "none") if isinstance(value, bool) or value is None else value

    @field_validator("drive_modes", mode="before")
    @classmethod
    def _modes(cls, value: Any) -> Any:
        return () if value is None else _listed(value)

    @field_validator("filter")
    @classmethod
    def _parses(cls, value: str | None) -> str | None:
        if value is not None:
            Expression(value)
        return value

    @field_validator("transfer")
    @classmethod
    def _stays_inside(cls, value: str | None) -> str | None:
        if value is not None and (value.startswith("/") or ".." in value.split("/")):
            raise ValueError("it must be CHANNEL or CHANNEL/FILE")
        return value


def _listed(value: Any) -> Any:
    """Take one name, or names separated by commas, for a list of names."""
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return value
