"""Read a JSON document of the contract strictly: what another reader could take differently is refused."""

from pathlib import Path
from typing import Any

from trainbox.data import strict_json
from trainbox.errors import RefusedInput

LARGEST_BYTES = 4 * 1024 * 1024
"""Far above 100 hyperparameters of 2,500 characters, far below what would hurt."""


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
        value = strict_json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as problem:
        raise error(f"{path.name} is not UTF-8: byte {problem.start} is {content[problem.start]:#04x}.") from problem
    except (ValueError, RecursionError) as problem:
        raise error(f"{path.name} is not a JSON document that can be trusted: {problem}.") from problem
    if not isinstance(value, dict):
        raise error(f"{path.name} must hold a JSON object. Received: {_kind(value)}.")
    return value


def _kind(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
