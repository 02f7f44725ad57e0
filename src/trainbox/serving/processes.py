"""One answering process, as the talking one sees it."""

import asyncio
import itertools
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from trainbox.errors import TrainboxError
from trainbox.serving import wire

Answer = tuple[dict[str, Any], list[bytes]]
_SECONDS_TO_END = 5.0


class Lost(TrainboxError):
    """A process died before it answered."""


class Process:
    """A process that runs ``trainbox.serving.worker``. Questions are answered in the order in which they are sent.

    ``answered(process, head, parts)`` is called for each ``send``; ``died(process)`` once, when it is over.
    """

    def __init__(
        self,
        popen: "subprocess.Popen[bytes]",
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answered: Callable[["Process", dict[str, Any], list[bytes]], None],
        died: Callable[["Process"], None],
    ) -> None:
        self.pid = popen.pid
        self._popen, self._reader, self._writer = popen, reader, writer
        self._answered, self._died = answered, died
        self._numbers = itertools.count()
        self._calls: dict[int, asyncio.Future[Answer]] = {}
        self._reading = asyncio.get_running_loop().create_task(self._read())

    @classmethod
    async def start(
        cls,
        answered: Callable[["Process", dict[str, Any], list[bytes]], None],
        died: Callable[["Process"], None],
    ) -> Self:
        """Start a process; it needs a moment before it answers."""
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "trainbox.serving.worker", str(theirs.fileno())]
            popen = subprocess.Popen(
                command, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        return cls(popen, reader, writer, answered, died)

    def send(self, head: Mapping[str, Any], parts: Sequence[bytes] = ()) -> int:
        """Ask something; the answer comes to ``answered``."""
        number = next(self._numbers)
        if not self._writer.is_closing():
            self._writer.write(wire.packed({**head, "number": number}, parts))
        return number

    async def call(self, head: Mapping[str, Any]) -> Answer:
        """Ask something and wait for the answer; raise Lost where the process dies first."""
        if self._reading.done():
            raise Lost(self.how_it_ended())
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._calls[self.send(head)] = future
        return await future

    def kill(self) -> None:
        """End the process whatever it does; ``died`` follows."""
        self._popen.kill()

    async def end(self) -> None:
        """End the process when it has answered what it was asked, or after five seconds."""
        if self._writer.can_write_eof() and not self._writer.is_closing():
            self._writer.write_eof()
        try:
            await asyncio.wait_for(asyncio.shield(self._reading), _SECONDS_TO_END)
        except TimeoutError:
            self.kill()
            await self._reading
        self._writer.close()

    def how_it_ended(self) -> str:
        """Say with what status or by what signal the process ended."""
        status = self._popen.poll()
        if status is None:
            return "it runs"
        return f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"

    async def _read(self) -> None:
        """Pass on answers until the process is over."""
        try:
            while True:
                sizes = wire.LENGTHS.unpack(await self._reader.readexactly(wire.LENGTHS.size))
                text, body = [await self._reader.readexactly(size) for size in sizes]
                head, parts = wire.unpacked(text, body)
                call = self._calls.pop(head.pop("number"), None)
                if call is None:
                    self._answered(self, head, parts)
                elif not call.done():
                    call.set_result((head, parts))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        self._popen.kill()  # Its socket ended: it has ended, or cannot be spoken to any more.
        self._popen.wait()
        self._writer.close()
        for call in self._calls.values():
            if not call.done():
                call.set_exception(Lost(f"The interpreter's process ended: {self.how_it_ended()}."))
        self._died(self)
