"""One record of a tub: what was seen, and what was steered."""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trainbox.data.files import FileReference

ANGLE, THROTTLE, MODE, IMAGE = "user/angle", "user/throttle", "user/mode", "cam/image_array"

# Larger numbers of records or milliseconds are faults, and would not fit the arrays they are put in.
MAX_COUNT = 1 << 53

# Joysticks and old writers overshoot by rounding; what is further out is a fault.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Record:
    """One usable record.

    ``position`` counts every line (v1: is the number in the file's name), deleted and broken ones too, so two records
    are neighbours in time only where both their positions and their ``index`` differ by one. ``angle`` and
    ``throttle`` are the driver's commands, within -1 and 1. ``values`` are the record's other scalars and lists.
    """

    position: int
    session: str
    index: int
    image: FileReference
    angle: float
    throttle: float
    mode: str
    timestamp_ms: int | None
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Tub:
    """The usable records of one tub, sessions contiguous and in order.

    ``found`` counts every record there was, usable or not, and ``deleted`` those of them that their user deleted.
    ``spare_images`` are those of records that were left out.
    """

    label: str
    version: int
    records: list[Record]
    found: int = 0
    spare_images: tuple[FileReference, ...] = ()
    deleted: int = 0


class UnusableRecord(Exception):
    """A record that is left out. ``reason`` is a short stable phrase."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def command(values: Mapping[str, Any], key: str) -> float:
    """Return the driver's angle or throttle, within -1 and 1; raise UnusableRecord."""
    name = key.removeprefix("user/")
    if key not in values:
        raise UnusableRecord(f"{name} is missing")
    value = values[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnusableRecord(f"{name} is not a number")
    # Whole numbers have no such values, and those too large for a float would raise here.
    if isinstance(value, float) and not math.isfinite(value):
        raise UnusableRecord(f"{name} is NaN or infinite")
    if abs(value) > 1 + _ROUNDING:
        raise UnusableRecord(f"{name} is outside -1 to 1")
    return min(1.0, max(-1.0, float(value)))


def drive_mode(values: Mapping[str, Any]) -> str:
    """Return who drove: ``user`` where the record, as the oldest do, does not say."""
    mode = values.get(MODE)
    return mode if isinstance(mode, str) and mode else "user"


def other_values(values: Mapping[str, Any], image_key: str) -> dict[str, Any]:
    """Return the scalars and flat lists beside the commands and the image, for filters. Keys are shared."""
    known = (ANGLE, THROTTLE, MODE, image_key)
    return {
        sys.intern(key): value for key, value in values.items() if key not in known and key[:1] != "_" and _plain(value)
    }


def timestamp_ms(values: Mapping[str, Any]) -> int | None:
    """Return the time of a record in milliseconds: since 1970, or in tubs v1 since the recording began."""
    for key in ("_timestamp_ms", "milliseconds", "timestamp"):
        value = values.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_COUNT:
            return int(value)
        if isinstance(value, str):
            try:
                return round(datetime.fromisoformat(value).timestamp() * 1000)
            except (ValueError, OverflowError, OSError):
                continue
    return None


def _plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(not isinstance(item, list | dict) for item in value)
    return not isinstance(value, dict)
