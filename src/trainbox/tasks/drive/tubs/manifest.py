"""The manifest of a tub v2, and what stands beside its catalogs: all of it distrusted, none of it necessary."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from trainbox.data.files import UnreadableFile
from trainbox.data.text import UnreadableText, decode_text, parse_json
from trainbox.tasks.drive.tubs.reading import TubReading
from trainbox.tasks.drive.tubs.record import MAX_COUNT

MANIFEST = "manifest.json"
MAX_CATALOG_BYTES = 256 << 20
# What donkeycar writes into a catalog unless told otherwise, and more than anyone has told it.
USUAL_LINES, MOST_LINES = 1000, 1_000_000


@dataclass
class Manifest:
    """What the manifest says: which catalogs count, and which records their user deleted."""

    inputs: Any = None
    types: Any = None
    catalogs: list[str] | None = None
    deleted: set[int] = field(default_factory=set)
    max_len: int = USUAL_LINES


def read_manifest(reading: TubReading) -> Manifest:
    """Return what the manifest says; warn where it is missing or broken, and all catalogs then count."""
    where = reading.where(MANIFEST)
    if reading.tree.size(reading.folder + MANIFEST) is None:
        reading.problems.warn("manifest is missing: rebuilt from the catalogs, deleted records unknown", where)
        return Manifest()
    lines = _parsed_lines(reading)
    manifest = Manifest(*[*lines, None, None][:2])
    # The catalogs stand in the fifth line; a torn manifest has fewer, one that was mended by hand perhaps more.
    last = next((line for line in reversed(lines) if isinstance(line, dict) and _is_list(line.get("paths"))), None)
    if last is None:
        reading.problems.warn("manifest is broken: rebuilt from the catalogs, deleted records unknown", where)
        return manifest
    manifest.catalogs = list(dict.fromkeys(name for name in last["paths"] if isinstance(name, str)))
    manifest.deleted = _deleted(last.get("deleted_indexes"), where, reading)
    length = last.get("max_len")
    manifest.max_len = min(length, MOST_LINES) if is_count(length) else USUAL_LINES
    return manifest


def line_lengths(reading: TubReading, catalog: str) -> Any:
    """Return the bytes of each line that are kept beside a catalog, None where there are none."""
    beside = reading.folder + catalog + "_manifest"
    if reading.tree.size(beside) is None:
        return None
    try:
        described = parse_json(reading.tree.read(beside, MAX_CATALOG_BYTES))[0]
    except (UnreadableFile, UnreadableText):
        return []
    return (described.get("line_lengths") or []) if isinstance(described, dict) else []


def is_count(value: Any) -> TypeGuard[int]:
    """Tell whether a value can be the number of a record."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_COUNT


def _deleted(listed: Any, where: str, reading: TubReading) -> set[int]:
    indexes: Sequence[Any] = listed if _is_list(listed) else []
    strange = sum(not is_count(index) for index in indexes)
    if strange:
        reading.problems.warn("deleted index that counts nothing is ignored", where, strange)
    return {index for index in indexes if is_count(index)}


def _parsed_lines(reading: TubReading) -> list[Any]:
    try:
        content = reading.tree.read(reading.folder + MANIFEST, MAX_CATALOG_BYTES)
    except UnreadableFile:
        return []
    return [_json_or_none(line) for line in decode_text(content).splitlines()]


def _json_or_none(text: str) -> Any:
    try:
        return parse_json(text)[0]
    except UnreadableText:
        return None


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
