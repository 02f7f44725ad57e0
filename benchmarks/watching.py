"""Run a program, note when each of its lines came, and the most memory that it and its children held."""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SECONDS_BETWEEN_LOOKS = 0.5
NUMBER = r"([-+.\deE]+)"


@dataclass
class Watched:
    """What was seen of a program: lines as (seconds since its start, line), peak memory in bytes, its end."""

    lines: list[tuple[float, str]] = field(default_factory=list)
    peak_bytes: int = 0
    seconds: float = 0.0
    status: int = 0

    def values(self, name: str) -> list[tuple[float, float]]:
        """Return (seconds, value) of each line that says ``name: value`` or ``name=value``, the whole name."""
        pattern = re.compile(rf"(?<![\w]){re.escape(name)}[=:] ?{NUMBER}")
        return [(at, float(found[1])) for at, line in self.lines if (found := pattern.search(line))]

    def first(self, words: str) -> float:
        """Return when a line with ``words`` came first; raise LookupError where none did."""
        for at, line in self.lines:
            if words in line:
                return at
        raise LookupError(f"No line says '{words}'.")


def watch(
    command: Sequence[str | Path], environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Watched:
    """Run a program to its end and return what was seen; raise RuntimeError with its last lines where it fails."""
    watched = Watched()
    started = time.monotonic()
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=folder,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})},
        start_new_session=True,
    )
    looking = threading.Thread(target=_look, args=(process, watched), daemon=True)
    looking.start()
    try:
        for line in process.stdout or ():
            watched.lines.append((time.monotonic() - started, line.rstrip()))
        watched.status = process.wait()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
    watched.seconds = time.monotonic() - started
    looking.join()
    if watched.status:
        raise RuntimeError("\n".join(line for _, line in watched.lines[-30:]))
    return watched


def _look(process: "subprocess.Popen[str]", watched: Watched) -> None:
    while process.poll() is None:
        watched.peak_bytes = max(watched.peak_bytes, sum(_resident(child) for child in _tree(process.pid)))
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _tree(root: int) -> list[int]:
    """Return a process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name, in brackets, may hold anything; the parent is the second word after it.
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        parents.setdefault(parent, []).append(int(folder.name))
    found = [root]
    for process in found:
        found += parents.get(process, [])
    return found


def _resident(process: int) -> int:
    """Return the proportional share of memory a process holds, in bytes: what is shared counts once in a sum."""
    try:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return 0
