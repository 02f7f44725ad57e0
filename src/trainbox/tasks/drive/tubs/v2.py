"""Tubs of version 2: catalogs of a line a record, named by a manifest that also lists the deleted records."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trainbox.data.files import FileTree, UnreadableFile
from trainbox.data.problems import Problems
from trainbox.data.text import UnreadableText
from trainbox.tasks.drive.tubs.manifest import MAX_CATALOG_BYTES, Manifest, is_count, line_lengths, read_manifest
from trainbox.tasks.drive.tubs.reading import TubReading
from trainbox.tasks.drive.tubs.record import Tub

CATALOG_NAME = re.compile(r"catalog_([0-9]{1,15})\.catalog")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a catalog. ``values`` is None where it could not be parsed; ``broken`` then says why."""

    position: int
    where: str
    values: Any
    broken: str = ""

    @property
    def index(self) -> int:
        """The record's own number, its position where it has none."""
        index = self.values.get("_index") if isinstance(self.values, dict) else None
        return index if is_count(index) else self.position


def read_v2(tree: FileTree, folder: str, names: Sequence[str], label: str, problems: Problems) -> Tub:
    """Read the tub at ``folder`` ("" or ending in "/"), whose catalogs are ``names`` without the folder."""
    reading = TubReading(tree, folder, 2, problems)
    manifest = read_manifest(reading)
    reading.note_image_key(manifest.inputs, manifest.types)
    present = sorted(names, key=_catalog_order)
    lines = _all_lines(reading, present if manifest.catalogs is None else manifest.catalogs, present, manifest)
    deleted = _deleted_positions(lines, manifest.deleted, label, problems)
    for line in lines:
        _take(reading, line, "record is deleted" if line.position in deleted else "")
    if manifest.catalogs is not None:
        _leave_stale(reading, [name for name in present if name not in manifest.catalogs])
    return reading.finish(label)


def _all_lines(reading: TubReading, order: Sequence[str], present: Sequence[str], manifest: Manifest) -> list[Line]:
    """Return the lines of the catalogs; those of a lost catalog keep their positions free."""
    lines: list[Line] = []
    position = 0
    for name in order:
        found = _catalog_lines(reading, name, position) if name in present else None
        if name not in present:
            reading.problems.warn("catalog named in the manifest is missing", reading.where(name))
        lines += found or []
        position += len(found) if found is not None else _lost_lines(reading, name, manifest.max_len)
    return lines


def _catalog_lines(reading: TubReading, name: str, position: int) -> list[Line] | None:
    """Return the lines of a catalog, None where it cannot be read: its records are then left out."""
    try:
        content = reading.tree.read(reading.folder + name, MAX_CATALOG_BYTES)
    except UnreadableFile as error:
        lost = _lost_lines(reading, name, 1)
        reading.leave_out(f"record in a catalog that cannot be read: {error.reason}", reading.where(name), lost)
        return None
    rows = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    lines: list[Line] = []
    for number, row in enumerate(rows, 1):
        if row.strip():
            where = reading.where(name, number)
            # Every whole line ends, so that after the last end there is nothing.
            lines.append(_line(reading, row, position + len(lines), where, torn=number == len(rows)))
    _compare_lengths(reading, name, content)
    return lines


def _line(reading: TubReading, row: bytes, position: int, where: str, *, torn: bool) -> Line:
    try:
        return Line(position, where, reading.parse(row, where))
    except UnreadableText as error:
        return Line(position, where, None, "last line of a catalog is torn" if torn else f"record {error.reason}")


def _take(reading: TubReading, line: Line, left_out: str) -> None:
    if line.broken:
        reading.leave_out(left_out or line.broken, line.where)
    else:
        reading.add(line.values, line.position, line.index, line.where, left_out)


def _deleted_positions(lines: Sequence[Line], listed: set[int], label: str, problems: Problems) -> set[int]:
    """Return the positions of the deleted lines.

    donkeycar writes a record's ``_index`` into the list, but reads the list as line positions. The two are the same
    until catalogs are lost or the tub is cut. Then the reading under which more of the list hits a record is the one
    that was meant; where both hit the same number, donkeycar's reading is kept.
    """
    by_position = {line.position for line in lines if line.position in listed}
    by_index = {line.position for line in lines if line.index in listed}
    meant = by_index if len(by_index) > len(by_position) else by_position
    if by_index and by_position and by_index != by_position:
        kind = "_index" if meant is by_index else "line position"
        problems.warn(f"deleted_indexes fit both _index and line position: taken as {kind}", label)
    if len(listed) > len(meant):
        problems.warn("deleted index without a record is ignored", label, len(listed) - len(meant))
    return meant


def _leave_stale(reading: TubReading, names: Sequence[str]) -> None:
    for name in names:
        for line in _catalog_lines(reading, name, 0) or []:
            _take(reading, line, "record in a catalog the manifest omits")


def _compare_lengths(reading: TubReading, name: str, content: bytes) -> None:
    """Warn where the lengths of lines kept beside a catalog are wrong: we do not need them, donkeycar does."""
    lengths = line_lengths(reading, name)
    if lengths is not None and lengths != [len(line) for line in content.splitlines(keepends=True)]:
        reading.problems.warn("line lengths of a catalog are wrong: the lines were counted anew", reading.where(name))


def _lost_lines(reading: TubReading, name: str, otherwise: int) -> int:
    """Return how many lines a lost catalog had, as far as its own manifest still tells."""
    lengths = line_lengths(reading, name)
    return len(lengths) if isinstance(lengths, list) and lengths else otherwise


def _catalog_order(name: str) -> tuple[int, str]:
    found = CATALOG_NAME.fullmatch(name)
    return (int(found[1]) if found else 0, name)
