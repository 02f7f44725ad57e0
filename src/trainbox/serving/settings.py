"""How the serving program is set: by its environment, in the words that Amazon SageMaker and the images of old use."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

from trainbox.errors import UsageError
from trainbox.serving.cores import cores

MEGABYTE = 1 << 20
MOST_MEGABYTES = 1024
EVERYWHERE = "0.0.0.0"  # noqa: S104
"""A container is reached from outside."""
FROM_SAGEMAKER = ("SAGEMAKER_BIND_TO_PORT", "SAGEMAKER_BATCH", "SAGEMAKER_REGION", "SAGEMAKER_MULTI_MODEL")
"""Set where Amazon SageMaker, or its client's local mode, started the container."""

STRATEGIES = {"multirecord": "MULTI_RECORD", "singlerecord": "SINGLE_RECORD", "": "MULTI_RECORD"}


@dataclass(frozen=True)
class Settings:
    """What can be set. Times are seconds; ``queue_length`` counts pictures that wait for an interpreter.

    ``file`` is the model file that is served. ``page``: a page at ``/`` to try the model at. ``transforms``: requests
    that SageMaker's batch transform should have under way, ``strategy``: how it fills them. ``multi_model``: models
    come and go over ``/models``.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    timeout: float = 60.0
    largest_body: int = 32 * MEGABYTE
    queue_length: int = 128
    file: str = "model.tflite"
    page: bool = True
    transforms: int = 8
    strategy: str = "MULTI_RECORD"
    multi_model: bool = False
    header_timeout: float = 10.0
    body_timeout: float = 30.0
    drain_timeout: float = 20.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Return what a container's environment asks for; raise UsageError naming a variable that is wrong."""
        read = _Reader(environment)
        hosted = any(name in environment for name in FROM_SAGEMAKER)
        read.flag("SAGEMAKER_BATCH", False)  # nothing is done otherwise: batches come as requests, too
        workers = read.whole("MODEL_SERVER_WORKERS", cores(), 1, 256)
        megabytes = read.whole("SAGEMAKER_MAX_PAYLOAD_IN_MB", 6 if hosted else 32, 0, MOST_MEGABYTES)
        transforms = read.whole("SAGEMAKER_MAX_CONCURRENT_TRANSFORMS", 0, 0, 10_000)
        return cls(
            host=EVERYWHERE,
            port=read.whole("SAGEMAKER_BIND_TO_PORT", cls.port, 1, 65535),
            workers=workers,
            timeout=read.number("MODEL_SERVER_TIMEOUT", cls.timeout, 0.1, 3600),
            largest_body=(megabytes or MOST_MEGABYTES) * MEGABYTE,  # 0 is SageMaker's word for no limit
            queue_length=read.whole("TRAINBOX_QUEUE_LENGTH", 64 * workers, 1, 100_000),
            file=environment.get("TRAINBOX_MODEL_FILE") or cls.file,
            page=read.flag("TRAINBOX_PAGE", not hosted),
            transforms=transforms or 4 * workers,
            strategy=read.choice("SAGEMAKER_BATCH_STRATEGY", STRATEGIES),
            multi_model=read.flag("SAGEMAKER_MULTI_MODEL", False),
            header_timeout=read.number("TRAINBOX_HEADER_TIMEOUT", cls.header_timeout, 0.1, 3600),
            body_timeout=read.number("TRAINBOX_BODY_TIMEOUT", cls.body_timeout, 0.1, 3600),
        )


class _Reader:
    """Variables by name; each raises UsageError where it is wrong."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        return int(self.number(name, default, least, most, whole=True))

    def number(self, name: str, default: float, least: float, most: float, *, whole: bool = False) -> float:
        text = self._environment.get(name, "").strip()
        try:
            value = float(text) if text else default
        except ValueError:
            value = math.nan
        if not least <= value <= most or (whole and value != int(value)):
            kind = "whole number" if whole else "number"
            raise UsageError(f"{name} must be a {kind} from {least:g} to {most:g}. Received: '{text}'.")
        return value

    def flag(self, name: str, default: bool) -> bool:
        text = self._environment.get(name, "").strip().lower()
        if text not in ("", "true", "false", "1", "0"):
            raise UsageError(f"{name} must be true or false. Received: '{text}'.")
        return text in ("true", "1") if text else default

    def choice(self, name: str, choices: Mapping[str, str]) -> str:
        text = self._environment.get(name, "").strip()
        found = choices.get(text.replace("_", "").lower())
        if found is None:
            raise UsageError(f"{name} must be one of {', '.join(sorted(set(choices.values())))}. Received: '{text}'.")
        return found
