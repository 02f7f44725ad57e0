"""Zips: what users upload their data as."""

import bz2
import os
import struct
import zipfile
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from trainbox.data.archives import ArchiveTree, Limits, Member, accept, described, name_skip, refuse_name
from trainbox.data.files import UnreadableFile
from trainbox.data.problems import Problems
from trainbox.data.text import printable
from trainbox.errors import ArchiveError

_ENCRYPTED = 0x2041  # traditional, strong, and a masked list of members


def list_zip(path: Path, label: str, limits: Limits, problems: Problems) -> dict[str, Member]:
    """Return a zip's members by name; raise ArchiveError where the whole is unsafe or broken."""
    _refuse_long_list(path, label, limits)
    try:
        with zipfile.ZipFile(path) as archive:
            entries, end = archive.infolist(), archive.start_dir
        if any(entry.header_offset < 0 for entry in entries):
            raise zipfile.BadZipFile("the beginning is missing")
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError, struct.error):
        raise ArchiveError(
            f"'{label}' is not a whole zip. Received: {described(path)}. Copy or make it again."
        ) from None
    _refuse_overlap(entries, end, label)
    members = []
    for entry in entries:
        name = entry.orig_filename.replace("\\", "/").removeprefix("./")
        refuse_name(name, label)
        if entry.flag_bits & _ENCRYPTED:
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
    return accept(members, label, limits)


def _zip_skip(entry: zipfile.ZipInfo, name: str) -> str | None:
    """Return why a member is not read, None where it is."""
    unix_kind = entry.external_attr >> 28 if entry.create_system == 3 else 0
    if unix_kind not in (0, 0o10):
        return "archive member is a link or a device"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        return "archive member has an unsupported compression"
    return name_skip(name)


class ZipTree(ArchiveTree):
    """The files of a zip: stored, deflated or bzip2 members."""

    _list = staticmethod(list_zip)

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


def _inflate(data: bytes, member: Member) -> bytes:
    """Decompress, never to more than a byte beyond what the archive's list promised."""
    if member.method == zipfile.ZIP_DEFLATED:
        return zlib.decompressobj(-15).decompress(data, member.size + 1)
    if member.method == zipfile.ZIP_BZIP2:
        return bz2.BZ2Decompressor().decompress(data, member.size + 1)
    return data


def _refuse_overlap(entries: Sequence[zipfile.ZipInfo], end: int, label: str) -> None:
    """Refuse members that share bytes: the mark of a bomb, and of an archive that says two things at once."""
    places = sorted((entry.header_offset, entry.compress_size + 30) for entry in entries)
    for (start, size), (following, _) in pairwise([*places, (end, 0)]):
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
