"""Text as users' files hold it: byte order marks, foreign encodings, JSON that is nearly JSON."""

import json
from collections.abc import Iterable
from typing import Any


class UnreadableText(Exception):
    """Text that means nothing. ``reason`` is a short stable phrase."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def printable(name: str) -> str:
    """Return ``name`` fit for a terminal and a log: undecodable bytes and control characters escaped."""
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in name)


def _escaped(letter: str) -> str:
    # Python keeps a byte of a file name that is no UTF-8 as one of these code points.
    if "\udc80" <= letter <= "\udcff":
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode()


def decode_text(content: bytes) -> str:
    """Decode UTF-8 or, by its byte order mark, UTF-16; bytes that are neither become U+FFFD."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    return content.decode("utf-8-sig", "replace")


def parse_json(content: bytes | str) -> tuple[Any, tuple[str, ...]]:
    """Parse JSON; return its value and the keys that occurred more than once in an object (the last one counts).

    NaN and Infinity are read as floats, so that the one who asked for a number can say what is wrong with it.
    Raises UnreadableText.
    """
    text = decode_text(content) if isinstance(content, bytes) else content
    if not text.strip(" \t\r\n\x00"):
        raise UnreadableText("is empty")
    repeated: list[str] = []

    def build(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key, value in pairs:
            if key in built:
                repeated.append(key)
            built[key] = value
        return built

    try:
        return json.loads(text, object_pairs_hook=build, strict=False), tuple(repeated)
    except RecursionError:
        raise UnreadableText("is nested too deep") from None
    except ValueError:
        raise UnreadableText("is not valid JSON") from None
