"""Tubs of version 2: catalogs of a line a record, named by a manifest that also lists the deleted records."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from trainbox.data.files import FileTree, UnreadableFile
from trainbox.data.problems import Problems
from trainbox.data.text import UnreadableText, decode_text, parse_json
from trainbox.tasks.drive.tubs.reading import TubReading
from trainbox.tasks.drive.tubs.record import MAX_COUNT, Tub

CATALOG_NAME = re.compile(r"catalog_([0-9]{1,15})\.catalog")
MANIFEST = "manifest.json"
MAX_CATALOG_BYTES = 256 << 20
_DELETED = "record is deleted"


@dataclass
class Manifest:
    """What the manifest says: which catalogs count, and which records their user deleted."""

    inputs: Any = None
    types: Any = None
    catalogs: list[str] | None = None
    deleted: set[int] = field(default_factory=set)
    max_len: int = 1000


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
        return index if _is_count(index) else self.position


def read_v2(tree: FileTree, folder: str, names: Sequence[str], label: str, problems: Problems) -> Tub:
    """Read the tub at ``folder`` ("" or ending in "/"), whose catalogs are ``names`` without the folder."""
    reading = TubReading(tree, folder, 2, problems)
    manifest = read_manifest(reading)
    reading.note_image_key(manifest.inputs, manifest.types)
    present = sorted(names, key=_catalog_order)
    lines: list[Line] = []
    position = 0
    for name in present if manifest.catalogs is None else manifest.catalogs:
        if name in present:
            lines += _catalog_lines(reading, name, position)
            position = lines[-1].position + 1 if lines else position
        else:
            problems.warn("catalog named in the manifest is missing", reading.where(name))
            position += _missing_lines(reading, name, manifest.max_len)
    deleted = _deleted_positions(lines, manifest.deleted, label, problems)
    for line in lines:
        _take(reading, line, deleted)
    if manifest.catalogs is not None:
        _leave_stale(reading, [name for name in present if name not in manifest.catalogs])
    return reading.finish(label)


def read_manifest(reading: TubReading) -> Manifest:
    """Return what the manifest says; warn where it is missing or broken, and all catalogs then count."""
    where = reading.where(MANIFEST)
    if reading.tree.size(reading.folder + MANIFEST) is None:
        reading.problems.warn("manifest is missing: rebuilt from the catalogs, deleted records unknown", where)
        return Manifest()
    try:
        content = reading.tree.read(reading.folder + MANIFEST, MAX_CATALOG_BYTES)
    except UnreadableFile:
        content = b""
    parsed = [_json_or_none(line) for line in decode_text(content).splitlines()]
    last = next(
        (line for line in reversed(parsed) if isinstance(line, dict) and isinstance(line.get("paths"), list)), None
    )
    manifest = Manifest(*[*parsed, None, None][:2])
    if last is None:
        reading.problems.warn("manifest is broken: rebuilt from the catalogs, deleted records unknown", where)
        return manifest
    manifest.catalogs = list(dict.fromkeys(name for name in last["paths"] if isinstance(name, str)))
    listed = last["deleted_indexes"] if isinstance(last.get("deleted_indexes"), list) else []
    manifest.deleted = {index for index in listed if _is_count(index)}
    strange = sum(not _is_count(index) for index in listed)
    if strange:
        reading.problems.warn("deleted index that counts nothing is ignored", where, strange)
    manifest.max_len = min(last["max_len"], 1_000_000) if _is_count(last.get("max_len")) else manifest.max_len
    return manifest


def _catalog_lines(reading: TubReading, name: str, position: int) -> list[Line]:
    try:
        content = reading.tree.read(reading.folder + name, MAX_CATALOG_BYTES)
    except UnreadableFile as error:
        reading.problems.warn(f"catalog cannot be read: {error.reason}", reading.where(name))
        return []
    rows = content.split(b"\n")
    torn = len(rows) - 1 if rows[-1].strip() else -1
    lines: list[Line] = []
    for number, row in enumerate(rows):
        if row.strip():
            where = reading.where(name, number + 1)
            lines.append(_line(reading, row, position + len(lines), where, torn=number == torn))
    _compare_lengths(reading, name, rows)
    return lines


def _line(reading: TubReading, row: bytes, position: int, where: str, *, torn: bool) -> Line:
    try:
        return Line(position, where, reading.parse(row, where))
    except UnreadableText as error:
        return Line(position, where, None, "last line of a catalog is torn" if torn else f"record {error.reason}")


def _take(reading: TubReading, line: Line, deleted: set[int]) -> None:
    left_out = _DELETED if line.position in deleted else None
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
    if by_index != by_position:
        kind = "_index" if meant is by_index else "line position"
        problems.warn(f"deleted_indexes fit both _index and line position: taken as {kind}", label)
    beyond = len(listed) - len(meant)
    if beyond > 0:
        problems.warn("deleted index without a record is ignored", label, beyond)
    return meant


def _leave_stale(reading: TubReading, names: Sequence[str]) -> None:
    for name in names:
        for line in _catalog_lines(reading, name, 0):
            reading.add(line.values, line.position, line.index, line.where, "record in a catalog the manifest omits")


def _compare_lengths(reading: TubReading, name: str, rows: Sequence[bytes]) -> None:
    """Warn where the lengths of lines kept beside a catalog are wrong: we do not need them, donkeycar does."""
    beside = reading.folder + name + "_manifest"
    if reading.tree.size(beside) is None:
        return
    lengths = _lengths(reading, beside)
    actual = [len(row) + 1 for row in rows[:-1]] + ([len(rows[-1])] if rows[-1] else [])
    if lengths != actual:
        reading.problems.warn("line lengths of a catalog are wrong: the lines were counted anew", reading.where(name))


def _lengths(reading: TubReading, beside: str) -> Any:
    try:
        described = _json_or_none(decode_text(reading.tree.read(beside, MAX_CATALOG_BYTES)))
    except UnreadableFile:
        return None
    return described.get("line_lengths") if isinstance(described, dict) else None


def _missing_lines(reading: TubReading, name: str, otherwise: int) -> int:
    """Return how many lines a lost catalog had, as far as its own manifest still tells."""
    lengths = _lengths(reading, reading.folder + name + "_manifest")
    return len(lengths) if isinstance(lengths, list) else otherwise


def _catalog_order(name: str) -> tuple[int, str]:
    found = CATALOG_NAME.fullmatch(name)
    return (int(found[1]) if found else 0, name)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_COUNT


def _json_or_none(text: str) -> Any:
    try:
        return parse_json(text)[0]
    except UnreadableText:
        return None
