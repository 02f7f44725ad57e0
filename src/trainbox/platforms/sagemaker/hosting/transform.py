"""Batch transform: a model asked about every picture below a prefix of S3, on machines that stand only for that."""

import math
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from trainbox import tasks
from trainbox.errors import DataError, UsageError
from trainbox.platforms.sagemaker.asking.plan import has_own_disk
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import AwsFailed, AwsRefused, said_by_aws
from trainbox.platforms.sagemaker.aws.leaving import Signals
from trainbox.platforms.sagemaker.aws.waiting import settled
from trainbox.platforms.sagemaker.hosting import endpoints
from trainbox.platforms.sagemaker.hosting.failures import TRANSFORM_LOGS, HostingFailed, failed, last_lines
from trainbox.platforms.sagemaker.hosting.request import (
    NAME,
    TAG,
    as_tags,
    container,
    model,
    refuse_instances,
    refuse_role_and_image,
)
from trainbox.platforms.sagemaker.storage.inputs import split
from trainbox.serving.remote import accepted

Say = Callable[[str], None]

MEGABYTE = 1 << 20
LEAST_PAYLOAD_MB, MOST_PAYLOAD_MB = 6, 100
MOST_AT_ONCE = 8
SECONDS_TO_ANSWER = 60
ANSWERED = ".out"
MOVING = frozenset({"InProgress", "Stopping"})


