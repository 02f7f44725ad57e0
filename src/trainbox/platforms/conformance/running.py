"""Containers of an image under test: made, given files, started, watched, told to stop, and always removed."""

import contextlib
import hashlib
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from trainbox.platforms import containers
from trainbox.platforms.containers import PLATFORM, asked, call, last_line

SECONDS_TO_COPY = 600
GRACE_SECONDS = 5
"""What Docker's command may take to say what has happened; it is not counted."""


class Running:
    """One container. All paths in it are absolute."""

    def __init__(self, identifier: str) -> None:
        self.identifier = identifier
        self._begun = time.monotonic()

    def start(self) -> str:
        """Start it; return "" where it starts, and why where it does not."""
        self._begun = time.monotonic()
        answer = call("start", self.identifier)
        return "" if answer.returncode == 0 else last_line(answer.stderr.replace("\n", " "))

    @property
    def seconds(self) -> float:
        """How long ago it was started."""
        return time.monotonic() - self._begun

    @property
    def status(self) -> int | None:
        """Its exit status, None while it runs."""
        running, status = asked(
            "inspect", "--format", "{{.State.Running}} {{.State.ExitCode}}", self.identifier
        ).split()
        return None if running == "true" else int(status)

    def wait(self, seconds: float) -> int | None:
        """Return its exit status, None where it still runs after ``seconds``."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            command = ["docker", "wait", self.identifier]
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=seconds, check=False)
        return self.status

    def terminate(self, seconds: float) -> tuple[int | None, float]:
        """Send it SIGTERM; return its exit status and how long it took by the engine's clock, None where it runs on."""
        told = datetime.now(UTC)
        call("kill", "--signal", "TERM", self.identifier)
        status = self.wait(seconds + GRACE_SECONDS)
        if status is None:
            return None, seconds
        ended = datetime.fromisoformat(asked("inspect", "--format", "{{.State.FinishedAt}}", self.identifier))
        took = max(0.0, (ended - told).total_seconds())
        return (status, took) if took <= seconds else (None, took)

    def log(self) -> str:
        """Return all that it said."""
        answer = call("logs", self.identifier)
        return answer.stdout + answer.stderr

    def last_words(self) -> str:
        """Return the last line that it said, cut to a length that fits a table."""
        lines = [line for line in self.log().splitlines() if line.strip()]
        return lines[-1].strip()[:200] if lines else "it said nothing"

    def address(self, port: int) -> tuple[str, int]:
        """Return where on this machine a port of it is; raise DockerFailed where it is nowhere."""
        shown = asked("port", self.identifier, str(port)).splitlines()
        if not shown:
            raise containers.DockerFailed(f"Port {port} of a container is not to be reached: it has ended.")
        host, _, number = shown[0].rpartition(":")
        return host, int(number)

    def put(self, source: Path, target: str) -> None:
        """Copy a folder into it, as root's; links become what they lead to."""
        command = ["docker", "cp", "-", f"{self.identifier}:/"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as copying:
            with tarfile.open(fileobj=copying.stdin, mode="w|", dereference=True) as archive:
                archive.add(source, target.lstrip("/"), filter=_as_root)
            _, said = copying.communicate(timeout=SECONDS_TO_COPY)
        if copying.returncode != 0:
            raise containers.DockerFailed(f"Files could not be copied into a container: {last_line(said.decode())}")

    def get(self, source: str, target: Path) -> bool:
        """Copy a file or folder out of it; return False where there is none."""
        return call("cp", f"{self.identifier}:{source}", str(target), seconds=SECONDS_TO_COPY).returncode == 0

    def digest(self, folder: str) -> str:
        """Return a digest of the names, sizes and bytes of all files below a folder of it."""
        command = ["docker", "cp", f"{self.identifier}:{folder}", "-"]
        lines = []
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as copying,
            contextlib.suppress(tarfile.ReadError),
            tarfile.open(fileobj=copying.stdout, mode="r|") as archive,
        ):
            for member in archive:
                content = archive.extractfile(member)
                if content:
                    lines.append(f"{member.name} {hashlib.file_digest(content, 'sha256').hexdigest()}")  # type: ignore[arg-type]
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


@contextlib.contextmanager
def container(
    image: str, *arguments: str, options: Sequence[str] = (), files: Mapping[str, Path] | None = None
) -> Iterator[Running]:
    """Hold a container of ``image`` that is not started yet, with folders copied into it: ``{path in it: folder}``."""
    made = Running(asked("create", "--platform", PLATFORM, *options, image, *arguments).splitlines()[-1])
    try:
        for target, source in (files or {}).items():
            made.put(source, target)
        yield made
    finally:
        containers.remove(made.identifier)


def _as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
