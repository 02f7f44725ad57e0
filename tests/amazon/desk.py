"""A desk: a folder with a trainbox.toml, and the real command line run in it as its user would."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import trainbox
from amazon.aws import Aws

SECONDS = 1000


class Command:
    """A ``trainbox`` that runs in a process of its own; what it says is kept as it comes."""

    def __init__(self, folder: Path, arguments: tuple[str, ...]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trainbox", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": _python_path()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._out: list[str] = []
        self._err: list[str] = []
        self._readers = [
            threading.Thread(target=lambda stream=stream, kept=kept: kept.extend(stream), daemon=True)
            for stream, kept in ((self.process.stdout, self._out), (self.process.stderr, self._err))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def out(self) -> str:
        return "".join(self._out)

    @property
    def err(self) -> str:
        return "".join(self._err)

    @property
    def last(self) -> str:
        """The last line on standard error."""
        return self.err.strip().splitlines()[-1] if self.err.strip() else ""

    def wait_for(self, words: str, seconds: float = 300) -> "Command":
        """Wait until it has said some words on standard error."""
        deadline = time.monotonic() + seconds
        while words not in self.err:
            assert time.monotonic() < deadline, f"{words!r} was not said in {seconds} s: {self.err}"
            assert self.process.poll() is None or words in self.err, f"ended before {words!r}: {self.err}"
            time.sleep(0.05)
        return self

    def interrupt(self) -> None:
        """Press ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def ended(self, seconds: float = SECONDS) -> int:
        """Wait for its end; return the exit status."""
        status = self.process.wait(seconds)
        for reader in self._readers:
            reader.join()
        return status

    def close(self) -> None:
        """End it, however it stands."""
        self.process.kill()
        self.ended()
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()


def _python_path() -> str:
    """Return a PYTHONPATH that holds in any folder, and has the Trainbox that this process has."""
    given = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    ours = Path(trainbox.__file__).parents[1]
    return os.pathsep.join(str(Path(one).absolute()) for one in (*given, ours))


class Desk:
    """A working folder from which AWS is used."""

    def __init__(self, aws: Aws, folder: Path) -> None:
        self.aws, self.folder = aws, folder
        folder.mkdir()
        aws.settings(folder)

    @contextlib.contextmanager
    def running(self, *arguments: str) -> Iterator[Command]:
        """Run a command; whatever happens, it is over afterwards."""
        command = Command(self.folder, arguments)
        try:
            yield command
        finally:
            command.close()

    def run(self, *arguments: str, status: int = 0) -> Command:
        """Run a command to its end, which must have a status; nothing secret may be in what it says."""
        with self.running(*arguments) as command:
            received = command.ended()
        said = command.out + command.err
        assert received == status, f"{' '.join(arguments)}: {received}\n{said}"
        assert not any(secret in said for secret in self.aws.secrets)
        assert "/trainbox/cli/" not in said, said  # a traceback of ours; the log of a job may hold one of the container
        return command
