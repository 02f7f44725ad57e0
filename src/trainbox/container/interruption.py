"""Being told to stop: SIGTERM at any moment of a run, once or many times."""

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
END_WITH_STDIN = "TRAINBOX_END_WITH_STDIN"
"""Set by a program that starts the container as a child: the end of standard input is then the end of that program."""
SECONDS_FOR_ORPHANS = 30.0
SECONDS_TO_LIVE = 120.0
"""What SageMaker leaves between SIGTERM and SIGKILL."""


class Interrupted(BaseException):
    """The run was told to stop where there is nothing yet to save. Not an Exception: nobody's skip may swallow it."""


class Stop:
    """Whether the run was told to stop. ``fit`` asks after each step; before training the wish is an exception."""

    def __init__(self) -> None:
        self.requested = False
        self.orphaned = False
        self._requested_at: float | None = None
        self._raising = False
        self._process = os.getpid()

    def install(self) -> "Stop":
        """Catch the signals from now on; call first of all, in the main thread."""
        for number in SIGNALS:
            signal.signal(number, self._received)
        if os.environ.get(END_WITH_STDIN) == "1":
            threading.Thread(target=self._watch_stdin, name="parent", daemon=True).start()
        return self

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Within this block a wish to stop raises Interrupted at once, also one that came before."""
        self._raising = True
        try:
            self.check()
            yield
            self.check()
        finally:
            self._raising = False

    def check(self) -> None:
        """Raise Interrupted where the run was told to stop."""
        if self.requested:
            raise Interrupted

    @property
    def seconds_left(self) -> float:
        """How long until the process is killed; infinite where nobody told it to stop."""
        if self._requested_at is None:
            return math.inf
        return self._requested_at + SECONDS_TO_LIVE - time.monotonic()

    def _received(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            # A forked worker has our handlers but not our duties: it ends, as its owner wants.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.requested = True
        self._requested_at = self._requested_at or time.monotonic()
        if self._raising:
            self._raising = False  # A second signal must not hit the clean-up after the first.
            raise Interrupted

    def _watch_stdin(self) -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 1024):
                pass
        self.orphaned = True
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(SECONDS_FOR_ORPHANS)
        if os.getpgrp() == os.getpid():  # Our own group: whoever set the variable started us with one.
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)  # The first process of a container cannot be killed from within.
