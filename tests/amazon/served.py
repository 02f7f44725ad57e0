"""A model that answers: model.tar.gz fetched and unpacked, the real serving program started on it, asked over HTTP."""

import contextlib
import http.client
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amazon.account import House
from amazon.container import Container, free_port
from amazon.refusals import Refusal

POLL_SECONDS = 0.05
PING_SECONDS = 2.0
ANSWER_SECONDS = 60.0
SECONDS_TO_END = 30.0


@dataclass(frozen=True)
class Reply:
    """What a container answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Served:
    """One container that serves a model of CreateModel's, on a port of this machine."""

    def __init__(self, house: House, model: dict[str, Any], environment: Mapping[str, str]) -> None:
        self._house, self._model = house, model["PrimaryContainer"]
        self._environment = {**self._model.get("Environment", {}), **environment, "AWS_REGION": house.region}
        self._folder = Path(tempfile.mkdtemp(dir=house.scratch, prefix="served-"))
        self._container: Container | None = None
        self.port = 0

    def start(self, log: Callable[[str], None]) -> "Served":
        """Start it and wait until it is well; raise Refusal where it does not come to that."""
        base = self._folder / "ml"
        (base / "model").mkdir(parents=True)
        if address := self._address():
            self._house.storage.unpack(address, base / "model")
        self.port = free_port()
        environment = {**self._environment, "SAGEMAKER_BIND_TO_PORT": str(self.port)}
        self._container = self._house.container("serve", base, environment, log)
        deadline = time.monotonic() + self._house.health_seconds
        while not self._well():
            if self._container.status is not None or time.monotonic() > deadline or self._house.closing.is_set():
                raise Refusal("ping", "did not pass the ping health check")
            time.sleep(POLL_SECONDS)
        return self

    def _address(self) -> str:
        source = self._model.get("ModelDataSource", {}).get("S3DataSource", {})
        return self._model.get("ModelDataUrl") or source.get("S3Uri", "")

    def _well(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.ask("GET", "/ping", b"", {}, PING_SECONDS).status == 200
        return False

    def ask(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], seconds: float = ANSWER_SECONDS
    ) -> Reply:
        """Ask the container; raise OSError where no answer comes in time."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def close(self) -> None:
        """End it as SageMaker does: SIGTERM, half a minute, SIGKILL."""
        if self._container:
            if self._container.status is None:
                self._container.terminate()
                deadline = time.monotonic() + SECONDS_TO_END
                while self._container.status is None and time.monotonic() < deadline:
                    if self._house.closing.wait(POLL_SECONDS):
                        break
            self._container.close()
        shutil.rmtree(self._folder, ignore_errors=True)
