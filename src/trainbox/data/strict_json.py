"""JSON that no two readers take differently: a key that occurs twice, or a number that is not finite, is refused."""

import json
import math
from typing import Any

LONGEST_SHOWN = 40


class NotStrict(ValueError):
    """The text is JSON, but readers take it differently. The message is a clause that says why."""


class DuplicateKey(NotStrict):
    """A key occurs twice in one object: two readers would take two different values."""


def loads(text: str) -> Any:
    """Parse JSON; raise DuplicateKey, NotStrict at numbers that are not finite, ValueError where it is no JSON."""
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; the standard library would keep the last of two equal keys and say nothing."""
    built: dict[str, Any] = {}
    for key, value in pairs:
        if key in built:
            raise DuplicateKey(f"the key {key[:LONGEST_SHOWN]!r} occurs twice in one object")
        built[key] = value
    return built


def _refuse_constant(name: str) -> float:
    raise NotStrict(f"{name} is not a number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise NotStrict(f"{text[:LONGEST_SHOWN]} is not finite")
    return number
