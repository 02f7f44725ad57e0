"""One connection, guarded where the HTTP server is not: headers that come slowly or without end, or twice said.

uvicorn's parser (llhttp) already refuses, with 400 and the end of the connection, what two readers could take
differently: Transfer-Encoding beside Content-Length, two Content-Lengths, bare line feeds. What is added here: a
time-out while headers come (408) and while nobody reads a body's rest, the headers' size (431), exactly one Host (400),
and that an answer under way is given before what comes after it is refused.
"""

import asyncio
import json
import re
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

LARGEST_HEADERS = 32 * 1024
LEAST_LINE = 4
"""Bytes of a header beside its name and value."""
TOO_LARGE = "The headers are too large."
SECONDS_TO_HEAR = 1.0
"""So long what still comes is thrown away, so that its sender hears why."""

_UPGRADE = re.compile(rb"\nupgrade:", re.IGNORECASE)


class GuardedConnection(HttpToolsProtocol):
    """A connection whose headers must come in time, in bounds and sound. ``header_timeout`` is in seconds."""

    header_timeout: ClassVar[float] = 10.0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._in_headers = True
        self._header_bytes = self._parsed_bytes = 0
        self._clock: asyncio.TimerHandle | None = None
        self._refused = False
        self._refusal = (400, "The request is not sound HTTP/1.1. Nothing of it was taken.")
        self._said_later: tuple[int, str] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock: whoever connects has something to ask."""
        super().connection_made(transport)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._stop_clock()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes before the end of the headers."""
        if self._refused or self.transport.is_closing():
            return
        if self._in_headers:
            self._header_bytes += len(data)
            if self._clock is None:
                self._start_clock()
            data = _without_upgrade(data)
        super().data_received(data)
        if self._in_headers and self._header_bytes > LARGEST_HEADERS and not self._refused:
            self._refuse(431, TOO_LARGE)

    def on_message_begin(self) -> None:
        """Count the headers of this request alone."""
        super().on_message_begin()
        self._parsed_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count the headers that came in one piece with a body, too."""
        super().on_header(name, value)
        self._parsed_bytes += len(name) + len(value) + LEAST_LINE
        if self._parsed_bytes > LARGEST_HEADERS:
            self._refusal = (431, TOO_LARGE)
            raise ValueError(self._refusal)

    def on_headers_complete(self) -> None:
        """Stop the clock and look at the whole of the headers."""
        self._stop_clock()
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            self._refusal = (400, "A request has exactly one Host header.")
            raise ValueError(self._refusal)
        super().on_headers_complete()
        self._in_headers, self._header_bytes = False, 0

    def on_message_complete(self) -> None:
        """Expect the headers of the next request."""
        super().on_message_complete()
        self._in_headers = True
        if self._answered:  # before the end of its body, which took its clocks away
            self._stop_clock()
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        """Say what was put off; wait no longer for a body that nobody reads than for headers."""
        more = bool(self.pipeline)
        super().on_response_complete()
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self.loop.call_later(self.timeout_keep_alive, self.transport.abort)
        if self._said_later and not more:
            self._say(*self._said_later)
        elif self._answered and not self._in_headers and self._clock is None and not self._refused:
            self._start_clock()

    def timeout_keep_alive_handler(self) -> None:
        """Close; who has not taken the answer by now never will."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """Say why the request is refused, and close."""
        self._refuse(*self._refusal)

    @property
    def _answered(self) -> bool:
        """Whether the request whose headers came last has its answer."""
        return self.cycle is not None and self.cycle.response_complete

    def _start_clock(self) -> None:
        self._clock = self.loop.call_later(self.header_timeout, self._too_slow)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _too_slow(self) -> None:
        self._clock = None
        if self.transport.is_closing():
            return
        if self._header_bytes:
            self._refuse(408, f"The headers did not come within {self.header_timeout:g} seconds.")
        else:
            self.transport.close()

    def _refuse(self, status: int, why: str) -> None:
        """Take nothing any more, and say why: at once, or after the answers to what came before."""
        self._refused = True
        self._stop_clock()
        if self._in_headers and (self.cycle is None or self._answered):
            self._say(status, why)
        elif self._in_headers:
            self._said_later = (status, why)
        elif self._answered:
            self.transport.close()  # a body is at fault that nobody wanted
        elif self.pipeline:
            self.pipeline.popleft()  # a body is at fault: its request is the last that was begun
            self._said_later = (status, why)
        else:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._say(status, why)

    def _say(self, status: int, why: str) -> None:
        """Say why, and hang up a moment later: a connection closed on what still comes takes the answer with it."""
        if self.transport.is_closing():
            return
        body = json.dumps({"error": why}).encode()
        self.transport.write(
            STATUS_LINE[status] + b"content-type: application/json\r\nconnection: close\r\n"
            b"content-length: " + str(len(body)).encode() + b"\r\n\r\n" + body
        )
        self.flow.resume_reading()
        self.transport.write_eof()
        self.loop.call_later(SECONDS_TO_HEAR, self.transport.close)


def _without_upgrade(data: bytes) -> bytes:
    """Hide the wish for another protocol, as Java's client has: it is not granted, and would take the body away."""
    end = data.find(b"\r\n\r\n")
    end = len(data) if end < 0 else end
    return _UPGRADE.sub(b"\nX-Upgrade:", data[:end]) + data[end:] if _UPGRADE.search(data, 0, end) else data
