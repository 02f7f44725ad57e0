"""One connection, guarded where the HTTP server is not: headers that come slowly or without end, or twice said.

uvicorn's parser (llhttp) already refuses, with 400 and the end of the connection, what two readers could take
differently: Transfer-Encoding beside Content-Length, two Content-Lengths, bare line feeds. What is added here: a
time-out while the headers come (408), their size (431), and exactly one Host (400).
"""

import asyncio
import json
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

LARGEST_HEADERS = 32 * 1024
SECONDS_TO_HEAR = 1.0


class GuardedConnection(HttpToolsProtocol):
    """A connection whose headers must come in time, in bounds and sound. ``header_timeout`` is in seconds."""

    header_timeout: ClassVar[float] = 10.0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._in_headers = True
        self._header_bytes = 0
        self._clock: asyncio.TimerHandle | None = None
        self._refused = False
        self._refusal = (400, "The request is not sound HTTP/1.1. Nothing of it was taken.")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock: whoever connects has something to ask."""
        super().connection_made(transport)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes before the end of the headers."""
        if self._refused or self.transport.is_closing():
            return
        if self._in_headers:
            self._header_bytes += len(data)
            if self._clock is None:
                self._start_clock()
        super().data_received(data)
        if self._in_headers and self._header_bytes > LARGEST_HEADERS and not self._refused:
            self._refuse(431, "The headers are too large.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count the headers that came in one piece with a body, too."""
        super().on_header(name, value)
        if sum(len(name) + len(value) for name, value in self.headers) > LARGEST_HEADERS:
            self._refusal = (431, "The headers are too large.")
            raise ValueError(self._refusal)

    def on_headers_complete(self) -> None:
        """Stop the clock and look at the whole of the headers."""
        self._stop_clock()
        self._in_headers, self._header_bytes = False, 0
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            self._refusal = (400, "A request has exactly one Host header.")
            raise ValueError(self._refusal)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Expect the headers of the next request."""
        super().on_message_complete()
        self._in_headers = True

    def send_400_response(self, msg: str) -> None:
        """Say why the request is refused, and close."""
        self._refuse(*self._refusal)

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
        """Say why, and hang up a moment later: a connection closed on what still comes takes the answer with it."""
        self._refused = True
        self._stop_clock()
        body = json.dumps({"error": why}).encode()
        self.transport.write(
            STATUS_LINE[status] + b"content-type: application/json\r\nconnection: close\r\n"
            b"content-length: " + str(len(body)).encode() + b"\r\n\r\n" + body
        )
        self.transport.close()
