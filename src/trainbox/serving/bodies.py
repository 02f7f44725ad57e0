"""Reading a request's body: no longer than is allowed, no slower, and no further than its sender is there."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from trainbox.serving.refusals import Refused

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_MOST_DRAINED = 64 << 20
"""So many bytes are read and thrown away at most, so that their sender hears the refusal."""
_SECONDS_TO_DRAIN = 5.0


class Disconnected(Exception):
    """The client has gone; there is nobody to answer."""


class Room:
    """The bytes of all bodies that are held at once, at most ``most``; a single body always finds room."""

    def __init__(self, most: int) -> None:
        self.most, self.held = most, 0

    @contextlib.contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """Yield what takes room for so many bytes more, or raises Refused (503); all is given back at the end."""
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if self.held > taken and self.held + size > self.most:
                raise Refused(503, "The pictures that wait fill the memory. Ask again later.", {"Retry-After": "1"})
            taken, self.held = taken + size, self.held + size

        try:
            yield take
        finally:
            self.held -= taken


async def read_body(
    receive: Receive,
    length: str | None,
    largest: int,
    seconds: float,
    take: Callable[[int], None] = lambda size: None,
) -> bytes:
    """Return the whole body; raise Refused (413, 408) or Disconnected.

    ``length`` is the Content-Length header, None where the body comes in chunks. ``take`` is told of every part.
    """
    if length is not None and int(length) > largest:
        await _drain(receive, int(length))
        raise _too_large(largest)
    try:
        async with asyncio.timeout(seconds):
            return await _within(receive, largest, take)
    except TimeoutError:
        headers = {"Connection": "close"}
        raise Refused(408, f"The body did not come within {seconds:g} seconds. Send it faster.", headers) from None


async def _within(receive: Receive, largest: int, take: Callable[[int], None]) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        part, more = await _part(receive)
        size += len(part)
        if size > largest:
            await _drain(receive, size)
            raise _too_large(largest)
        take(len(part))
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
