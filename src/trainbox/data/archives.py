"""What all archives have in common: read at random where they lie, never unpacked, and distrusted.

Names, sizes and places come from the archive's own list. An archive that could write outside a folder, blow up, or
say two things at once is refused as a whole before any content is read.
"""

import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from trainbox.data.files import MAX_FILE_BYTES, UnreadableFile, case_collision, is_archive_name, is_junk, is_unsafe
from trainbox.data.problems import Problems
from trainbox.data.text import printable
from trainbox.errors import ArchiveError


@dataclass(frozen=True)
class Limits:
    """What an archive may hold: enough for any data set, too little for a bomb.

    ``ratio`` is bytes out per byte in, looked at where more than ``ratio_from_bytes`` come out.
    """

    members: int = 1_000_000
    total_bytes: int = 64 << 30
    ratio: int = 200
    ratio_from_bytes: int = 1 << 20
    list_bytes: int = 128 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """Where one file lies in its archive: its header's place, its bytes there, its bytes when read."""

    name: str
    offset: int
    stored_bytes: int
    size: int
    method: int = zipfile.ZIP_STORED
    crc: int | None = None


class ArchiveTree(ABC):
    """The files of one archive. The list of members is read once in a process and shared by all trees of that file."""

    def __init__(
        self, path: Path, label: str = "", problems: Problems | None = None, limits: Limits | None = None
    ) -> None:
        self.path = path.resolve()
        self.label = label or printable(path.name)
        self.limits = limits or Limits()
        self._members: dict[str, Member] | None = None
        if problems is not None:
            problems.merge(self._opened()[1])

    def names(self) -> Sequence[str]:
        """Return the names of all regular files, sorted."""
        return list(self._known())

    def size(self, name: str) -> int | None:
        """Return the bytes of a file's content, None where there is no such file."""
        member = self._known().get(name)
        return None if member is None else member.size

    def read(self, name: str, limit: int | None = None) -> bytes:
        """Return the content; raise UnreadableFile, also where it is longer than ``limit`` (or MAX_FILE_BYTES)."""
        member = self._known().get(name)
        if member is None:
            raise UnreadableFile("file is missing")
        if member.size > (MAX_FILE_BYTES if limit is None else limit):
            raise UnreadableFile("file is too large")
        try:
            return self._content(member)
        except (OSError, EOFError, ValueError, struct.error, zlib.error):
            raise UnreadableFile("archive member is damaged") from None

    def where(self, name: str) -> str:
        """Say where a file lies, for a person."""
        return f"{self.label}: {printable(name)}"

    @staticmethod
    @abstractmethod
    def _list(path: Path, label: str, limits: Limits, problems: Problems) -> dict[str, Member]:
        """Return the members of the archive by name."""

    @abstractmethod
    def _content(self, member: Member) -> bytes:
        """Return a member's content."""

    def _opened(self) -> tuple[dict[str, Member], Problems]:
        state = self.path.stat()
        return _listed(self._list, self.path, self.label, self.limits, state.st_mtime_ns, state.st_size)

    def _known(self) -> dict[str, Member]:
        if self._members is None:
            self._members = self._opened()[0]
        return self._members

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_members": None}


Lister = Callable[[Path, str, Limits, Problems], dict[str, Member]]


@lru_cache(maxsize=64)
def _listed(
    lister: Lister, path: Path, label: str, limits: Limits, mtime_ns: int, size: int
) -> tuple[dict[str, Member], Problems]:
    """Read an archive's list once in a process. The last two arguments tell a file from one written over it."""
    problems = Problems()
    return lister(path, label, limits, problems), problems


def accept(members: Iterable[Member], label: str, limits: Limits) -> dict[str, Member]:
    """Return the members by name; refuse what is twice there or too much."""
    named: dict[str, Member] = {}
    for member in members:
        if member.name in named:
            raise ArchiveError(f"'{label}' holds a name twice. Received: '{printable(member.name)}'. Make it again.")
        named[member.name] = member
    collision = case_collision(list(named))
    if collision:
        first, second = map(printable, collision)
        raise ArchiveError(f"Two files of '{label}' differ only in case. Received: '{first}', '{second}'. Rename one.")
    _refuse_bomb(named, label, limits)
    return dict(sorted(named.items()))


def refuse_name(name: str, label: str) -> None:
    """Refuse a name that would lead out of the folder, had we unpacked it: nobody packs one by accident."""
    if is_unsafe(name):
        raise ArchiveError(f"'{label}' would write outside its folder. Received: '{printable(name)}'. Make it again.")


def _refuse_bomb(members: Mapping[str, Member], label: str, limits: Limits) -> None:
    if len(members) > limits.members:
        raise ArchiveError(f"'{label}' holds too many files. Received: more than {limits.members}. Split it.")
    total = sum(member.size for member in members.values())
    if total > limits.total_bytes:
        raise ArchiveError(
            f"'{label}' is too large unpacked. Received: {total} bytes, at most {limits.total_bytes}. Split it."
        )
    stored = sum(member.stored_bytes for member in members.values())
    for size, packed in [(total, stored), *((member.size, member.stored_bytes) for member in members.values())]:
        if size > limits.ratio_from_bytes and size > packed * limits.ratio:
            raise ArchiveError(f"'{label}' unpacks to {size} bytes from {packed}: a decompression bomb. Leave it out.")


def name_skip(name: str) -> str | None:
    """Return why a file of that name is not read, None where it is."""
    if is_junk(name):
        return "file left by a desktop"
    return "archive inside an archive" if is_archive_name(name) else None


def described(path: Path) -> str:
    """Say what was received where an archive was expected."""
    size = path.stat().st_size
    return f"a truncated or foreign file of {size} bytes" if size else "an empty file"
