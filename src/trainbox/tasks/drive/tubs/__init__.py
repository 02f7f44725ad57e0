"""Donkeycar tubs of both versions, in folders and archives, nested and several at once. Read, never written."""

import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path

from trainbox.data.files import FileTree
from trainbox.data.problems import Problems
from trainbox.data.text import printable
from trainbox.data.trees import open_trees
from trainbox.errors import DataError
from trainbox.tasks.drive.tubs.record import Record, Tub
from trainbox.tasks.drive.tubs.v1 import RECORD_NAME, read_v1
from trainbox.tasks.drive.tubs.v2 import read_v2

__all__ = ["Record", "Tub", "looks_like_tubs", "read_tubs"]


def read_tubs(paths: Sequence[Path], problems: Problems) -> list[Tub]:
    """Read every tub below ``paths``; count in ``problems`` what is left out or odd.

    A tub may come back without records. Raises DataError where there is no tub at all, ArchiveError where an archive
    is unsafe or broken as a whole.
    """
    tubs: list[Tub] = []
    labels: dict[str, int] = {}
    for tree in _trees(paths, problems):
        for folder, names in _record_files(tree).items():
            label = _unique(_label(tree, folder), labels)
            tubs += _read_folder(tree, folder, names, label, problems)
    if not tubs:
        received = ", ".join(printable(str(path)) for path in paths) or "no path"
        raise DataError(f"No tub found (record_N.json, or manifest.json with catalogs). Received: {received}.")
    return tubs


def looks_like_tubs(paths: Sequence[Path]) -> bool:
    """Tell by file names alone whether there is a tub below ``paths``; raise ArchiveError for a broken archive."""
    return any(_record_files(tree) for path in paths if path.exists() for tree in open_trees(path, Problems()))


def _trees(paths: Sequence[Path], problems: Problems) -> Iterator[FileTree]:
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            problems.warn("path was given twice and is read once", printable(str(path)))
            continue
        seen.add(path.resolve())
        yield from open_trees(path, problems)


def _record_files(tree: FileTree) -> dict[str, list[str]]:
    """Return the files that make a folder a tub, by folder ("" or ending in "/"): record files and catalogs."""
    folders: dict[str, list[str]] = {}
    for name in tree.names():
        base = posixpath.basename(name)
        if base.endswith(".catalog") or RECORD_NAME.fullmatch(base):
            folders.setdefault(name[: len(name) - len(base)], []).append(base)
    return folders


def _read_folder(tree: FileTree, folder: str, names: list[str], label: str, problems: Problems) -> list[Tub]:
    catalogs = [name for name in names if name.endswith(".catalog")]
    records = [name for name in names if not name.endswith(".catalog")]
    if catalogs and records:
        problems.warn("a tub v1 and a tub v2 in one folder: both are read, perhaps one was made of the other", label)
    tubs = [read_v2(tree, folder, catalogs, label, problems)] if catalogs else []
    if records:
        tubs.append(read_v1(tree, folder, records, label, problems))
    return tubs


def _label(tree: FileTree, folder: str) -> str:
    return tree.where(folder.rstrip("/")) if folder else tree.label


def _unique(label: str, taken: dict[str, int]) -> str:
    taken[label] = taken.get(label, 0) + 1
    return label if taken[label] == 1 else f"{label} ({taken[label]})"
