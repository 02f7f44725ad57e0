"""What is hosted, and the requests that ask SageMaker for it: pure, so that the same deployment has the same names."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainbox.errors import UsageError
from trainbox.platforms.sagemaker.asking.plan import has_own_disk
from trainbox.platforms.sagemaker.aws.names import OUR_TAG, ROLE

NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
INSTANCE_TYPE = re.compile(r"ml\.([a-z]+)([a-z0-9-]*)\.[a-z0-9]+")
MEMORY_MB = (1024, 2048, 3072, 4096, 5120, 6144)
MOST_CONCURRENT = 200
MOST_INSTANCES = 1000
VARIANT = "AllTraffic"
TAG, OF_ENDPOINT = OUR_TAG, f"{OUR_TAG}:endpoint"
"""The tags of all that is made: the task, and the endpoint that it belongs to."""

MADE_BY = "trainbox:deployment"
"""The tag that says which command made it: another one of the same moment must not remove it."""

SCALED = "trainbox:scaling"
"""The tag of an endpoint whose scaling was taken away for an update: MIN:MAX, to be set again after it."""

LONGEST_STEM = 50
LONGEST_IMAGE = 255
NOT_OURS = re.compile(r"[a-z]+\d+g[a-z]*|inf\d.*|trn\d.*|dl\d.*|p6e-gb\d+")
"""Families of machines that the image, made for x86-64 and its own instructions, does not run on."""


@dataclass(frozen=True)
class Serverless:
    """Hosting that is paid by the millisecond of an answer. Raises UsageError beyond SageMaker's limits."""

    memory_mb: int = 2048
    concurrency: int = 5

    def __post_init__(self) -> None:
        if self.memory_mb not in MEMORY_MB:
            allowed = ", ".join(map(str, MEMORY_MB))
            raise UsageError(f"Serverless memory is one of {allowed} MB. Received: {self.memory_mb}.")
        if not 1 <= self.concurrency <= MOST_CONCURRENT:
            raise UsageError(
                f"Serverless concurrency is 1 to {MOST_CONCURRENT} requests at once. Received: {self.concurrency}."
            )


@dataclass(frozen=True)
class Instances:
    """Hosting on machines of one's own, paid while they stand. ``autoscale``: least and most of them.

    Where neither that nor ``count`` is given, an endpoint that stands keeps what it has of both.
    """

    instance_type: str
    count: int | None = None
    autoscale: tuple[int, int] | None = None
    capture_percent: int = 0

    def __post_init__(self) -> None:
        refuse_instances(self.instance_type, 1 if self.count is None else self.count)
        least, most = self.autoscale or (1, 1)
        if not 1 <= least <= most <= MOST_INSTANCES:
            raise UsageError(f"--autoscale is MIN:MAX, from 1 to {MOST_INSTANCES}. Received: {least}:{most}.")
        if not 0 <= self.capture_percent <= 100:
            raise UsageError(f"--capture is 0 to 100 percent of the requests. Received: {self.capture_percent}.")

    @property
    def initial(self) -> int:
        """How many there are at first."""
        count = 1 if self.count is None else self.count
        return min(max(count, self.autoscale[0]), self.autoscale[1]) if self.autoscale else count

    @property
    def fixed(self) -> bool:
        """Whether there are to be so many and no others, whatever load there is."""
        return self.count is not None and self.autoscale is None

    @property
    def has_gpu(self) -> bool:
        """Whether it has a GPU, which serving leaves idle."""
        found = INSTANCE_TYPE.fullmatch(self.instance_type)
        return bool(found and found[1] in ("g", "p"))


