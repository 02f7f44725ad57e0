"""What reading both versions of tubs has in common: find the image, judge the record, count what is left out."""

import posixpath
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from trainbox.data.files import FileReference, FileTree, is_unsafe
from trainbox.data.problems import Problems
from trainbox.data.text import parse_json
from trainbox.tasks.drive.tubs.record import (
    ANGLE,
    IMAGE,
    THROTTLE,
    Record,
    Tub,
    UnusableRecord,
    command,
    drive_mode,
    other_values,
    timestamp_ms,
)

_HOUR_MS = 3_600_000
_PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")


class TubReading:
    """A tub while it is read. ``folder`` is its place in the tree: empty, or ending in ``/``."""

    def __init__(self, tree: FileTree, folder: str, version: int, problems: Problems) -> None:
        self.tree, self.folder, self.version, self.problems = tree, folder, version, problems
        self.image_key = IMAGE
        self.found = self.deleted = 0
        self._records: list[Record] = []
        self._spare: list[FileReference] = []
        self._named: set[str] = set()

    def where(self, name: str, line: int | None = None) -> str:
        """Say where a file of the tub lies, with the line number where given."""
        return self.tree.where(self.folder + name) + (f", line {line}" if line is not None else "")

    def leave_out(self, reason: str, where: str, count: int = 1) -> None:
        """Count records that are left out."""
        self.found += count
        self.problems.skip(reason, where, count)

    def add(self, values: Any, position: int, index: int, where: str, left_out: str = "") -> None:
        """Take one record, or count why it is left out; ``left_out`` says that its user deleted it."""
        self.found += 1
        self.deleted += bool(left_out)
        image = None
        try:
            if not isinstance(values, dict):
                raise UnusableRecord("record is not a JSON object")
            image = self._find_image(values)
            if left_out:
                raise UnusableRecord(left_out)
            self._records.append(self._record(values, position, index, image))
        except UnusableRecord as unusable:
            self.problems.skip(unusable.reason, where)
            self._set_aside(image, unusable.reason)

    def parse(self, content: bytes | str, where: str) -> Any:
        """Parse one record's JSON; raise UnreadableText."""
        values, repeated = parse_json(content)
        if repeated:
            self.problems.warn("record has a key twice: the last one counts", where)
        return values

    def note_image_key(self, inputs: Any, types: Any) -> None:
        """Learn from a manifest under which key the camera's image stands, where not under the usual one."""
        if isinstance(inputs, list) and isinstance(types, list) and IMAGE not in inputs:
            cameras = [key for key, kind in zip(inputs, types, strict=False) if kind == "image_array"]
            self.image_key = cameras[0] if cameras and isinstance(cameras[0], str) else IMAGE

    def finish(self, label: str) -> Tub:
        """Return the tub, its sessions contiguous; warn of what is odd in it as a whole."""
        orphans = [name for name in self._pictures() if name not in self._named]
        for name in orphans:
            self.problems.warn("image without a record", self.tree.where(name))
        sessions = {record.session: order for order, record in reversed(list(enumerate(self._records)))}
        self._records.sort(key=lambda record: (sessions[record.session], record.position))
        self._warn_of_clock(label)
        if len(self._records) > 1 and len({record.angle for record in self._records}) == 1:
            self.problems.warn("steering is constant: nothing can be learned from it", label)
        return Tub(label, self.version, self._records, self.found, tuple(self._spare), self.deleted)

    def _record(self, values: Mapping[str, Any], position: int, index: int, image: FileReference | None) -> Record:
        if values.get("__empty__"):
            raise UnusableRecord("record is a placeholder (__empty__)")
        angle, throttle = command(values, ANGLE), command(values, THROTTLE)
        if image is None:
            raise UnusableRecord(self._why_no_image(values.get(self.image_key)))
        if self.tree.size(image.name) == 0:
            raise UnusableRecord("image is empty")
        session, time = values.get("_session_id"), timestamp_ms(values)
        return Record(
            position=position,
            session="" if session is None else str(session),
            index=index,
            image=image,
            angle=angle,
            throttle=throttle,
            mode=drive_mode(values),
            timestamp_ms=time,
            values=other_values(values, self.image_key),
        )

    def _find_image(self, values: Mapping[str, Any]) -> FileReference | None:
        name = values.get(self.image_key)
        if not isinstance(name, str) or not name or is_unsafe(name):
            return None
        for folder in ("images/", "") if self.version == 2 else ("",):
            full = posixpath.normpath(self.folder + folder + name.replace("\\", "/"))
            if self.tree.size(full) is not None:
                self._named.add(full)
                return FileReference(self.tree, full)
        return None

    def _why_no_image(self, name: Any) -> str:
        if not isinstance(name, str) or not name:
            return "image is not named"
        return "image path leads out of the tub" if is_unsafe(name) else "image is missing"

    def _set_aside(self, image: FileReference | None, reason: str) -> None:
        """Keep the image of a record that is left out: a broken one tells of the camera, whoever deleted the record."""
        if image is None:
            return
        self._spare.append(image)
        if self.tree.size(image.name) == 0 and reason != "image is empty":
            self.problems.warn("image of a record left out: image is empty", str(image))

    def _pictures(self) -> Sequence[str]:
        inside = self.folder + "images/" if self.version == 2 else self.folder
        return [
            name
            for name in self.tree.names()
            if name.startswith(inside) and "/" not in name[len(inside) :] and name.lower().endswith(_PICTURE_SUFFIXES)
        ]

    def _warn_of_clock(self, label: str) -> None:
        for earlier, later in pairwise(self._records):
            if earlier.session != later.session or earlier.timestamp_ms is None or later.timestamp_ms is None:
                continue
            step = later.timestamp_ms - earlier.timestamp_ms
            if not 0 <= step <= _HOUR_MS:
                odd = "clock goes back" if step < 0 else "clock jumps ahead by more than an hour"
                self.problems.warn(f"{odd}: the order of the records counts", f"{label}, record {later.index}")
