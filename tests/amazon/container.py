"""A container of the fake: the real container program in a process, in a tree laid out as /opt/ml."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

KEPT = ("PATH", "HOME", "PYTHONPATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
"""What a container has of this machine: enough to find Python and Trainbox, and nothing of whoever asks AWS."""


class Container:
    """``trainbox-container train`` or ``serve``, its lines handed to ``log``; over when it is closed."""

    def __init__(self, verb: str, base: Path, environment: Mapping[str, str], log: Callable[[str], None]) -> None:
        scratch = base.parent / "tmp"
        scratch.mkdir(exist_ok=True)
        inherited = {name: os.environ[name] for name in KEPT if name in os.environ}
        own = {"SAGEMAKER_BASE_DIR": str(base), "TMPDIR": str(scratch), "TRAINBOX_END_WITH_STDIN": "1"}
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trainbox.container", verb],
            env={**inherited, **environment, **own},
            stdin=subprocess.PIPE,  # Its end tells the program that the fake is gone, however it went.
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
            errors="backslashreplace",
        )
        self._reader = threading.Thread(target=self._read, args=(log,), name=f"container {verb}", daemon=True)
        self._reader.start()

    def _read(self, log: Callable[[str], None]) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            log(self.lines[-1])

    @property
    def status(self) -> int | None:
        """The exit status as Docker has it, 137 for who was killed; None while it runs."""
        status = self.process.poll()
        return 128 - status if status is not None and status < 0 else status

    def terminate(self) -> None:
        """Send SIGTERM, as a stop does."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to all that runs in it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> int:
        """End what still runs, and return the exit status once all lines are read."""
        self.kill()
        self.process.wait()
        self._reader.join()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        status = self.status
        return 0 if status is None else status


def free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
