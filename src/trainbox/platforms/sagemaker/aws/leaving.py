"""What becomes of a job that runs elsewhere when whoever watches it is told to stop."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from enum import Enum, auto

from trainbox.platforms import signals

Say = Callable[[str], None]


class Told(KeyboardInterrupt):
    """Ctrl-C or SIGTERM arrived: ``number`` is the signal's. Whoever does not know it ends as at any ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Choice(Enum):
    """What to do about the job."""

    DETACH = auto()
    STOP = auto()
    WATCH = auto()


class Signals:
    """Turns ctrl-C and SIGTERM into Told, at once or, within ``later``, when they are delivered."""

    def __init__(self) -> None:
        self._later = False
        self._kept: int | None = None

    @contextlib.contextmanager
    def handled(self) -> Iterator["Signals"]:
        """Stand in for the handlers of this process, where this is its main thread."""
        with signals.heard(self._received):
            yield self

    @contextlib.contextmanager
    def later(self) -> Iterator[None]:
        """Keep a first signal for ``deliver``; a second is not kept waiting.

        A job that is just asked for must not be forgotten, nor a line that is just read.
        """
        self._later = True
        try:
            yield
        finally:
            self._later = False

    @property
    def kept(self) -> bool:
        """Whether a signal waits to be delivered."""
        return self._kept is not None

    def deliver(self) -> None:
        """Raise Told where a signal was kept."""
        if self._kept is not None:
            number, self._kept = self._kept, None
            raise Told(number)

    def _received(self, number: int) -> None:
        if self._later and self._kept is None:
            self._kept = number
            return
        self._kept = None
        raise Told(number)


def choose(told: Told, job: str, say: Say) -> Choice:
    """Ask a person at a terminal what to do; anywhere else, and for SIGTERM, the job is stopped: it costs money.

    ``job`` says which, as "training job 'lap-1'".
    Ctrl-C once more, and the end of standard input, stop it too.
    """
    if told.number != signal.SIGINT or not _asked_person():
        return Choice.STOP
    say(f"The {job} goes on. Stop it and bring the best model so far (s), leave it running and be")
    say("billed until it ends (d), or go on watching (w)? Ctrl-C once more stops it.")
    while True:
        try:
            print("s, d or w: ", end="", file=sys.stderr, flush=True)
            answer = sys.stdin.readline()
        except Told:
            return Choice.STOP
        if not answer:
            return Choice.STOP
        chosen = {"s": Choice.STOP, "d": Choice.DETACH, "w": Choice.WATCH}.get(answer.strip().lower()[:1])
        if chosen:
            return chosen


def _asked_person() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))
