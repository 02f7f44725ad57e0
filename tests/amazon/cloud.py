"""An AWS of one account on this machine: moto for S3, STS, IAM, ECR and logs, our fake for SageMaker and around it."""

import contextlib
import logging
import socket
import tempfile
import threading
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from moto.moto_api._internal import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug import Request, Response
from werkzeug.serving import make_server

from amazon import layers
from amazon.faults import Fault, Faults
from amazon.protocol import SERVICES
from amazon.refusals import Refusal
from amazon.sagemaker import SageMaker
from amazon.traffic import ITSELF, Asked, read

REGION = "eu-west-1"
KEY_ID, SECRET = "AKIAIOSFODNN7FAKEKEY", "wJalrXUtnFEMI/K7MDENG/secret-of-the-tests"
QUERY = ("sts", "iam")

Answer = Callable[..., Iterable[bytes]]


class Cloud:
    """The server, started once; ``reset`` before each test."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._moto = DomainDispatcherApplication(create_backend_app)
        self.faults = Faults()
        self.traffic: list[Asked] = []
        self.regions: dict[str, SageMaker] = {}
        self._scratch = tempfile.TemporaryDirectory(prefix="amazon-", ignore_cleanup_errors=True)
        self._lock = threading.Lock()
        self._server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=MotoRequestHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="amazon", daemon=True)
        self._thread.start()
        self.client = cache(self._client)

    @property
    def address(self) -> str:
        """Where all services answer."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def _client(self, service: str, region: str = REGION) -> Any:
        """Return a client for the fake itself: what it asks is not counted and does not fail."""
        return boto3.Session(KEY_ID, SECRET, region_name=region).client(
            service,
            endpoint_url=self.address,
            config=Config(user_agent_extra=ITSELF, proxies={}, s3={"addressing_style": "path"}),
        )

    def sagemaker(self, region: str = REGION) -> SageMaker:
        """Return SageMaker in a region."""
        with self._lock:
            if region not in self.regions:
                clients = lambda service: self.client(service, region)  # noqa: E731
                self.regions[region] = SageMaker(region, clients, Path(self._scratch.name), self.faults)
            return self.regions[region]

    def reset(self) -> list[str]:
        """End all that runs and forget everything; return what was wrong with the fake itself."""
        wrong = []
        for region in self.regions.values():
            wrong += region.close()
        self.regions.clear()
        self.faults.clear()
        self.traffic.clear()
        moto_api_backend.reset()
        return wrong

    def close(self) -> None:
        """End the server and all that it started."""
        self.reset()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._scratch.cleanup()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request: with a fault, by the fake, or by moto."""
        request = Request(environ)
        asked = read(request)
        if not asked.is_our_own:
            self.traffic.append(asked)
            if fault := self.faults.take(asked.operation):
                if fault.is_loss:
                    Response.from_app(self._answering(asked, request), environ, buffered=True)
                    return self._dropping(request)(environ, start_response)
                return self._failing(fault, asked, request)(environ, start_response)
        return self._answering(asked, request)(environ, start_response)

    def _answering(self, asked: Asked, request: Request) -> Answer:
        return self._ours(asked, request) or self._moto

    def _ours(self, asked: Asked, request: Request) -> Response | None:
        if layer := layers.answer(self.client, asked, request):
            return layer
        target = request.headers.get("X-Amz-Target", "")
        if target.partition(".")[0] not in SERVICES and asked.operation != "InvokeEndpoint":
            return None
        if not asked.key_id:
            return Refusal("MissingAuthenticationTokenException", "Missing Authentication Token", 403).as_json()
        sagemaker = self.sagemaker(asked.region if asked.service == "sagemaker" else REGION)
        if asked.operation == "InvokeEndpoint":
            return sagemaker.invocations.answer(request)
        return sagemaker.rooms.answer(target, request)

    def _failing(self, fault: Fault, asked: Asked, request: Request) -> Answer:
        request.get_data()  # what is left unread would be taken for the next request
        if fault.is_drop:
            return self._dropping(request)
        if asked.is_s3 or asked.service in QUERY:
            return fault.refusal.as_xml(wrapped=not asked.is_s3)
        return fault.refusal.as_json()

    def _dropping(self, request: Request) -> Answer:
        def drop(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            with contextlib.suppress(OSError):
                request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionError("dropped, as the test asked for")

        return drop
