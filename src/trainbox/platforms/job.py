"""A training job: what to train on which data with which hyperparameters, wherever it runs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainbox.container.contract import channels, hyperparameters
from trainbox.errors import ChannelError, HyperparameterError, TrainboxError, UsageError

NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
MOST_CHANNELS = 20
MOST_HYPERPARAMETERS = 100
LONGEST_KEY = 256
LONGEST_VALUE = 2500


class JobFailed(TrainboxError):
    """The container program ended without a model. ``said``: its log, which the user sees, ended in the same line."""

    def __init__(self, line: str, exit_status: int, said: bool) -> None:
        super().__init__(line)
        self.exit_status = exit_status
        self.said = said


@dataclass(frozen=True)
class TrainingJob:
    """What every platform needs to know. Its limits are SageMaker's, so that a job which runs here runs there.

    ``channels`` are files and folders by channel name, or s3:// addresses, which are text and which SageMaker alone
    reads; ``hyperparameters`` are values, not yet strings. Raises UsageError, ChannelError or HyperparameterError where
    a limit is broken.
    """

    task: str
    channels: Mapping[str, Path | str]
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or default_name(self.task))
        if not NAME.fullmatch(self.name):
            raise UsageError(f"Job name {self.name!r} is not allowed. Use 1 to 63 letters, digits and inner hyphens.")
        if not 1 <= len(self.channels) <= MOST_CHANNELS:
            raise ChannelError(f"A job has 1 to {MOST_CHANNELS} channels. Received: {len(self.channels)}.")
        for name in self.channels:
            channels.check_name(name)
        if len(self.encoded) > MOST_HYPERPARAMETERS:
            raise HyperparameterError(
                f"A job has at most {MOST_HYPERPARAMETERS} hyperparameters. Received: {len(self.encoded)}."
            )
        for key, value in self.encoded.items():
            if len(key) > LONGEST_KEY or len(value) > LONGEST_VALUE:
                raise HyperparameterError(
                    f"Hyperparameter '{key[:LONGEST_KEY]}' is too long: at most {LONGEST_KEY} characters in the name "
                    f"and {LONGEST_VALUE} in the value. Received: {len(key)} and {len(value)}."
                )

    @property
    def on_this_machine(self) -> dict[str, Path]:
        """The channels, all of which are files and folders here; raises ChannelError where one is in S3."""
        for name, source in self.channels.items():
            if isinstance(source, str):
                raise ChannelError(
                    f"Channel '{name}' is {source}, which only --on sagemaker reads. Give a file or folder here."
                )
        return {name: Path(source) for name, source in self.channels.items()}

    @property
    def encoded(self) -> dict[str, str]:
        """The hyperparameters as the contract has them, strings to strings, with the task among them."""
        return {"task": self.task, **hyperparameters.encode(self.hyperparameters)}


def default_name(task: str) -> str:
    """Return a name that says what and when, to the second."""
    return f"{task}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
