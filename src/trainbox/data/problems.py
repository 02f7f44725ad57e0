"""What was skipped while reading a data set, and why: counted by reason, the first examples kept."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

EXAMPLES_KEPT = 20


@dataclass
class Tally:
    """How often one thing happened, and where it happened first."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, where: str, count: int = 1) -> None:
        """Count ``count`` more, and keep ``where`` while there is room."""
        self.count += count
        if where and len(self.examples) < EXAMPLES_KEPT:
            self.examples.append(where)

    def merge(self, other: "Tally") -> None:
        """Add the count and the examples of another tally."""
        self.count += other.count
        self.examples.extend(other.examples[: EXAMPLES_KEPT - len(self.examples)])


class Problems:
    """Skips (a thing was left out) and warnings (a thing was kept but is odd), each by reason.

    A reason is a short stable phrase ("image is empty"), never holding the name of the thing: that is ``where``.
    """

    def __init__(self) -> None:
        self.skips: dict[str, Tally] = {}
        self.warnings: dict[str, Tally] = {}

    def skip(self, reason: str, where: str = "", count: int = 1) -> None:
        """Count something that was left out."""
        self.skips.setdefault(reason, Tally()).add(where, count)

    def warn(self, reason: str, where: str = "", count: int = 1) -> None:
        """Count something odd that was kept."""
        self.warnings.setdefault(reason, Tally()).add(where, count)

    @property
    def skipped(self) -> int:
        """How many things were left out in all."""
        return sum(tally.count for tally in self.skips.values())

    def merge(self, other: "Problems") -> None:
        """Add everything another collection holds."""
        for mine, theirs in ((self.skips, other.skips), (self.warnings, other.warnings)):
            for reason, tally in theirs.items():
                mine.setdefault(reason, Tally()).merge(tally)

    def sentences(self) -> Iterator[str]:
        """Say each reason on a line, with how often and where first."""
        for verb, tallies in (("Skipped", self.skips), ("Warning", self.warnings)):
            for reason, tally in tallies.items():
                first = f", first: {tally.examples[0]}" if tally.examples else ""
                yield f"{verb}: {reason} ({tally.count}{first})"

    def as_dict(self) -> dict[str, Mapping[str, Any]]:
        """Return ``{"skipped": {reason: {"count", "examples"}}, "warnings": ...}`` for JSON."""
        return {
            name: {reason: {"count": tally.count, "examples": tally.examples} for reason, tally in tallies.items()}
            for name, tallies in (("skipped", self.skips), ("warnings", self.warnings))
        }
