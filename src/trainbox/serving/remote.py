"""A served model asked from a desk: what ``trainbox predict`` does with an address, whatever carries the question."""

import http.client
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import urlsplit

from trainbox import tasks
from trainbox.data.files import UnreadableFile
from trainbox.errors import TrainboxError, UsageError

if TYPE_CHECKING:
    import numpy as np

TIMEOUT_SECONDS = 90
MOST_ATTEMPTS = 10
LONGEST_WAIT = 5.0
UNREADABLE = "The picture cannot be read: "


class RemoteFailed(TrainboxError):
    """A server cannot be reached, or does not answer as one of ours."""


class TooLarge(UnreadableFile):
    """A picture of more bytes than can be sent there."""


@dataclass(frozen=True)
class Reply:
    """What a server said: its HTTP status, the body, and the seconds after which it wants to be asked again."""

    status: int
    body: bytes
    retry_after: float = 1.0


class Transport(Protocol):
    """What brings questions to a served model. ``name`` says in sentences which model that is."""

    name: str

    def card(self) -> Mapping[str, Any]:
        """Return what is known of the model: its ``task``, and ``labels`` where they are known."""

    def ask(self, content: bytes, accept: str, threshold: float | None) -> Reply:
        """Ask about an image file's bytes once; raise RemoteFailed, or TooLarge before anything is sent."""

    def close(self) -> None:
        """Let go of the connection."""


class RemotePredictor:
    """A model behind a transport, as ``trainbox.tasks.Predictor``; ``threshold`` as there."""

    def __init__(self, transport: Transport, threshold: float | None = None) -> None:
        self._transport, self._threshold = transport, threshold
        try:
            self._card = transport.card()
            self._service = tasks.get(str(self._card.get("task"))).service()
            if threshold is not None and not self._service.takes_threshold:
                raise UsageError("This model's answers have no scores. Leave out --threshold.")
        except BaseException:
            transport.close()
            raise
        self._accept = accepted(self._service)

    @classmethod
    def at(cls, address: str, threshold: float | None = None) -> Self:
        """Open the model that is served at http://HOST:PORT; raise UsageError or RemoteFailed."""
        return cls(OverHttp(address), threshold)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    def predict(self, content: bytes) -> Mapping[str, Any]:
        """Return the answer to an image file's bytes; raise UnreadableFile, or RemoteFailed."""
        transport = self._transport
        return answered(transport.name, lambda: transport.ask(content, self._accept, self._threshold))

    def say(self, answer: Mapping[str, Any]) -> str:
        """Return an answer in words, on one line."""
        return self._service.say(answer)

    def draw(self, content: bytes, answer: Mapping[str, Any]) -> "np.ndarray":
        """Return the picture with the answer drawn on it: uint8 RGB, shape (height, width, 3)."""
        return self._service.draw(content, answer, tuple(self._card.get("labels") or ()))


class OverHttp:
    """A model that is served at an address, asked over one connection."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise UsageError(f"An address is http://HOST:PORT. Received: '{address}'.")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        try:
            self._connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
        except ValueError as error:
            raise UsageError(f"An address is http://HOST:PORT. Received: '{address}'.") from error
        self.name, self._path = address, parts.path.rstrip("/").removesuffix("/invocations")

    def card(self) -> Mapping[str, Any]:
        """Return what the server says of its model."""
        return answered(self.name, lambda: self._sent("GET", "/card", None, {}))

    def ask(self, content: bytes, accept: str, threshold: float | None) -> Reply:
        """Ask about an image file's bytes once; raise RemoteFailed."""
        query = "" if threshold is None else f"?threshold={threshold}"
        headers = {"Content-Type": "application/x-image", "Accept": accept}
        return self._sent("POST", f"/invocations{query}", content, headers)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _sent(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        try:
            self._connection.request(method, self._path + path, body, dict(headers))
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            reason = getattr(error, "strerror", None) or error or type(error).__name__
            raise RemoteFailed(f"{self.name} cannot be asked: {reason}. Is a model served there?") from error
        wait = response.headers.get("Retry-After", "")
        return Reply(response.status, content, int(wait) if wait.isdecimal() else 1)  # it may be a date, too


def accepted(service: tasks.Service) -> str:
    """Return the Accept that asks for the wording in which answers are said and drawn here."""
    return f"application/json;{service.page_wording}=1" if service.page_wording else "application/json"


def answered(name: str, ask: Callable[[], Reply]) -> dict[str, Any]:
    """Ask, and again where the server says that it has too much to do; return the answer.

    ``name`` is who is asked, for the error. Raise UnreadableFile for what is no picture, or RemoteFailed.
    """
    for _ in range(MOST_ATTEMPTS):
        reply = ask()
        if reply.status != http.client.SERVICE_UNAVAILABLE:
            return _read(name, reply)
        time.sleep(min(LONGEST_WAIT, reply.retry_after))
    raise RemoteFailed(f"{name} has too much to do. Ask again later.")


def _read(name: str, reply: Reply) -> dict[str, Any]:
    try:
        answer = json.loads(reply.body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise RemoteFailed(f"{name} answers {reply.status}, and not as Trainbox serves. Check the address.")
    if reply.status == http.client.OK:
        return answer
    said = str(answer.get("error", "nothing more"))
    if said.startswith(UNREADABLE):
        raise UnreadableFile(said.removeprefix(UNREADABLE).rstrip("."))
    raise RemoteFailed(f"{name} answers {reply.status}: {said}")
