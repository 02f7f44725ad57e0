"""YAML as far as a data set's description needs it: plain values, no tags, no aliases, nothing that grows or runs."""

from typing import Any

import yaml

from trainbox.data.text import decode_text
from trainbox.errors import DataError
from trainbox.tasks.detect.formats.annotation import first_repeated

MAX_BYTES = 4 << 20
MAX_DEPTH = 32


def parse_yaml(content: bytes, where: str) -> dict[str, Any]:
    """Return a YAML file's mapping; raise DataError for tags, aliases, repeated keys, deep nesting or other shapes."""
    if len(content) > MAX_BYTES:
        raise DataError(f"'{where}' is too large. Received: {len(content)} bytes, at most {MAX_BYTES}.")
    text = decode_text(content)
    try:
        _refuse_unsafe(text, where)
        parsed = yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    # A date that is none is a ValueError.
    except (yaml.YAMLError, ValueError) as error:
        place = getattr(error, "problem_mark", None)
        line = f" in line {place.line + 1}" if place else ""
        reason = getattr(error, "problem", None) or "not valid YAML"
        raise DataError(f"'{where}' cannot be read as YAML{line}: {reason}.") from None
    if not isinstance(parsed, dict):
        raise DataError(f"'{where}' is no YAML mapping. Received: {type(parsed).__name__}. Write: names: [cat, dog].")
    return parsed


class _Loader(yaml.SafeLoader):
    """A SafeLoader that lets no key stand twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        repeated = first_repeated([key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)])
        if repeated is not None:
            raise yaml.constructor.ConstructorError(None, None, f"the key '{repeated}' stands twice", node.start_mark)
        return dict(super().construct_mapping(node, deep=deep))


def _refuse_unsafe(text: str, where: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise DataError(f"'{where}' uses an alias in line {line}, which can grow without end. Write the value out.")
        if getattr(event, "tag", None):
            raise DataError(f"'{where}' uses the tag '{event.tag}' in line {line}. Only plain values are read.")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise DataError(f"'{where}' nests more than {MAX_DEPTH} deep in line {line}.")
