"""Reading a request's body: no longer than is allowed, no slower, and no further than its sender is there."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from trainbox.serving.refusals import Refused

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_MOST_DRAINED = 64 << 20
"""So many bytes are read and thrown away at most, so that their sender hears the refusal."""
_SECONDS_TO_DRAIN = 5.0


class Disconnected(Exception):
    """The client has gone; there is nobody to answer."""


async def read_body(receive: Receive, length: str | None, largest: int, seconds: float) -> bytes:
    """Return the whole body; raise Refused (413, 408) or Disconnected.

    ``length`` is the Content-Length header, None where the body comes in chunks.
    """
    if length is not None and int(length) > largest:
        await _drain(receive, int(length))
        raise _too_large(largest)
    try:
        async with asyncio.timeout(seconds):
            return await _within(receive, largest)
    except TimeoutError:
        headers = {"Connection": "close"}
        raise Refused(408, f"The body did not come within {seconds:g} seconds. Send it faster.", headers) from None


async def _within(receive: Receive, largest: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        part, more = await _part(receive)
        size += len(part)
        if size > largest:
            await _drain(receive, size)
            raise _too_large(largest)
        if not more and not parts:
            return part
        parts.append(part)
        if not more:
            return b"".join(parts)


async def _part(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    return message.get("body", b""), message.get("more_body", False)


async def _drain(receive: Receive, expected: int) -> None:
    """Throw away what still comes: a client that is still sending reads no answer."""
    if expected > _MOST_DRAINED:
        return
    size, more = 0, True
    try:
        async with asyncio.timeout(_SECONDS_TO_DRAIN):
            while more and size <= _MOST_DRAINED:
                part, more = await _part(receive)
                size += len(part)
    except TimeoutError:
        return


def _too_large(largest: int) -> Refused:
    return Refused(413, f"The body is larger than {largest} bytes. Send a smaller picture.", {"Connection": "close"})


async def until_gone(receive: Receive) -> None:
    """Return when the client has gone. Call after the whole body was read."""
    while (await receive())["type"] != "http.disconnect":
        pass
