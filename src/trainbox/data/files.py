"""A user's files, read where they lie: a folder or an archive, never unpacked, never written to.

Trees and references can be pickled to worker processes: what a tree knows of its files is found again there when
it is needed, not carried along.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from trainbox.data.problems import Problems
from trainbox.data.text import printable
from trainbox.errors import DataError

MAX_FILE_BYTES = 64 << 20
JUNK_NAMES = {"thumbs.db", ".ds_store", "desktop.ini", "__macosx"}
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar")


class UnreadableFile(Exception):
    """One file whose content cannot be had. ``reason`` is a short stable phrase that names no file."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class FileTree(Protocol):
    """Named files below one root. Names are relative, with ``/`` between the parts."""

    label: str

    def names(self) -> Sequence[str]:
        """Return the names of all regular files, sorted."""

    def size(self, name: str) -> int | None:
        """Return the bytes of a file's content, None where there is no such file."""

    def read(self, name: str, limit: int | None = None) -> bytes:
        """Return the content; raise UnreadableFile, also where it is longer than ``limit`` (or MAX_FILE_BYTES)."""

    def where(self, name: str) -> str:
        """Say where a file lies, for a person."""


@dataclass(frozen=True, slots=True)
class FileReference:
    """One file of a tree."""

    tree: FileTree
    name: str

    def read(self) -> bytes:
        """Return the content; raise UnreadableFile."""
        return self.tree.read(self.name)

    def __str__(self) -> str:
        return self.tree.where(self.name)


class FolderTree:
    """The regular files below a folder. Links that leave it, devices and the litter of desktops are skipped."""

    def __init__(self, root: Path, label: str = "", problems: Problems | None = None) -> None:
        self.root = root.resolve()
        self.label = label or printable(root.name or str(root))
        self._sizes: dict[str, int] | None = _list_folder(self.root, self.label, problems or Problems())

    def names(self) -> Sequence[str]:
        """Return the names of all regular files, sorted."""
        return list(self._known())

    def size(self, name: str) -> int | None:
        """Return the bytes of a file's content, None where there is no such file."""
        return self._known().get(name)

    def read(self, name: str, limit: int | None = None) -> bytes:
        """Return the content; raise UnreadableFile, also where it is longer than ``limit`` (or MAX_FILE_BYTES)."""
        limit = MAX_FILE_BYTES if limit is None else limit
        if is_unsafe(name):
            raise UnreadableFile("file name leads out of the folder")
        try:
            with Path(self.root, name).open("rb") as file:
                content = file.read(limit + 1)
        except OSError:
            raise UnreadableFile("file cannot be opened") from None
        if len(content) > limit:
            raise UnreadableFile("file is too large")
        return content

    def where(self, name: str) -> str:
        """Say where a file lies, for a person."""
        return f"{self.label}/{printable(name)}"

    def _known(self) -> dict[str, int]:
        if self._sizes is None:
            self._sizes = _list_folder(self.root, self.label, Problems())
        return self._sizes

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "label": self.label, "_sizes": None}


def is_unsafe(name: str) -> bool:
    """Tell whether a name of a file could lead out of its root on any system that people use."""
    parts = name.replace("\\", "/").split("/")
    drive = len(name) > 1 and name[1] == ":" and name[0].isalpha()
    return drive or parts[0] == "" or ".." in parts or "\x00" in name


def is_junk(name: str) -> bool:
    """Tell whether a file is litter that a desktop left (``__MACOSX``, ``._*``, ``Thumbs.db``)."""
    parts = name.lower().split("/")
    return parts[-1].startswith("._") or any(part in JUNK_NAMES for part in parts)


def is_archive_name(name: str) -> bool:
    """Tell whether a name says that the file is an archive."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def case_collision(names: Sequence[str]) -> tuple[str, str] | None:
    """Return two names that some file systems take for one, None where there are none."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            return other, name
    return None


def _list_folder(root: Path, label: str, problems: Problems) -> dict[str, int]:
    """Return the size of each regular file by its name; count what is left out."""
    sizes = {}
    for entry, name in _walk(root, label, problems):
        where = f"{label}/{printable(name)}"
        reason = "file left by a desktop" if is_junk(name) else _irregular(entry, root)
        if reason:
            problems.skip(reason, where)
        else:
            sizes[name] = entry.stat().st_size
    collision = case_collision(list(sizes))
    if collision:
        first, second = map(printable, collision)
        raise DataError(f"Two files of '{label}' differ only in case. Received: '{first}' and '{second}'. Rename one.")
    return dict(sorted(sizes.items()))


def _walk(root: Path, label: str, problems: Problems) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Yield every entry below ``root`` that is not a real folder, with its relative name."""
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as entries:
                found = list(entries)
        except OSError:
            problems.skip("folder cannot be opened", f"{label}/{printable(folder)}")
            continue
        for entry in found:
            name = folder + entry.name
            if entry.is_dir(follow_symlinks=False) and not is_junk(name):
                folders.append(name + "/")
            else:
                yield entry, name


def _irregular(entry: os.DirEntry[str], root: Path) -> str | None:
    """Return why an entry is not read, None where it is a regular file or a link to one of the same folder."""
    try:
        mode = entry.stat().st_mode
    except OSError:
        return "link leads nowhere"
    if entry.is_symlink():
        if not Path(entry.path).resolve().is_relative_to(root):
            return "link leads out of the folder"
        if stat.S_ISDIR(mode):
            return "link to a folder"
    return None if stat.S_ISREG(mode) else "not a regular file"
