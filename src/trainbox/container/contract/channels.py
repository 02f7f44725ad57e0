"""Channels: the folders of data that a job was given, as inputdataconfig.json names them."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainbox.container.contract import documents
from trainbox.container.contract.paths import Paths
from trainbox.errors import ChannelError

NAME = re.compile(r"[A-Za-z0-9.\-_]{1,64}")
MODES = ("File", "FastFile")


def read(paths: Paths) -> dict[str, Path]:
    """Return the path of each channel, by name and sorted: a folder, or the one file where a client linked just one.

    The names come from the configuration, never from listing ``input/data``: other things lie there at times.
    Raises ChannelError where a channel is missing, empty, piped or of a kind that cannot be read.
    """
    described = documents.read_object(paths.channels, ChannelError)
    if not described:
        raise ChannelError(
            f"No channels: {paths.channels.name} {'is empty' if described == {} else 'is missing'} in {paths.config}. "
            'Give it one entry per folder in input/data, such as {"train": {"TrainingInputMode": "File"}}.'
        )
    for name, description in described.items():
        check_name(name)
        _check_mode(name, description)
    _refuse_case_collisions(list(described))
    return {name: _place(paths, name) for name in sorted(described)}


def check_name(name: str) -> None:
    """Raise ChannelError where SageMaker would not accept the name, or where it would lead out of ``input/data``."""
    if not NAME.fullmatch(name) or name in {".", ".."}:
        raise ChannelError(f"Channel name {name!r} is not allowed. Use 1 to 64 letters, digits, '.', '-' and '_'.")


def _check_mode(name: str, description: Any) -> None:
    if not isinstance(description, Mapping):
        raise ChannelError(f"Channel '{name}' must be described by a JSON object. Received: {description!r}.")
    mode = description.get("TrainingInputMode") or "File"
    if mode not in MODES:
        raise ChannelError(f"Channel '{name}' is in {mode} mode, which is not read. Use File or FastFile.")
    wrapper = description.get("RecordWrapperType") or "None"
    if wrapper != "None":
        raise ChannelError(f"Channel '{name}' is wrapped in {wrapper}, which is not read. Use no record wrapper.")


def _refuse_case_collisions(names: list[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise ChannelError(f"Channels '{other}' and '{name}' differ only in case. Rename one of them.")


def _place(paths: Paths, name: str) -> Path:
    folder = paths.data / name
    try:
        resolved = folder.resolve(strict=True)
        if not resolved.is_dir():
            raise ChannelError(f"Channel '{name}' is {_kind(resolved)}, not a folder. Deliver it in File mode.")
        if not _holds_a_file(resolved):
            raise ChannelError(
                f"Channel '{name}' is empty: it holds no file. Check the path or S3 prefix that it was made from."
            )
    except FileNotFoundError as problem:
        received = ", ".join(f"'{other}'" for other in _delivered(paths.data)) or "none"
        raise ChannelError(f"Channel '{name}' is missing below {paths.data}. Received: {received}.") from problem
    except (OSError, RuntimeError) as problem:
        raise ChannelError(f"Channel '{name}' cannot be read: {getattr(problem, 'strerror', problem)}.") from problem
    return resolved if folder.is_symlink() else _only_link(resolved) or resolved


def _only_link(folder: Path) -> Path | None:
    """Return the file that the one thing in a folder links to: so a client hands over a single file without a copy.

    Links deeper in the data are a user's own, and whoever reads the data judges them.
    """
    entries = list(folder.iterdir())
    if len(entries) == 1 and entries[0].is_symlink() and entries[0].is_file():
        return entries[0].resolve()
    return None


def _holds_a_file(folder: Path) -> bool:
    """Tell whether any regular file, or link to one, lies below: FIFOs and devices are not data."""

    def raise_at_top(problem: OSError) -> None:
        if problem.filename == str(folder):
            raise problem

    for parent, _, names in os.walk(folder, onerror=raise_at_top):
        if any(Path(parent, name).is_file() for name in names):
            return True
    return False


def _delivered(data: Path) -> list[str]:
    return sorted(entry.name for entry in data.iterdir() if entry.is_dir()) if data.is_dir() else []


def _kind(path: Path) -> str:
    kinds = {"a FIFO": path.is_fifo, "a socket": path.is_socket, "a file": path.is_file}
    return next((name for name, test in kinds.items() if test()), "a device")
