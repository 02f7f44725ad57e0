"""Values held against botocore's service model: what AWS would refuse, in AWS's words."""

import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

NUMBERS = {"integer", "long", "float", "double"}
JAVA = {
    r"\p{L}": r"^\W\d_",
    r"\p{N}": r"\d",
    r"\p{Z}": r"\s",
    r"\p{ASCII}": r"[\x00-\x7f]",
    r"\p{Print}": r"[\x20-\x7e]",
    # The surrogates of all that is beyond 16 bits.
    r"\uD800\uDC00-\uDBFF\uDFFF": r"\U00010000-\U0010FFFF",
}
"""Classes of characters that Python's regular expressions lack."""


def violations(value: Any, shape: Shape, path: str = "") -> Iterator[str]:
    """Yield a sentence for each constraint that ``value`` breaks: types, required members, lengths, patterns, enums."""
    if isinstance(shape, StructureShape):
        yield from _structure(value, shape, path)
    elif isinstance(shape, ListShape):
        yield from _list(value, shape, path)
    elif isinstance(shape, MapShape):
        yield from _map(value, shape, path)
    else:
        yield from _scalar(value, shape, path)


def _structure(value: Any, shape: StructureShape, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield _broken(value, path, "Member must be a structure")
        return
    for name in shape.required_members:
        if value.get(name) is None:
            yield _broken("null", _below(path, name), "Member must not be null")
    for name, member in value.items():
        if name not in shape.members:
            yield _broken(name, _below(path, name), f"Member must be one of {sorted(shape.members)}")
        elif member is not None:
            yield from violations(member, shape.members[name], _below(path, name))


def _list(value: Any, shape: ListShape, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield _broken(value, path, "Member must be a list")
        return
    yield from _length(value, len(value), shape, path)
    for index, member in enumerate(value, 1):
        yield from violations(member, shape.member, f"{path}.{index}.member")


def _map(value: Any, shape: MapShape, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield _broken(value, path, "Member must be a map")
        return
    yield from _length(value, len(value), shape, path)
    for key, member in value.items():
        yield from violations(key, shape.key, f"{path}.key")
        yield from violations(member, shape.value, f"{path}.{key}.member")


def _scalar(value: Any, shape: Shape, path: str) -> Iterator[str]:
    kind = shape.type_name
    if not _is(value, kind):
        yield _broken(value, path, f"Member must be of type {kind}")
    elif kind in NUMBERS:
        least, most = shape.metadata.get("min"), shape.metadata.get("max")
        if least is not None and value < least:
            yield _broken(value, path, f"Member must have value greater than or equal to {least}")
        if most is not None and value > most:
            yield _broken(value, path, f"Member must have value less than or equal to {most}")
    elif kind == "string":
        yield from _string(value, shape, path)


def _string(value: str, shape: Shape, path: str) -> Iterator[str]:
    yield from _length(value, len(value), shape, path)
    pattern, words = shape.metadata.get("pattern"), shape.metadata.get("enum")
    if pattern and not _compiled(pattern).fullmatch(value):
        yield _broken(value, path, f"Member must satisfy regular expression pattern: {pattern}")
    if words and value not in words:
        yield _broken(value, path, f"Member must satisfy enum value set: [{', '.join(words)}]")


def _length(value: Any, length: int, shape: Shape, path: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and length < least:
        yield _broken(value, path, f"Member must have length greater than or equal to {least}")
    if most is not None and length > most:
        yield _broken(value, path, f"Member must have length less than or equal to {most}")


def _is(value: Any, kind: str) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in ("integer", "long"):
        return isinstance(value, int) and not isinstance(value, bool)
    if kind in ("float", "double"):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "timestamp":
        return isinstance(value, datetime | int | float)
    return isinstance(value, str | bytes)


@lru_cache(maxsize=1000)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile one of AWS's patterns, which are Java's: a letter is a word character that is no digit."""
    if r"\p{L}" in pattern:
        pattern = pattern.replace(r"\p{L}", r"\w").replace(r"\p{N}", "").replace(r"\p{Z}", r"\s")
    for java, python in JAVA.items():
        pattern = pattern.replace(java, python)
    return re.compile(pattern)


def _below(path: str, name: str) -> str:
    name = name[:1].lower() + name[1:]
    return f"{path}.{name}" if path else name


def _broken(value: Any, path: str, constraint: str) -> str:
    return f"Value '{str(value)[:200]}' at '{path}' failed to satisfy constraint: {constraint}"