@dataclass(frozen=True)
class Batch:
    """A transform job to be. Raises UsageError where SageMaker would refuse it.

    ``source`` and ``out`` are prefixes, s3://BUCKET/PREFIX; ``largest`` is the size of the largest picture, in bytes.
    """

    name: str
    task: str
    image: str
    role: str
    region: str
    model_data: str
    source: str
    out: str
    instance_type: str = "ml.m5.large"
    instances: int = 1
    largest: int = 0
    kms_key: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise UsageError(f"Name {self.name!r} is not allowed. Use 1 to 63 letters, digits and inner hyphens.")
        refuse_role_and_image(self.role, self.image)
        refuse_instances(self.instance_type, self.instances)
        if f"{self.out.rstrip('/')}/".startswith(f"{self.source.rstrip('/')}/"):
            raise UsageError(f"--out {self.out} lies within --batch {self.source}: give answers a place of their own.")
        if self.payload_mb > MOST_PAYLOAD_MB:
            raise UsageError(
                f"A picture is of {MOST_PAYLOAD_MB} MB at most. Received one of {self.largest / MEGABYTE:.0f} MB."
            )

    @property
    def payload_mb(self) -> int:
        """The megabytes that one request may have."""
        return max(LEAST_PAYLOAD_MB, math.ceil(self.largest / MEGABYTE))

    @property
    def model(self) -> dict[str, Any]:
        """The request of CreateModel."""
        inside = container(self.image, self.model_data, {"SAGEMAKER_REGION": self.region})
        request = {**model(inside, self.role), "EnableNetworkIsolation": True}
        return {"ModelName": self.name, **request, "Tags": self.all_tags}

    @property
    def transform_job(self) -> dict[str, Any]:
        """The request of CreateTransformJob: each picture a request, its answer NAME.out."""
        key = {"KmsKeyId": self.kms_key} if self.kms_key else {}
        volume_key = {} if not self.kms_key or has_own_disk(self.instance_type) else {"VolumeKmsKeyId": self.kms_key}
        place = {"S3DataType": "S3Prefix", "S3Uri": self.source}
        accept = accepted(tasks.get(self.task).service())
        return {
            "TransformJobName": self.name,
            "ModelName": self.name,
            # SageMaker allows 100 MB under way.
            "MaxConcurrentTransforms": max(1, min(MOST_AT_ONCE, MOST_PAYLOAD_MB // self.payload_mb)),
            "MaxPayloadInMB": self.payload_mb,
            "BatchStrategy": "SingleRecord",
            "ModelClientConfig": {"InvocationsTimeoutInSeconds": SECONDS_TO_ANSWER, "InvocationsMaxRetries": 3},
            "TransformInput": {
                "DataSource": {"S3DataSource": place},
                "ContentType": "application/x-image",
                "CompressionType": "None",
                "SplitType": "None",
            },
            "TransformOutput": {"S3OutputPath": self.out, "Accept": accept, "AssembleWith": "None", **key},
            "TransformResources": {
                "InstanceType": self.instance_type,
                "InstanceCount": self.instances,
                **volume_key,
            },
            "Tags": self.all_tags,
        }

    @property
    def all_tags(self) -> list[dict[str, str]]:
        """The tags of all that is made."""
        return as_tags({**self.tags, TAG: self.task})


@dataclass(frozen=True)
class Transformed:
    """What came of it: how many objects there were, how many have an answer, and names of those that have none."""

    job: str
    objects: int
    answered: int
    unanswered: tuple[str, ...]
    out: str
    seconds: float = 0.0


def name_of(named: str) -> str:
    """Return a name for a transform job that no other has: of what it asks, when, and a few letters drawn."""
    stem = re.sub(r"[^a-zA-Z0-9]+", "-", named.rstrip("/").rpartition("/")[2].removesuffix(".tar.gz")).strip("-")
    return f"{stem[:40].rstrip('-') or 'model'}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def pictures_of(account: Account, address: str) -> dict[str, int]:
    """Return the bytes of each object below a prefix of S3, by its key; raise DataError where none is, or AwsFailed."""
    found = {one["Key"]: one["Size"] for one in _listed(account, address) if one["Size"]}
    if not found:
        raise DataError(f"Nothing lies below {address}. Check its spelling.")
    return found


def _listed(account: Account, address: str) -> Iterator[Mapping[str, Any]]:
    bucket, prefix = split(address)
    with said_by_aws(f"list {address}"):
        for page in account.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from page.get("Contents", ())


def transform(
    account: Account, batch: Batch, objects: Mapping[str, int], say: Say, signals: Signals | None = None
) -> Transformed:
    """Run a transform job to its end, and remove its model; what ``signals`` brings, ctrl-C and SIGTERM, stops it.

    Raises HostingFailed where it fails, having said how many objects were answered nevertheless; AwsFailed.
    """
    signals = signals or Signals()
    with _model(account, batch, say, signals):
        last = _ended(account, batch, objects, say, signals)
    result = _counted(account, batch, objects, last)
    if last["TransformJobStatus"] != "Completed":
        for line in last_lines(account, TRANSFORM_LOGS, f"{batch.name}/"):
            say(f"  {line}")
        _say_answered(result, say)
        if last["TransformJobStatus"] == "Stopped":
            raise HostingFailed(f"Transform job '{batch.name}' was stopped.")
        raise failed(f"Transform job '{batch.name}'", last.get("FailureReason", ""))
    return result


@contextmanager
def _model(account: Account, batch: Batch, say: Say, signals: Signals) -> Iterator[None]:
    """Have the model until the job is over or was refused; where that goes on without us, say so."""
    name, begun = batch.name, False
    try:
        _create(f"model '{name}'", account.sagemaker.create_model, batch.model, signals)
        begun = True
        yield
    except (KeyboardInterrupt, AwsFailed):
        if begun and _runs(account, name):
            say(
                f"Transform job '{name}' goes on by itself, and is paid until its end. "
                f"Stop it: aws sagemaker stop-transform-job --region {account.region} --transform-job-name {name}; "
                f"then remove its model: {_deletion(account, name)}"
            )
        else:
            _remove_model(account, name, say)
        raise
    _remove_model(account, name, say)


def _ended(account: Account, batch: Batch, objects: Mapping[str, int], say: Say, signals: Signals) -> Mapping[str, Any]:
    """Create the job and wait for its end; where we are told to stop, stop it, wait for that, and raise."""

    def end() -> Mapping[str, Any]:
        what = f"Transform job '{batch.name}'"
        return settled(what, lambda: _described(account, batch.name), "TransformJobStatus", MOVING, say)

    try:
        _create(f"transform job '{batch.name}'", account.sagemaker.create_transform_job, batch.transform_job, signals)
        return end()
    except KeyboardInterrupt:
        with signals.later():
            runs = _runs(account, batch.name)
            if runs:
                say(
                    f"Stopping transform job '{batch.name}': what was answered stays. Once more leaves without waiting."
                )
                _stop(account, batch.name)
        if runs:
            signals.deliver()
            _say_answered(_counted(account, batch, objects, end()), say)
        raise


def _create(what: str, create: Callable[..., object], request: Mapping[str, Any], signals: Signals) -> None:
    """Create something; that it is there is well: nothing else has its name, but where an answer was lost."""
    try:
        with signals.later(), said_by_aws(f"create the {what}"):
            create(**request)
    except AwsFailed as problem:
        if problem.code != "ResourceInUse" and "already exist" not in str(problem).lower():
            raise
    signals.deliver()


def _stop(account: Account, name: str) -> None:
    """Ask for the job to be stopped, unless it has ended in between or someone else has stopped it; raise AwsFailed."""
    try:
        with said_by_aws(f"stop the transform job '{name}'"):
            account.sagemaker.stop_transform_job(TransformJobName=name)
    except AwsRefused:
        if _described(account, name)["TransformJobStatus"] == "InProgress":
            raise


def _say_answered(result: Transformed, say: Say) -> None:
    say(f"{result.answered} of {result.objects} objects were answered, in {result.out}.")


def _runs(account: Account, name: str) -> bool:
    """Tell whether the job goes on; where that cannot be asked it is taken to."""
    try:
        return _described(account, name)["TransformJobStatus"] in MOVING
    except AwsFailed as problem:
        return not endpoints.is_missing(problem)


def _described(account: Account, name: str) -> Mapping[str, Any]:
    with said_by_aws(f"find the transform job '{name}'"):
        return account.sagemaker.describe_transform_job(TransformJobName=name)


def _remove_model(account: Account, name: str, say: Say) -> None:
    """Remove the model; that it could not be is only said, for what the job came to matters more."""
    try:
        with said_by_aws(f"delete the model '{name}'"):
            account.sagemaker.delete_model(ModelName=name)
    except AwsFailed as problem:
        if not endpoints.is_missing(problem):
            say(f"{problem} If it stands, this removes it: {_deletion(account, name)}")


def _deletion(account: Account, name: str) -> str:
    return f"aws sagemaker delete-model --region {account.region} --model-name {name}"


def _counted(account: Account, batch: Batch, objects: Mapping[str, int], last: Mapping[str, Any]) -> Transformed:
    unanswered = _unanswered(account, batch, objects, last["CreationTime"])
    began, ended = last.get("TransformStartTime"), last.get("TransformEndTime")
    seconds = (ended - began).total_seconds() if began and ended else 0.0
    return Transformed(batch.name, len(objects), len(objects) - len(unanswered), unanswered, batch.out, seconds)


def _unanswered(account: Account, batch: Batch, objects: Mapping[str, int], since: datetime) -> tuple[str, ...]:
    """Return the keys of the objects that have no answer of this job.

    An answer lies below ``out`` as its picture does below the prefix, or with the prefix's last part before it.
    """
    prefix, base = split(batch.source)[1], split(f"{batch.out.rstrip('/')}/")[1]
    begins = {prefix.rpartition("/")[0], prefix.rstrip("/").rpartition("/")[0]}
    # S3 counts in whole seconds.
    there = {
        one["Key"].removeprefix(base)
        for one in _listed(account, f"{batch.out.rstrip('/')}/")
        if one["LastModified"] >= since.replace(microsecond=0)
    }

    def answered(key: str) -> bool:
        return any(f"{key.removeprefix(begin).removeprefix('/')}{ANSWERED}" in there for begin in begins)

    return tuple(sorted(key for key in objects if not answered(key)))
