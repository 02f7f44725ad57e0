"""A person at a terminal: a program of Python's whose standard input and error are one, its standard output not."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator


class Terminal:
    """A program that runs; ``shown`` is all that it showed so far."""

    def __init__(self, ours: int, process: "subprocess.Popen[str]") -> None:
        self._ours, self.process, self.shown = ours, process, ""

    def read_until(self, words: str) -> None:
        """Read until it has shown some words anew."""
        start = len(self.shown)
        while words not in self.shown[start:]:
            self.shown += os.read(self._ours, 4096).decode()

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._ours, keys)

    def interrupt(self) -> None:
        """Press ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def ended(self) -> str:
        """Wait for its end, and return what it wrote to standard output."""
        return self.process.communicate(timeout=30)[0].strip()


@contextlib.contextmanager
def terminal(code: str, *arguments: str) -> Iterator[Terminal]:
    """Run ``code`` with arguments; whatever happens, it is over afterwards."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, "-c", code, *arguments], stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                yield Terminal(ours, process)
            finally:
                process.kill()
    finally:
        os.close(ours)
        os.close(theirs)
