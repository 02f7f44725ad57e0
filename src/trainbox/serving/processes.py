"""One answering process, as the talking one sees it."""

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, cast

from trainbox.errors import TrainboxError
from trainbox.serving import wire

Answer = tuple[dict[str, Any], list[bytes]]
_SECONDS_TO_END = 2.0
_ALONE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""For NumPy: it multiplies nothing there, and threads of its own would cost memory and start."""


class Lost(TrainboxError):
    """A process died before it answered."""


class Process(asyncio.Protocol):
    """A process that runs ``trainbox.serving.worker``. Questions are answered in the order in which they are sent.

    ``answered(process, head, parts)`` is called for each ``send``; ``died(process)`` once, when it is over.
    """

    def __init__(
        self,
        popen: "subprocess.Popen[bytes]",
        answered: Callable[["Process", dict[str, Any], list[bytes]], None],
        died: Callable[["Process"], None],
    ) -> None:
        self.pid = popen.pid
        self._popen, self._answered, self._died = popen, answered, died
        self._numbers = itertools.count()
        self._calls: dict[int, asyncio.Future[Answer]] = {}
        self._received = bytearray()
        self._over = asyncio.Event()

    @classmethod
    async def start(
        cls,
        answered: Callable[["Process", dict[str, Any], list[bytes]], None],
        died: Callable[["Process"], None],
    ) -> Self:
        """Start a process; it needs a moment before it answers."""
        ours, theirs = socket.socketpair()
        with theirs:
            # -P: what lies in the folder that we were started in is not imported.
            command = [sys.executable, "-P", "-m", "trainbox.serving.worker", str(theirs.fileno())]
            popen = subprocess.Popen(
                command,
                env={**os.environ, **_ALONE},
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        # A Unix socket where the loop asks for a connection: it is one already.
        _, process = await asyncio.get_running_loop().create_connection(lambda: cls(popen, answered, died), sock=ours)
        return process

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to write to."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Pass on every answer that is whole."""
        received = self._received
        received += data
        while len(received) >= wire.LENGTHS.size:
            head, body = wire.LENGTHS.unpack_from(received)
            start = wire.LENGTHS.size
            if len(received) < start + head + body:
                return
            text, rest = bytes(received[start : start + head]), bytes(received[start + head : start + head + body])
            del received[: start + head + body]
            self._pass_on(*wire.unpacked(text, rest))

    def connection_lost(self, error: Exception | None) -> None:
        """Be over: its socket ended, so it has ended, or cannot be spoken to any more."""
        self._popen.kill()
        self._popen.wait()
        self._over.set()
        for call in self._calls.values():
            if not call.done():
                call.set_exception(Lost(f"The interpreter's process ended: {self.how_it_ended()}."))
        self._died(self)

    def send(self, head: Mapping[str, Any], parts: Sequence[bytes] = ()) -> int:
        """Ask something; the answer comes to ``answered``."""
        number = next(self._numbers)
        if not self._transport.is_closing():
            self._transport.write(wire.packed({**head, "number": number}, parts))
        return number

    async def call(self, head: Mapping[str, Any]) -> Answer:
        """Ask something and wait for the answer; raise Lost where the process dies first."""
        if self._over.is_set():
            raise Lost(self.how_it_ended())
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._calls[self.send(head)] = future
        return await future

    def kill(self) -> None:
        """End the process whatever it does; ``died`` follows."""
        self._popen.kill()

    async def end(self) -> None:
        """End the process when it has answered what it was asked, or after two seconds."""
        if not self._transport.is_closing():
            self._transport.write_eof()
        try:
            await asyncio.wait_for(self._over.wait(), _SECONDS_TO_END)
        except TimeoutError:
            self.kill()
            await self._over.wait()

    def how_it_ended(self) -> str:
        """Say with what status or by what signal the process ended."""
        status = self._popen.poll()
        if status is None:
            return "it runs"
        return f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"

    def _pass_on(self, head: dict[str, Any], parts: list[bytes]) -> None:
        call = self._calls.pop(head.pop("number"), None)
        if call is None:
            self._answered(self, head, parts)
        elif not call.done():
            call.set_result((head, parts))
