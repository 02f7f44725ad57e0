"""Archives, read at random where they lie and never unpacked.

Names, sizes and places come from the archive's own list, and all of it is distrusted: an archive that could write
outside a folder, blow up, or say two things at once is refused as a whole before any content is read.
"""

import bz2
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from trainbox.data.files import (
    MAX_FILE_BYTES,
    UnreadableFile,
    case_collision,
    is_archive_name,
    is_junk,
    is_unsafe,
)
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


class ArchiveTree:
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
    def _list(path: Path, label: str, limits: Limits, problems: Problems) -> dict[str, Member]:
        raise NotImplementedError

    def _content(self, member: Member) -> bytes:
        raise NotImplementedError

    def _opened(self) -> tuple[dict[str, Member], Problems]:
        state = self.path.stat()
        return _listed(type(self), self.path, self.label, self.limits, state.st_mtime_ns, state.st_size)

    def _known(self) -> dict[str, Member]:
        if self._members is None:
            self._members = self._opened()[0]
        return self._members

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_members": None}


@lru_cache(maxsize=64)
def _listed(
    kind: type[ArchiveTree], path: Path, label: str, limits: Limits, mtime_ns: int, size: int
) -> tuple[dict[str, Member], Problems]:
    """Read an archive's list once in a process. The last two arguments tell a file from one written over it."""
    problems = Problems()
    return kind._list(path, label, limits, problems), problems


class ZipTree(ArchiveTree):
    """The files of a zip: stored, deflated or bzip2 members."""

    @staticmethod
    def _list(path: Path, label: str, limits: Limits, problems: Problems) -> dict[str, Member]:
        return _list_zip(path, label, limits, problems)

    def _content(self, member: Member) -> bytes:
        with self.path.open("rb", buffering=0) as file:
            header = os.pread(file.fileno(), 30, member.offset)
            if header[:4] != b"PK\x03\x04":
                raise UnreadableFile("archive member is damaged")
            names_bytes, extra_bytes = struct.unpack("<HH", header[26:30])
            start = member.offset + 30 + names_bytes + extra_bytes
            content = _inflate(os.pread(file.fileno(), member.stored_bytes, start), member)
        if len(content) != member.size or zlib.crc32(content) != member.crc:
            raise UnreadableFile("archive member is damaged")
        return content


class TarTree(ArchiveTree):
    """The files of an uncompressed tar. (A compressed one cannot be read at random.)"""

    @staticmethod
    def _list(path: Path, label: str, limits: Limits, problems: Problems) -> dict[str, Member]:
        return _list_tar(path, label, limits, problems)

    def _content(self, member: Member) -> bytes:
        with self.path.open("rb", buffering=0) as file:
            content = os.pread(file.fileno(), member.size, member.offset)
        if len(content) != member.size:
            raise UnreadableFile("archive member is damaged")
        return content


def _inflate(data: bytes, member: Member) -> bytes:
    """Decompress, never to more than a byte beyond what the archive's list promised."""
    if member.method == zipfile.ZIP_DEFLATED:
        return zlib.decompressobj(-15).decompress(data, member.size + 1)
    if member.method == zipfile.ZIP_BZIP2:
        return bz2.BZ2Decompressor().decompress(data, member.size + 1)
    return data


def _list_zip(path: Path, label: str, limits: Limits, problems: Problems) -> dict[str, Member]:
    _refuse_long_list(path, label, limits)
    try:
        with zipfile.ZipFile(path) as archive:
            entries, end = archive.infolist(), archive.start_dir
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError, struct.error):
        raise ArchiveError(f"'{label}' is not a whole zip. Received: {_state(path)}. Copy or make it again.") from None
    _refuse_overlap(entries, end, label)
    members = []
    for entry in entries:
        name = entry.orig_filename.replace("\\", "/").removeprefix("./")
        _refuse_name(name, label)
        if entry.flag_bits & 0x2041:
            raise ArchiveError(
                f"'{label}' is encrypted. Received: '{printable(name)}'. Make it again without a password."
            )
        reason = None if name.endswith("/") else _zip_skip(entry, name)
        if reason:
            problems.skip(reason, f"{label}: {printable(name)}")
        elif not name.endswith("/"):
            members.append(
                Member(name, entry.header_offset, entry.compress_size, entry.file_size, entry.compress_type, entry.CRC)
            )
    return _accept(members, label, limits)


def _zip_skip(entry: zipfile.ZipInfo, name: str) -> str | None:
    """Return why a member is not read, None where it is."""
    unix_kind = entry.external_attr >> 28 if entry.create_system == 3 else 0
    if unix_kind not in (0, 0o10):
        return "archive member is a link or a device"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        return "archive member has an unsupported compression"
    return _name_skip(name)


def _name_skip(name: str) -> str | None:
    if is_junk(name):
        return "file left by a desktop"
    return "archive inside an archive" if is_archive_name(name) else None


def _list_tar(path: Path, label: str, limits: Limits, problems: Problems) -> dict[str, Member]:
    members = []
    try:
        with tarfile.open(path, "r:") as archive:
            for entry in archive:
                _refuse_name(entry.name, label)
                kind = entry.isreg() and not entry.issparse()
                reason = _name_skip(entry.name) if kind else "archive member is a link or a device"
                if entry.isdir():
                    continue
                if reason:
                    problems.skip(reason, f"{label}: {printable(entry.name)}")
                else:
                    members.append(Member(entry.name.removeprefix("./"), entry.offset_data, entry.size, entry.size))
                if len(members) > limits.members:
                    break
    except (tarfile.TarError, ValueError, OSError, EOFError, struct.error):
        raise ArchiveError(f"'{label}' is not a whole tar. Received: {_state(path)}. Copy or make it again.") from None
    return _accept(members, label, limits)


def _accept(members: Iterable[Member], label: str, limits: Limits) -> dict[str, Member]:
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


def _refuse_name(name: str, label: str) -> None:
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


def _refuse_overlap(entries: Sequence[zipfile.ZipInfo], end: int, label: str) -> None:
    """Refuse members that share bytes: the mark of a bomb, and of an archive that says two things at once."""
    places = sorted((entry.header_offset, entry.compress_size + 30) for entry in entries)
    for (start, size), (following, _) in zip(places, [*places[1:], (end, 0)], strict=True):
        if start + size > following:
            raise ArchiveError(f"'{label}' has members that overlap. Received: two at byte {start}. Make it again.")


def _refuse_long_list(path: Path, label: str, limits: Limits) -> None:
    """Refuse a zip whose list of members alone would fill the memory: zipfile reads it whole before we can look."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 65_557))
        tail = file.read()
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) < place + 22:
        return
    list_bytes: int = struct.unpack("<L", tail[place + 12 : place + 16])[0]
    if list_bytes == 0xFFFFFFFF and tail.rfind(b"PK\x06\x06") >= 0:
        wide = tail.rfind(b"PK\x06\x06")
        list_bytes = int.from_bytes(tail[wide + 40 : wide + 48], "little")
    if list_bytes > limits.list_bytes:
        raise ArchiveError(f"'{label}' holds too many files. Received: a list of {list_bytes} bytes. Split it.")


def _state(path: Path) -> str:
    size = path.stat().st_size
    return f"a truncated or foreign file of {size} bytes" if size else "an empty file"
