"""The hyperparameters that every task shares, and how any task's hyperparameters are read."""

import difflib
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from trainbox.errors import HyperparameterError
from trainbox.training.search import Choice, Span


class TrainingConfig(BaseModel):
    """Hyperparameters of ``fit``; a task's config derives from it and adds its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True, allow_inf_nan=False)

    task: str | None = Field(None, description="The task; told from the channels where it is not given.")
    epochs: int = Field(100, ge=1, le=100_000, description="Passes over the training examples at most.")
    steps_per_epoch: int | None = Field(
        None, ge=1, description="Steps between two validations; a pass over the training examples if not given."
    )
    batch_size: int = Field(128, ge=1, le=65_536, description="Examples per step.")
    learning_rate: float | None = Field(
        None, gt=0, le=10, description="Peak learning rate; the task's own where not given."
    )
    patience: int = Field(5, ge=1, description="Epochs without improvement on validation before training stops.")
    min_delta: float = Field(0.0005, ge=0, description="Least drop of the validation loss that counts as improvement.")
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of everything random.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Arithmetic; auto takes bfloat16 where the processor computes it natively."
    )
    checkpoint_seconds: float = Field(60.0, ge=0, description="Least time between two checkpoints within an epoch.")

    only_for_training: ClassVar[tuple[str, ...]] = ()
    """Hyperparameters that name what only the training itself had, as an earlier model to start from."""
    counted_in_words: ClassVar[tuple[str, ...]] = ()
    """Numbers that ``true`` and ``false`` have a meaning for."""
    searched: ClassVar[Mapping[str, Span | Choice]] = {"learning_rate": Span(1e-4, 1e-2, log=True)}
    """What ``trainbox tune`` searches, most rewarding first, where it is not told otherwise."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_boolean_for_a_number(cls, value: Any, info: Any) -> Any:
        # Python counts true as 1, and "epochs": true would train one epoch.
        numeric = {int, float, int | None, float | None}
        if (
            isinstance(value, bool)
            and cls.model_fields[info.field_name].annotation in numeric
            and info.field_name not in cls.counted_in_words
        ):
            raise ValueError("it must be a number")
        return value

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Validate decoded hyperparameters; raise HyperparameterError, one line naming the first that is wrong."""
        for name in values:
            if name not in cls.model_fields:
                close = difflib.get_close_matches(name, cls.model_fields, n=1)
                hint = f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(sorted(cls.model_fields))}."
                raise HyperparameterError(f"Unknown hyperparameter '{name}'. {hint}")
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"]) or "hyperparameters"
            reason = first["msg"].removeprefix("Value error, ")
            raise HyperparameterError(
                f"Hyperparameter '{name}' is wrong: {reason}. Received: {first['input']!r}."
            ) from error
