"""Why a training job failed, in one line, and what to do about what is well known."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from trainbox.platforms.job import JobFailed

REFUSED = 2
"""The container's exit status where it refused its input."""

UNSAID = "The training job failed, and SageMaker does not say why"

_EXIT = re.compile(r"[,;\s]*exit\s?code:?\s*(\d+)\s*$", re.IGNORECASE)
_KIND = re.compile(r"^(AlgorithmError|ClientError|InternalServerError|CapacityError|ResourceLimitExceeded)\s*:\s*")

_KNOWN: Sequence[tuple[str, str]] = (
    (
        r'exec:? "?train"?:? .*not found|executable file not found|CannotStartContainerError',
        "The image has no program 'train': build one with trainbox image build, check any with trainbox image test.",
    ),
    (
        r"exec format error|image manifest .*linux/amd64|no matching manifest|architecture",
        "The image is not for linux/amd64: build it with trainbox image build, which always asks for that.",
    ),
    (
        r"manifest media type|unsupported manifest|OCI (image )?(manifest|index)",
        "SageMaker takes Docker media types only: push the image with trainbox image push.",
    ),
    (
        r"Cannot find repository|repository .*(does not exist|not found)|image .*(does not exist|not found)"
        r"|Failed to pull|ImageNotFound|manifest unknown|RepositoryNotFound",
        "Push the image with trainbox image push, into the job's region, and let the role pull it (trainbox init).",
    ),
    (
        r"PermanentRedirect|bucket is in this region",
        "The data must be in the job's region: give --region, or another bucket.",
    ),
    (
        r"NoSuchKey|NoSuchBucket|No S3 objects found|404|Could not find",
        "The data is not where the job looks for it: check the address, and that nothing removed it meanwhile.",
    ),
    (
        r"AccessDenied|Access Denied|\b403\b|not authorized",
        "The job's role lacks a right: trainbox init shows and makes one that has what is needed; a bucket's own "
        "policy and the KMS key's may stand in the way too.",
    ),
    (
        r"assume|AssumeRole|trust relationship",
        "Let sagemaker.amazonaws.com assume the role, or make one with trainbox init.",
    ),
    (
        r"No space left|insufficient disk space|disk (is )?full",
        "Give the machines more room with --volume.",
    ),
    (
        r"CapacityError|insufficient capacity|Unable to provision",
        "AWS has no such machine free right now: try another --instance-type or region, or later; nothing was billed.",
    ),
    (
        r"ResourceLimitExceeded|service limit|quota",
        "Ask for more at https://console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas (the quota is "
        "named '<instance type> for training job usage', or 'for spot training job usage'), or take another "
        "--instance-type.",
    ),
    (
        r"OutOfMemory|out of memory|Memory ran out|MemoryError|exit\s?code:? 137|was killed",
        "Memory ran out: use an --instance-type with more of it, or a smaller batch_size.",
    ),
    (r"InternalServerError|internal error", "That is AWS's own fault: run the job again, under another name."),
)


def of(text: str) -> str:
    """Return what to do about what a text says, "" where nothing is known."""
    return next((advice for pattern, advice in _KNOWN if re.search(pattern, text, re.IGNORECASE)), "")


def failed(description: Mapping[str, Any], last_lines: Sequence[str]) -> JobFailed:
    """Return the error of a job that failed: its FailureReason in one line, what to do, and the container's status."""
    received = " ".join((description.get("FailureReason") or UNSAID).split())
    ended = _EXIT.search(received)
    status = int(ended.group(1)) if ended else None
    reason = _KIND.sub("", _EXIT.sub("", received)).strip(" ,.") if ended else received.rstrip(".")
    # Where the program says nothing, the reason is empty or names the log, and the log's end says more.
    if status is not None and (not reason or "job logs" in reason):
        reason = f"{reason or 'The container'} ended with status {status} and did not say why"
    advice = "" if status == REFUSED else of(received) or of(" ".join(last_lines))
    line = f"{reason}.{f' {advice}' if advice and advice not in reason else ''}"
    return JobFailed(line, status if status == REFUSED else 1, False)


def stopped(description: Mapping[str, Any]) -> JobFailed:
    """Return the error of a job that was stopped, by whomever, before it had a model."""
    job = description["TrainingJobName"]
    match description.get("SecondaryStatus"):
        case "MaxRuntimeExceeded":
            limit = description["StoppingCondition"].get("MaxRuntimeInSeconds")
            line = (
                f"The training job '{job}' was stopped after its {limit} s, before there was a model: "
                "give it more time with --max-runtime, or less to do."
            )
        case "MaxWaitTimeExceeded":
            limit = description["StoppingCondition"].get("MaxWaitTimeInSeconds")
            line = (
                f"The training job '{job}' found no spot instance to finish on within {limit} s: "
                "wait longer with --max-wait, try another --instance-type, or leave out --spot."
            )
        case _:
            line = f"The training job '{job}' was stopped before there was a model to save."
    return JobFailed(line, 1, False)
