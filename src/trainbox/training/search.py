"""What of a task's hyperparameters is worth searching, and between which ends; see a config's ``searched``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Span:
    """All numbers from ``low`` to ``high``, both among them; ``log`` draws as many between .001 and .01 as to .1."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @property
    def ends(self) -> Sequence[Any]:
        """Two values within which all others lie."""
        return (self.low, self.high)

    @property
    def size(self) -> float:
        """How many values there are."""
        return self.high - self.low + 1 if self.whole else float("inf")

    def say(self) -> str:
        """Return it as it is written on a command line."""
        return f"{self.low:g}:{self.high:g}{':log' if self.log else ''}"


@dataclass(frozen=True)
class Choice:
    """A few values to choose from, of any kind that JSON can say."""

    values: tuple[Any, ...]

    @property
    def ends(self) -> Sequence[Any]:
        """All values: none lies between two others."""
        return self.values

    @property
    def size(self) -> float:
        """How many values there are."""
        return float(len(self.values))

    def say(self) -> str:
        """Return it as it is written on a command line."""
        import json

        return ",".join(
            value if isinstance(value, str) and "," not in value else json.dumps(value) for value in self.values
        )
