"""Tars that are not compressed."""

import os
import struct
import tarfile
from pathlib import Path

from trainbox.data.archives import ArchiveTree, Limits, Member, accept, described, name_skip, refuse_name
from trainbox.data.files import UnreadableFile
from trainbox.data.problems import Problems
from trainbox.data.text import printable
from trainbox.errors import ArchiveError


def list_tar(path: Path, label: str, limits: Limits, problems: Problems) -> dict[str, Member]:
    """Return a tar's members by name; raise ArchiveError where the whole is unsafe or broken."""
    members = []
    try:
        with tarfile.open(path, "r:") as archive:
            for entry in archive:
                refuse_name(entry.name, label)
                if entry.isdir():
                    continue
                plain = entry.isreg() and not entry.issparse()
                reason = name_skip(entry.name) if plain else "archive member is a link or a device"
                if reason:
                    problems.skip(reason, f"{label}: {printable(entry.name)}")
                else:
                    members.append(Member(entry.name.removeprefix("./"), entry.offset_data, entry.size, entry.size))
                if len(members) > limits.members:
                    break
    except (tarfile.TarError, ValueError, OSError, EOFError, struct.error):
        raise ArchiveError(
            f"'{label}' is not a whole tar. Received: {described(path)}. Copy or make it again."
        ) from None
    return accept(members, label, limits)


class TarTree(ArchiveTree):
    """The files of an uncompressed tar. (A compressed one cannot be read at random.)"""

    _list = staticmethod(list_tar)

    def _content(self, member: Member) -> bytes:
        with self.path.open("rb", buffering=0) as file:
            content = os.pread(file.fileno(), member.size, member.offset)
        if len(content) != member.size:
            raise UnreadableFile("archive member is damaged")
        return content
