"""Read a JSON document of the contract strictly: what another reader could take differently is refused."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainbox.errors import RefusedInput

LARGEST_BYTES = 4 * 1024 * 1024
"""Far above 100 hyperparameters of 2,500 characters, far below what would hurt."""


class DuplicateKey(ValueError):
    """A key occurs twice in one JSON object: two readers would take two different values."""


def read_object(path: Path, error: type[RefusedInput]) -> dict[str, Any] | None:
    """Return the JSON object in ``path``, or None where there is no such file.

    Raises ``error`` where the file cannot be read, is not UTF-8, begins with a byte order mark, holds duplicate keys
    or numbers that are not finite, or is no object.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise error(f"{path.name} cannot be read: {problem.strerror}.") from problem
    if len(content) > LARGEST_BYTES:
        raise error(f"{path.name} is larger than {LARGEST_BYTES:,} bytes.")
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise error(f"{path.name} begins with a byte order mark. Save it as UTF-8 without one.")
    try:
        value = loads(content.decode("utf-8"))
    except UnicodeDecodeError as problem:
        raise error(f"{path.name} is not UTF-8: byte {problem.start} is {content[problem.start]:#04x}.") from problem
    except (ValueError, RecursionError) as problem:
        raise error(f"{path.name} is not a JSON document that can be trusted: {problem}.") from problem
    if not isinstance(value, dict):
        raise error(f"{path.name} must hold a JSON object. Received: {_kind(value)}.")
    return value


def loads(text: str) -> Any:
    """Parse JSON; raise DuplicateKey at duplicate keys and ValueError at numbers that are not finite."""
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite)


def _unique(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    """Build an object; the standard library would keep the last of two equal keys and say nothing."""
    built: dict[str, Any] = {}
    for key, value in pairs:
        if key in built:
            raise DuplicateKey(f"the key {key!r} occurs twice")
        built[key] = value
    return built


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not finite")
    return number


def _kind(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
