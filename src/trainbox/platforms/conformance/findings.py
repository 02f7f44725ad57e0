"""What a check found, and how long it waits for what."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One point of the contract, whether it holds, and what was seen."""

    point: str
    holds: bool
    seen: str


@dataclass(frozen=True)
class Limits:
    """Seconds; those between a SIGTERM and a SIGKILL are SageMaker's."""

    to_train: float = 1800
    to_begin: float = 120
    to_stop_training: float = 120
    to_serve: float = 120
    to_stop_serving: float = 30
