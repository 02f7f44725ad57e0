"""What the talking process and an answering one say to each other over a socket: a head of JSON, then bytes.

A message is two lengths (4 bytes each, big end first), the head and the body. Pictures and answers go as they are.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

LENGTHS = struct.Struct(">II")


class Stream(Protocol):
    """What can be read from until it ends."""

    def read(self, size: int, /) -> bytes | None:
        """Return that many bytes, fewer where it ends."""


def packed(head: Mapping[str, Any], parts: Sequence[bytes] = ()) -> bytes:
    """Return a message; the head gains the ``sizes`` of the parts."""
    text = json.dumps({**head, "sizes": [len(part) for part in parts]}).encode()
    return b"".join((LENGTHS.pack(len(text), sum(map(len, parts))), text, *parts))


def unpacked(text: bytes, body: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Return a message's head and its parts."""
    head, start, parts = json.loads(text), 0, []
    for size in head.pop("sizes"):
        parts.append(body[start : start + size])
        start += size
    return head, parts


def read(stream: Stream) -> tuple[dict[str, Any], list[bytes]]:
    """Wait for a message; raise EOFError where the other side has gone."""
    text, body = (_exactly(stream, size) for size in LENGTHS.unpack(_exactly(stream, LENGTHS.size)))
    return unpacked(text, body)


def _exactly(stream: Stream, size: int) -> bytes:
    content = stream.read(size)
    if content is None or len(content) != size:
        raise EOFError
    return content
