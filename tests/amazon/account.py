"""What all rooms of the fake share: the account, its clients, its children, its tags and its quotas."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amazon.container import Container
from amazon.refusals import beyond_quota, invalid
from amazon.storage import LogStream, Storage

NUMBER = "123456789012"


@dataclass
class House:
    """One account in one region. ``clients`` are those the fake itself asks moto with.

    What a test may set: ``pause_seconds``, how long each status without work lasts; ``grace_seconds``, how long after
    SIGTERM SIGKILL comes; ``health_seconds``, how long a container has until it must answer /ping; ``spot_share``,
    what spot costs of the full price; ``quotas`` by name, which win over ``quota``; ``bare``, whether endpoints are in
    service at once, with nothing behind them that answers.
    """

    region: str
    clients: Callable[[str], Any]
    scratch: Path
    pause_seconds: float = 0.05
    grace_seconds: float = 120.0
    health_seconds: float = 300.0
    spot_share: float = 0.3
    quota: float = 4.0
    bare: bool = False
    quotas: dict[str, float] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    """What went wrong within the fake itself."""

    def __post_init__(self) -> None:
        self.closing = threading.Event()
        self.lock = threading.RLock()
        self.storage = Storage(self.clients("s3"), self.region)
        self._threads: list[threading.Thread] = []
        self._containers: list[Container] = []
        self._logs: list[LogStream] = []

    def arn(self, kind: str, name: str) -> str:
        """Return the ARN of something of SageMaker's."""
        return f"arn:aws:sagemaker:{self.region}:{NUMBER}:{kind}/{name}"

    def log(self, group: str, stream: str) -> LogStream:
        """Open a stream of CloudWatch Logs."""
        opened = LogStream(self.clients("logs"), group, stream)
        with self.lock:
            self._logs.append(opened)
        return opened

    def container(self, verb: str, base: Path, environment: dict[str, str], log: Callable[[str], None]) -> Container:
        """Start a container that ends with the fake."""
        with self.lock:
            if self.closing.is_set():
                raise InterruptedError("the fake is closing")
            started = Container(verb, base, environment, log)
            self._containers.append(started)
        return started

    def running(self) -> list[int]:
        """Return the processes of the containers that run."""
        with self.lock:
            return [one.process.pid for one in self._containers if one.status is None]

    def work(self, name: str, task: Callable[[], None]) -> None:
        """Do something in a thread of its own; what goes wrong in it is the fake's fault, and kept."""

        def run() -> None:
            try:
                task()
            except BaseException as problem:
                if not self.closing.is_set():
                    self.broken.append(f"{name}: {problem!r}")

        thread = threading.Thread(target=run, name=name, daemon=True)
        with self.lock:
            # One step: a thread that is known and not yet begun cannot be waited for.
            self._threads.append(thread)
            thread.start()

    def pause(self) -> None:
        """Let the time pass that a status without work lasts."""
        self.closing.wait(self.pause_seconds)

    def close(self) -> None:
        """End all that runs, and wait for it."""
        with self.lock:
            self.closing.set()
            containers, threads = list(self._containers), list(self._threads)
        for container in containers:
            container.kill()
        for thread in threads:
            thread.join()
        for container in containers:
            container.close()
        for log in self._logs:
            log.close()

    def tag(self, arn: str, tags: list[dict[str, str]] | None) -> None:
        """Put tags on something."""
        self.tags.setdefault(arn, {}).update({tag["Key"]: tag["Value"] for tag in tags or ()})

    def refuse_beyond(self, quota: str, used: int, asked: int) -> None:
        """Raise Refusal where an account may not have so many."""
        limit = self.quotas.get(quota, self.quota)
        if used + asked > limit:
            raise beyond_quota(quota, limit, used, asked)

    def refuse_role(self, arn: str) -> None:
        """Raise Refusal where a role does not exist or SageMaker may not be it."""
        iam = self.clients("iam")
        try:
            role = iam.get_role(RoleName=arn.rpartition("/")[2])["Role"]
        except iam.exceptions.NoSuchEntityException:
            role = {}
        if role.get("Arn") != arn or "sagemaker.amazonaws.com" not in str(role.get("AssumeRolePolicyDocument")):
            raise invalid(
                f"Could not assume role {arn}. Please ensure that the role exists and allows principal "
                "'sagemaker.amazonaws.com' to assume the role."
            )

    def refuse_image(self, image: str) -> None:
        """Raise Refusal where an image is not in this account's ECR."""
        registry, _, rest = image.partition("/")
        repository, _, digest = rest.partition("@")
        repository, _, tag = repository.partition(":")
        wanted = {"imageDigest": digest} if digest else {"imageTag": tag or "latest"}
        ecr = self.clients("ecr")
        try:
            ecr.describe_images(repositoryName=repository, imageIds=[wanted])
        except ecr.exceptions.RepositoryNotFoundException:
            raise invalid(
                f"Cannot find repository: {repository} in registry ID: {registry.partition('.')[0]} Please check if "
                "your ECR repository exists and role has proper pull permissions for SageMaker: "
                "ecr:BatchCheckLayerAvailability, ecr:BatchGetImage, ecr:GetDownloadUrlForLayer."
            ) from None
        except ecr.exceptions.ImageNotFoundException:
            raise invalid(f"Requested image {image} not found.") from None


class Tags:
    """AddTags, DeleteTags, ListTags."""

    def __init__(self, house: House) -> None:
        self._house = house

    def add_tags(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._house.tag(asked["ResourceArn"], asked["Tags"])
        return self._answer(asked["ResourceArn"])

    def list_tags(self, asked: dict[str, Any]) -> dict[str, Any]:
        return self._answer(asked["ResourceArn"])

    def delete_tags(self, asked: dict[str, Any]) -> None:
        for key in asked["TagKeys"]:
            self._house.tags.get(asked["ResourceArn"], {}).pop(key, None)

    def _answer(self, arn: str) -> dict[str, Any]:
        return {"Tags": [{"Key": key, "Value": value} for key, value in self._house.tags.get(arn, {}).items()]}
