"""Ask a server for pictures' answers as fast as it gives them, from one thread that costs little itself."""

import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """What a load came to: seconds of each request, of all, of the client's processor, and requests that failed."""

    latencies: list[float]
    seconds: float
    client_seconds: float
    failed: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        """Return the latency that this share of the requests did not exceed, in seconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Client:
    """One keep-alive connection that asks one thing after the other."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.connect()

    def connect(self) -> None:
        self.socket = socket.create_connection(self.address, timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received, self.length, self.began = b"", 0, 0.0
        self.closes = False

    def ask(self, request: bytes) -> None:
        self.received, self.length, self.began = b"", 0, time.perf_counter()
        self.socket.sendall(request)

    def read(self) -> int | None:
        """Return the status once the whole answer is there, 0 where the connection ended."""
        part = self.socket.recv(1 << 16)
        if not part:
            return 0
        self.received += part
        if not self.length:
            end = self.received.find(b"\r\n\r\n")
            if end < 0:
                return None
            head = self.received[:end].lower()
            start = head.find(b"content-length:") + len(b"content-length:")
            self.length = end + 4 + int(head[start : (head + b"\r\n").find(b"\r\n", start)])
            self.closes = b"connection: close" in head
        return int(self.received[9:12]) if len(self.received) >= self.length else None


def request(path: str, body: bytes, content_type: str) -> bytes:
    """Return the bytes of a request."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def load(
    address: tuple[str, int], requests: Sequence[bytes], concurrency: int, seconds: float, warm: float = 2
) -> Load:
    """Ask ``requests`` in turn over ``concurrency`` connections; the first ``warm`` seconds are left out."""
    selector = selectors.DefaultSelector()
    place, failed, latencies = 0, 0, []
    for _ in range(concurrency):
        client = _Client(address)
        selector.register(client.socket, selectors.EVENT_READ, client)
        client.ask(requests[place % len(requests)])
        place += 1
    began = time.perf_counter()
    counted_from, cpu = began + warm, 0.0
    while (now := time.perf_counter()) < began + warm + seconds:
        if not cpu and now >= counted_from:
            counted_from, cpu = now, time.process_time()
        for key, _ in selector.select(1):
            client = key.data
            status = client.read()
            if status is None:
                continue
            if status == 200 and client.began >= counted_from:
                latencies.append(time.perf_counter() - client.began)
            failed += status != 200
            if status == 0 or client.closes:
                selector.unregister(client.socket)
                client.socket.close()
                client.connect()
                selector.register(client.socket, selectors.EVENT_READ, client)
            client.ask(requests[place % len(requests)])
            place += 1
    measured, used = time.perf_counter() - counted_from, time.process_time() - cpu
    for key in list(selector.get_map().values()):
        key.data.socket.close()
    return Load(latencies, measured, used, failed)
