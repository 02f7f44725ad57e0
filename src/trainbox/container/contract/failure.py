"""The failure file: the cause of a failed run in one line, which SageMaker shows as the job's failure reason."""

import contextlib
from pathlib import Path

from trainbox.errors import TrainboxError

LONGEST = 1024


def one_line(error: BaseException) -> str:
    """Return the cause as one printable line of at most 1,024 characters; never empty."""
    if isinstance(error, MemoryError):
        return "Memory ran out. Use a machine with more, or a smaller batch_size."
    text = str(error) if isinstance(error, TrainboxError) else f"{type(error).__name__}: {error}"
    # Names that are not UTF-8 come as lone surrogates, which no file or terminal accepts.
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    line = line.rstrip(": ") or type(error).__name__
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def write(path: Path, line: str) -> None:
    """Write the line, and nothing where the folder cannot be written: the log has it too."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(line, encoding="utf-8")


def clear(path: Path) -> None:
    """Remove what an earlier run in the same folder left; a run that succeeds leaves no failure."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def read(path: Path) -> str | None:
    """Return the line of a failed run, or None where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="backslashreplace").strip() or None
    except OSError:
        return None