@dataclass(frozen=True)
class Hosting:
    """An endpoint as it should be. Raises UsageError where SageMaker would refuse it.

    ``model_data`` is where the artifact lies and ``digest`` which it is; ``file`` is served of it. ``captures`` is
    where captured requests go. ``subnets`` and ``security_groups`` are of a VPC, for machines alone.
    """

    name: str
    task: str
    image: str
    role: str
    region: str
    model_data: str
    digest: str
    on: Serverless | Instances = field(default_factory=Serverless)
    file: str = "model.tflite"
    captures: str = ""
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    kms_key: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        refuse_name(self.name)
        refuse_role_and_image(self.role, self.image)
        if any(tag == TAG or tag.startswith(f"{TAG}:") for tag in self.tags):
            raise UsageError(f"The tags '{TAG}' and '{TAG}:...' are Trainbox's own. Give yours another name.")

    @property
    def model(self) -> dict[str, Any]:
        """The request of CreateModel."""
        request = model(self._container(), self.role)
        if isinstance(self.on, Instances):
            # Serving asks nobody anything; serverless hosting does not offer this.
            request["EnableNetworkIsolation"] = True
            if self.subnets and self.security_groups:
                network = {"Subnets": list(self.subnets), "SecurityGroupIds": list(self.security_groups)}
                request["VpcConfig"] = network
        name = f"{stem(self.name)}-{_digest(self.digest, self.name, self.tags, self.task, request)}"
        return {"ModelName": name, **request, "Tags": self.all_tags}

    @property
    def configuration(self) -> dict[str, Any]:
        """The request of CreateEndpointConfig."""
        variant = {"VariantName": VARIANT, "ModelName": self.model["ModelName"], **self._resources()}
        request: dict[str, Any] = {"ProductionVariants": [variant]}
        if self.kms_key and not (isinstance(self.on, Instances) and has_own_disk(self.on.instance_type)):
            request["KmsKeyId"] = self.kms_key
        if isinstance(self.on, Instances) and self.on.capture_percent:
            request["DataCaptureConfig"] = self._capture(self.on.capture_percent)
        # As many as it has and exactly one may look the same.
        fixed = ["fixed"] if isinstance(self.on, Instances) and self.on.fixed else []
        name = f"{stem(self.name)}-{_digest(self.digest, self.name, self.tags, self.task, request, *fixed)}"
        return {"EndpointConfigName": name, **request, "Tags": self.all_tags}

    @property
    def endpoint(self) -> dict[str, Any]:
        """The request of CreateEndpoint."""
        return {**self.update, "Tags": self.all_tags}

    @property
    def update(self) -> dict[str, Any]:
        """The request of UpdateEndpoint."""
        return {"EndpointName": self.name, "EndpointConfigName": self.configuration["EndpointConfigName"]}

    @property
    def all_tags(self) -> list[dict[str, str]]:
        """The tags of all that is made."""
        return as_tags({**self.tags, TAG: self.task, OF_ENDPOINT: self.name})

    def _container(self) -> dict[str, Any]:
        environment = {"SAGEMAKER_REGION": self.region, "TRAINBOX_MODEL_FILE": self.file}
        if isinstance(self.on, Serverless):
            # It answers one request at a time, on a share of a machine whose cores it all sees.
            environment |= {"MODEL_SERVER_WORKERS": "1", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "4"}
        return container(self.image, self.model_data, environment)

    def _resources(self) -> dict[str, Any]:
        if isinstance(self.on, Serverless):
            return {"ServerlessConfig": {"MemorySizeInMB": self.on.memory_mb, "MaxConcurrency": self.on.concurrency}}
        return {
            "InstanceType": self.on.instance_type,
            "InitialInstanceCount": self.on.initial,
            "InitialVariantWeight": 1.0,
        }

    def _capture(self, percent: int) -> dict[str, Any]:
        encryption = {"KmsKeyId": self.kms_key} if self.kms_key else {}
        return {
            "EnableCapture": True,
            "InitialSamplingPercentage": percent,
            "DestinationS3Uri": self.captures,
            "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
            **encryption,
        }


def container(image: str, model_data: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the container of a model."""
    return {"Image": image, "ModelDataUrl": model_data, "Environment": dict(environment)}


def model(container: Mapping[str, Any], role: str) -> dict[str, Any]:
    """Return the request of CreateModel, but for name and tags."""
    return {"PrimaryContainer": dict(container), "ExecutionRoleArn": role}


def as_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as AWS wants them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def stem(name: str) -> str:
    """Return what the names of an endpoint's configurations and models begin with: there must be room for a digest."""
    return name[:LONGEST_STEM].rstrip("-")


def refuse_name(name: str) -> None:
    """Raise UsageError where an endpoint cannot have that name."""
    if not NAME.fullmatch(name):
        raise UsageError(f"Endpoint name {name!r} is not allowed. Use 1 to 63 letters, digits and inner hyphens.")


def refuse_role_and_image(role: str, image: str) -> None:
    """Raise UsageError where SageMaker would take neither for what it is."""
    if not ROLE.fullmatch(role):
        raise UsageError(f"A role is arn:aws:iam::ACCOUNT:role/NAME. Received: '{role}'.")
    if not image or len(image) > LONGEST_IMAGE or any(letter.isspace() for letter in image):
        raise UsageError(f"An image is ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG. Received: '{image[:300]}'.")


def refuse_instances(instance_type: str, count: int) -> None:
    """Raise UsageError for an instance type that is none, or on which the image does not run, or too many of them."""
    found = INSTANCE_TYPE.fullmatch(instance_type)
    if not found:
        raise UsageError(f"An instance type is one such as ml.m5.large. Received: '{instance_type}'.")
    if NOT_OURS.fullmatch(found[1] + found[2]):
        raise UsageError(f"{instance_type} is no x86-64 machine, for which the image is. Take one such as ml.m5.large.")
    if not 1 <= count <= MOST_INSTANCES:
        raise UsageError(f"--instances is 1 to {MOST_INSTANCES}. Received: {count}.")


def _digest(*of: Any) -> str:
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:12]
