"""How training shows itself: a bar on a terminal, plain lines elsewhere that metric regexes can read."""

import sys
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SIGNIFICANT_DIGITS = 5
SECONDS_BETWEEN_LINES = 30.0


class Display(Protocol):
    """Is shown how a run goes on."""

    def step(self, epoch: int, step: int, steps: int, values: Mapping[str, float]) -> None:
        """Show the step that was finished; called about once a second."""

    def epoch(self, epoch: int, step: int, values: Mapping[str, float]) -> None:
        """Show the epoch that was finished."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class Lines:
    """Says ``epoch=3; step=1200; loss=0.12130; val_loss=0.13360; images_per_second=310.02;``, a line an epoch.

    Long epochs say ``epoch``, ``step``, ``loss`` and ``images_per_second`` now and then between.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._say = say
        self._clock = clock
        self._last = clock()

    def step(self, epoch: int, step: int, steps: int, values: Mapping[str, float]) -> None:
        """Say a line where the last is long ago."""
        if self._clock() - self._last >= SECONDS_BETWEEN_LINES:
            self.epoch(epoch, step, values)

    def epoch(self, epoch: int, step: int, values: Mapping[str, float]) -> None:
        """Say a line."""
        self._last = self._clock()
        self._say(metric_line({"epoch": epoch, "step": step, **values}))

    def close(self) -> None:
        """Do nothing: lines leave nothing behind."""


class Bar:
    """A bar an epoch, and a line above it for every one that is finished."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=console, transient=True)
        self._task = self._progress.add_task("epoch 1", total=None, text="")
        self._progress.start()

    def step(self, epoch: int, step: int, steps: int, values: Mapping[str, float]) -> None:
        """Move the bar."""
        text = metric_line(values)
        self._progress.update(self._task, description=f"epoch {epoch}", completed=step, total=steps, text=text)

    def epoch(self, epoch: int, step: int, values: Mapping[str, float]) -> None:
        """Print the epoch's values above the bar, and begin the next."""
        self._progress.console.print(metric_line({"epoch": epoch, **values}), highlight=False, markup=False)
        self._progress.reset(self._task, description=f"epoch {epoch + 1}", total=None, text="")

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()


def open_display(say: Callable[[str], None], clock: Callable[[], float]) -> Display:
    """Return a bar where stderr is a terminal, lines elsewhere."""
    console = Console(file=sys.stderr)
    return Bar(console) if console.is_terminal else Lines(say, clock)


def metric_line(values: Mapping[str, float]) -> str:
    """Return ``name=value;`` pairs: whole numbers as they are, others with five significant digits, never exponents."""
    return " ".join(f"{name}={_number(value)};" for name, value in values.items())


def _number(value: float) -> str:
    if isinstance(value, int) or not np.isfinite(value):
        return str(value)
    return np.format_float_positional(value, SIGNIFICANT_DIGITS, unique=False, fractional=False, trim="-")
