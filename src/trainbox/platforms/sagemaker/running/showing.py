"""How a training job elsewhere shows itself here: its log, and the bar that a training on this machine would have."""

import re
import sys
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from trainbox.training.progress import Bar

Say = Callable[[str], None]

SECONDS_BETWEEN_STATES = 300.0
"""How often lines say how long it takes and what it costs; a terminal shows it all the time."""

_VALUE = re.compile(r"(\w+)=(-?(?:[0-9.]+|nan|inf));")
_OF_A_FINISHED_EPOCH = "learning_rate"


class Shown(Protocol):
    """Is told what a job says and how it stands."""

    def line(self, text: str) -> None:
        """Show a line of the job's log."""

    def state(self, text: str, billed_seconds: int) -> None:
        """Show how the job stands, as of now; called at every look."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class Plain:
    """Says each line as it is, and now and then, through ``states``, how the job stands."""

    def __init__(self, say: Say, states: Say | None = None, clock: Callable[[], float] = monotonic) -> None:
        self._say, self._states, self._clock, self._last = say, states or say, clock, clock()

    def line(self, text: str) -> None:
        """Say the line."""
        self._say(text)

    def state(self, text: str, billed_seconds: int) -> None:
        """Say it where that was long ago."""
        if self._clock() - self._last >= SECONDS_BETWEEN_STATES:
            self._last = self._clock()
            self._states(text)

    def close(self) -> None:
        """Do nothing: lines leave nothing behind."""


class OnTerminal:
    """Draws the bar of a local training from the values that the log tells; a turning wheel where it tells none.

    Other lines pass above it through ``say``, which prints to standard error.
    """

    def __init__(self, say: Say, console: "Console") -> None:
        self._say, self._console = say, console
        self._status: Status | None = None
        self._bar: Bar | None = None
        self._at: tuple[int, int, dict[str, float]] = (1, 0, {})
        self._steps = 0

    def line(self, text: str) -> None:
        """Move the bar where the line is of an epoch, else say it above."""
        values = epoch_values(text)
        if values is None:
            self._say(text)
            return
        bar = self._drawn()
        epoch, step = int(values.pop("epoch")), int(values.pop("step", 0))
        if _OF_A_FINISHED_EPOCH in values:
            # Steps of an epoch are known once the first is finished.
            self._steps = step // max(epoch, 1)
            bar.epoch(epoch, step, values)
            self._at = (epoch + 1, 0, {})
        else:
            self._at = (epoch, step, values)

    def state(self, text: str, billed_seconds: int) -> None:
        """Show it beside a turning wheel; beside the bar only what is billed."""
        if self._bar is not None:
            epoch, step, values = self._at
            self._bar.step(epoch, step, max(self._steps, step, 1), {**values, "billed_seconds": billed_seconds})
            return
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        self._status.update(text)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.close()
        if self._status is not None:
            self._status.stop()
        self._bar = self._status = None

    def _drawn(self) -> "Bar":
        from trainbox.training.progress import Bar

        if self._bar is None:
            self.close()
            self._bar = Bar(self._console)
        return self._bar


def opened(say: Say) -> Shown:
    """Return what suits standard error: a terminal or not."""
    from rich.console import Console

    console = Console(file=sys.stderr)
    return OnTerminal(say, console) if console.is_terminal else Plain(say)


def epoch_values(line: str) -> dict[str, float] | None:
    """Return the values of a line "epoch=3; step=1200; loss=0.12130;", None where it is another."""
    if not line.startswith("epoch="):
        return None
    values = {name: _number(text) for name, text in _VALUE.findall(line)}
    return values if "epoch" in values else None


def _number(text: str) -> float:
    return int(text) if text.lstrip("-").isdigit() else float(text)
