"""Why hosting failed: what AWS says, the last lines of the container's log, and what to do in well-known cases."""

import re
from collections.abc import Mapping
from typing import Any

from trainbox.data.text import printable
from trainbox.errors import TrainboxError
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import AwsFailed, said_by_aws

ENDPOINT_LOGS = "/aws/sagemaker/Endpoints/"
TRANSFORM_LOGS = "/aws/sagemaker/TransformJobs"
LINES = 15

ADVICE = (
    (
        r"assume.{0,20}role|not authorized|access ?denied|trust (policy|relationship)|sts:assumerole",
        "Check the role: SageMaker must be trusted by it, and it must read the bucket and the image (trainbox init).",
    ),
    (r"manifest media type|\boci\b", "SageMaker wants Docker media types: push the image with trainbox image push."),
    (
        r"(image|repository).{0,80}(not found|does not exist|not be found|invalid)|cannot find repository",
        "Check --image and its region; trainbox image push puts it there and prints its address.",
    ),
    (
        r"image size|larger than.{0,40}image|image.{0,40}too large",
        "Push the smaller image: trainbox image build serve.",
    ),
    (r"exec format error", "The image is for another processor: build it for linux/amd64 (trainbox image build)."),
    (
        r"model data|modeldataurl|model\.tar\.gz",
        "Check that the role may read the model's bucket, and that it is in this region.",
    ),
    (
        r"out of memory|memory size|\boom\b|ran out of|memoryerror|insufficient memory",
        "Give it more memory: --memory, or a larger --instance-type.",
    ),
    (
        r"\bping\b|health check",
        "The container did not come up: its log says why. Try the image here: trainbox image test IMAGE.",
    ),
    (
        r"capacity|resourcelimitexceeded|service limit|quota|account-level",
        "Take another --instance-type, or ask AWS for a higher quota (Service Quotas, Amazon SageMaker).",
    ),
    (r"instance ?type|unsupported instance", "Take another --instance-type, such as ml.m5.large, or --serverless."),
)


class HostingFailed(TrainboxError):
    """An endpoint or a transform job did not come to what was asked of it."""


def advice(reason: str) -> str:
    """Return what to do about a reason for failure, "" where that is not known."""
    return next((words for pattern, words in ADVICE if re.search(pattern, reason, re.IGNORECASE)), "")


def failed(what: str, reason: str) -> HostingFailed:
    """Return the error that says what failed, why and what to do."""
    flat = " ".join(reason.split()).rstrip(".") or "no reason given"
    return HostingFailed(f"{what} failed: {flat}. {advice(reason)}".rstrip())


def last_lines(account: Account, group: str, prefix: str = "") -> list[str]:
    """Return the last lines of a log group's newest stream, of those that begin with ``prefix``; none where none are.

    A log that cannot be read is said in its place: it must not hide the failure that it is read for.
    """
    client = account.client("logs")
    # CloudWatch does not sort what it picks by name.
    chosen: dict[str, Any] = {"logStreamNamePrefix": prefix} if prefix else {"orderBy": "LastEventTime"}
    try:
        with said_by_aws(f"read the log {group}"):
            streams = client.describe_log_streams(logGroupName=group, descending=not prefix, **chosen)["logStreams"]
            if not streams:
                return []
            newest = max(streams, key=_telling)["logStreamName"]
            found = client.get_log_events(logGroupName=group, logStreamName=newest, limit=LINES, startFromHead=False)
            return [printable(event["message"].rstrip().replace("\t", " ")) for event in found["events"]]
    except AwsFailed as problem:
        return [] if problem.code == "ResourceNotFoundException" else [str(problem)]


def _telling(stream: Mapping[str, Any]) -> tuple[bool, int]:
    """Return what the stream to be shown has most of: a transform job's data log says which object failed, and why."""
    return stream["logStreamName"].endswith("data-log"), stream.get("lastEventTimestamp", 0)
