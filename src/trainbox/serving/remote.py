"""A served model asked from a desk: what ``trainbox predict`` does with an address."""

import http.client
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self
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


class RemotePredictor:
    """The model behind an address, as ``trainbox.tasks.Predictor``; ``threshold`` as there."""

    def __init__(self, address: str, threshold: float | None = None) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise UsageError(f"An address is http://HOST:PORT. Received: '{address}'.")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        try:
            self._connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
        except ValueError as error:
            raise UsageError(f"An address is http://HOST:PORT. Received: '{address}'.") from error
        self._address, self._path = address, parts.path.rstrip("/").removesuffix("/invocations")
        self._query = "" if threshold is None else f"?threshold={threshold}"
        try:
            self._card = self._asked("GET", "/card", None, {})
            self._service = tasks.get(str(self._card.get("task"))).service()
            if threshold is not None and not self._service.takes_threshold:
                raise UsageError("This model's answers have no scores. Leave out --threshold.")
        except BaseException:
            self._connection.close()
            raise
        wording = self._service.page_wording
        self._accept = f"application/json;{wording}=1" if wording else "application/json"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def predict(self, content: bytes) -> Mapping[str, Any]:
        """Return the answer to an image file's bytes; raise UnreadableFile, or RemoteFailed."""
        headers = {"Content-Type": "application/x-image", "Accept": self._accept}
        return self._asked("POST", f"/invocations{self._query}", content, headers)

    def say(self, answer: Mapping[str, Any]) -> str:
        """Return an answer in words, on one line."""
        return self._service.say(answer)

    def draw(self, content: bytes, answer: Mapping[str, Any]) -> "np.ndarray":
        """Return the picture with the answer drawn on it: uint8 RGB, shape (height, width, 3)."""
        return self._service.draw(content, answer, tuple(self._card.get("labels") or ()))

    def _asked(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> dict[str, Any]:
        """Ask once, and again where the server says that it has too much to do."""
        for _ in range(MOST_ATTEMPTS):
            try:
                self._connection.request(method, self._path + path, body, dict(headers))
                response = self._connection.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                reason = getattr(error, "strerror", None) or error or type(error).__name__
                raise RemoteFailed(f"{self._address} cannot be asked: {reason}. Is a model served there?") from error
            if response.status != http.client.SERVICE_UNAVAILABLE:
                return self._read(response.status, content)
            wait = response.headers.get("Retry-After", "")
            time.sleep(min(LONGEST_WAIT, int(wait) if wait.isdecimal() else 1))  # it may be a date, too
        raise RemoteFailed(f"{self._address} has too much to do. Ask again later.")

    def _read(self, status: int, content: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise RemoteFailed(f"{self._address} answers {status}, and not as Trainbox serves. Check the address.")
        if status == http.client.OK:
            return answer
        said = str(answer.get("error", "nothing more"))
        if said.startswith(UNREADABLE):
            raise UnreadableFile(said.removeprefix(UNREADABLE).rstrip("."))
        raise RemoteFailed(f"{self._address} answers {status}: {said}")
