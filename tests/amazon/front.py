"""A server in front of another, for the little in which a stand-in for AWS is unlike AWS."""

import contextlib
import http.client
import http.server
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Asked:
    """One request; names of headers are in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        """The operation of a service that speaks JSON, "" of others."""
        return self.headers.get("x-amz-target", "").rpartition(".")[2]


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Answering = Callable[[Asked, Callable[[], Answer]], Answer]
"""Answers a request; its second argument asks the server behind."""


@contextlib.contextmanager
def in_front_of(behind: str, answering: Answering) -> Iterator[str]:
    """Serve, and yield the address."""

    class Front(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path, headers, self.rfile.read(int(headers.get("content-length", 0))))
            answer = answering(asked, lambda: _forwarded(behind, asked))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if "content-length" not in {name.lower() for name in answer.headers}:
                self.send_header("Content-Length", str(len(answer.body)))
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)
            self.close_connection = True

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Front)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _forwarded(behind: str, asked: Asked) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(behind).netloc, timeout=60)
    try:
        connection.request(asked.method, asked.path, asked.body, dict(asked.headers))
        answer = connection.getresponse()
        body = answer.read()
        dropped = {"connection", "transfer-encoding", "date", "server"} | ({"content-length"} if body else set())
        return Answer(answer.status, body, {k: v for k, v in answer.getheaders() if k.lower() not in dropped})
    finally:
        connection.close()
