"""Tubs of version 1: a file a record, ``record_N.json``, with its image beside it."""

import re
from collections.abc import Sequence
from typing import Any

from trainbox.data.files import FileTree, UnreadableFile
from trainbox.data.problems import Problems
from trainbox.data.text import UnreadableText, parse_json
from trainbox.tasks.drive.tubs.reading import TubReading
from trainbox.tasks.drive.tubs.record import Tub

# Longer numbers than this are no record's.
RECORD_NAME = re.compile(r"record_([0-9]{1,15})\.json")
MAX_RECORD_BYTES = 1 << 20


def read_v1(tree: FileTree, folder: str, names: Sequence[str], label: str, problems: Problems) -> Tub:
    """Read the tub at ``folder`` ("" or ending in "/"), whose record files are ``names`` without the folder."""
    reading = TubReading(tree, folder, 1, problems)
    meta = _small_json(reading, "meta.json")
    if isinstance(meta, dict):
        reading.note_image_key(meta.get("inputs"), meta.get("types"))
    excluded = _excluded(reading)
    seen: set[int] = set()
    for number, name in sorted((_number(name), name) for name in names):
        where = reading.where(name)
        if number in seen:
            reading.leave_out("record number occurs twice", where)
            continue
        seen.add(number)
        try:
            values = reading.parse(tree.read(folder + name, MAX_RECORD_BYTES), where)
        except UnreadableText as error:
            reading.leave_out(f"record {error.reason}", where)
        except UnreadableFile as error:
            reading.leave_out(f"record cannot be read: {error.reason}", where)
        else:
            left_out = "record is excluded (exclude.json)" if number in excluded else ""
            reading.add(values, number, number, where, left_out)
    return reading.finish(label)


def _number(name: str) -> int:
    found = RECORD_NAME.fullmatch(name)
    return int(found[1]) if found else 0


def _excluded(reading: TubReading) -> set[int]:
    """Return the numbers that the user left out; anything else in that list is ignored."""
    listed = _small_json(reading, "exclude.json")
    if not isinstance(listed, list):
        return set()
    return {int(item) for item in listed if isinstance(item, int | str) and str(item).isdecimal()}


def _small_json(reading: TubReading, name: str) -> Any:
    """Return the content of a file beside the records, None where it is missing or, with a warning, broken."""
    if reading.tree.size(reading.folder + name) is None:
        return None
    try:
        return parse_json(reading.tree.read(reading.folder + name, MAX_RECORD_BYTES))[0]
    except (UnreadableText, UnreadableFile):
        reading.problems.warn(f"{name} cannot be read and is ignored", reading.where(name))
        return None
