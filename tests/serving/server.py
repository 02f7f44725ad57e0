"""The serving program in a process, asked over real sockets."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_SECONDS = 120


@dataclass(frozen=True)
class Reply:
    """What came back: ``body`` is bytes; ``json`` reads them."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """``trainbox-container serve`` on a free port, its model folder below ``base``."""

    def __init__(self, base: Path, model: Path | None, **environment: str) -> None:
        base.mkdir(parents=True, exist_ok=True)
        if model is not None and not (base / "model").exists():
            (base / "model").symlink_to(model)
        self.port = free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SAGEMAKER_")}
        settings = {"SAGEMAKER_BASE_DIR": str(base), "SAGEMAKER_BIND_TO_PORT": str(self.port), **environment}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trainbox.container", "serve"],
            env={**kept, "TRAINBOX_PAGE": "true", **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [
            threading.Thread(target=lambda stream=stream, lines=lines: lines.extend(stream), daemon=True)
            for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    def wait_ready(self) -> "Server":
        """Wait for the first 200 of /ping."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                if self.get("/ping").status == 200:
                    return self
            time.sleep(0.02)
        raise AssertionError(f"not ready, status {self.process.poll()}: {''.join(self.err)[-2000:]}")

    def get(self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> Reply:
        return self.ask(method, path, None, headers or {})

    def post(self, body: bytes, kind: str = "image/jpeg", path: str = "/invocations", **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", path, body, {"Content-Type": kind, **named})

    def json(self, value: Any, **headers: str) -> Reply:
        return self.post(json.dumps(value).encode(), "application/json", **headers)

    def ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def raw(self, *parts: bytes, pause: float = 0) -> tuple[int, bytes, bool]:
        """Send bytes as they are; return the status, the answer and whether the connection was then closed."""
        with self.connect() as connection:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
            received, closed = b"", False
            connection.settimeout(8)
            with contextlib.suppress(TimeoutError, ConnectionError):
                while part := connection.recv(1 << 16):
                    received += part
                closed = True
        return int(received[9:12] or 0), received, closed

    def metric(self, line: str) -> float:
        """Return the value of a line of /metrics, 0 where it is not there."""
        for text in self.get("/metrics").body.decode().splitlines():
            if text.startswith(f"{line} "):
                return float(text.split()[-1])
        return 0.0

    def workers(self) -> list[int]:
        """Return the process ids of the interpreters: not of a child that is still to become one."""
        return [child for child in self._children() if _is_interpreter(child)]

    def _children(self) -> list[int]:
        return [
            int(child)
            for task in Path(f"/proc/{self.process.pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it as Docker does, and return its exit status."""
        self.process.send_signal(number)
        return self.end(30)

    def end(self, seconds: float) -> int:
        """Wait for the end."""
        status = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(10)
        return status

    def close(self) -> None:
        """End it whatever happened, and its interpreters, of which a test may have stopped one."""
        if self.process.poll() is None:
            children = self._children()
            self.process.kill()
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        self.process.wait()
        for reader in self._readers:
            reader.join(10)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream
            stream.close()


@contextlib.contextmanager
def serving(base: Path, model: Path | None, **environment: str) -> Iterator[Server]:
    """Hold a server that is ready; it is over afterwards."""
    server = Server(base, model, **environment)
    try:
        yield server.wait_ready()
    finally:
        server.close()


def _is_interpreter(process: int) -> bool:
    with contextlib.suppress(OSError):
        return b"serving.worker" in Path(f"/proc/{process}/cmdline").read_bytes()
    return False


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until(true: Any, seconds: float = 10) -> bool:
    """Wait until ``true()``; return whether that came."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.02)
    return False


def megabytes(pids: list[int]) -> float:
    """Return the resident memory of processes, shared pages counted each time."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024
    return total
