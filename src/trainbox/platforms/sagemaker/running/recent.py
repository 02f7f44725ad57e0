"""The training jobs and the tuning jobs of an account that are ours, newest first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import said_by_aws
from trainbox.platforms.sagemaker.aws.names import OUR_TAG
from trainbox.platforms.sagemaker.running.bill import Bill
from trainbox.platforms.sagemaker.running.kinds import TRAINING, TUNING, Description, Kind, server_time

LARGEST_PAGE = 100
TAGGED = {"Name": f"Tags.{OUR_TAG}", "Operator": "Exists"}


@dataclass(frozen=True)
class RecentJob:
    """A training job as a list shows it. ``status`` is SageMaker's, "InProgress: Training" while it is under way."""

    name: str
    task: str
    status: str
    created: datetime
    bill: Bill

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {
            "job": self.name,
            "task": self.task,
            "status": self.status,
            "created": self.created.isoformat(timespec="seconds"),
            **self.bill.as_dict(),
        }


@dataclass(frozen=True)
class RecentTuning:
    """A tuning job as a list shows it: ``done`` of at most ``trials`` trainings are over, ``best`` is their best score.

    ``best_job`` is the training job that has it, "" while none is completed.
    """

    tuning_job: str
    task: str
    status: str
    created: datetime
    done: int
    trials: int
    objective: str
    best: float | None
    best_job: str

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {**asdict(self), "created": self.created.isoformat(timespec="seconds")}


def recent(account: Account, most: int, status: str | None = None) -> Sequence[RecentJob]:
    """Return the newest training jobs that have our tag, or our hyperparameter ``task``; raise AwsFailed.

    ``status`` is SageMaker's word: InProgress, Completed, Failed, Stopping or Stopped.
    """
    ours = [TAGGED, {"Name": "HyperParameters.task", "Operator": "Exists"}]
    return [_training(job, page) for job, page in _found(account, TRAINING, ours, most, status)]


def recent_tunings(account: Account, most: int, status: str | None = None) -> Sequence[RecentTuning]:
    """Return the newest tuning jobs that have our tag, as ``recent``."""
    return [_tuning(job) for job, _ in _found(account, TUNING, [TAGGED], most, status)]


def _found(
    account: Account, kind: Kind, ours: Sequence[Mapping[str, str]], most: int, status: str | None
) -> Iterator[tuple[Description, Description]]:
    """Yield jobs of a kind that any of ``ours`` fits, each with the page of the answer that it is on."""
    narrowed: dict[str, Any] = {"SubExpressions": [{"Filters": ours, "Operator": "Or"}]}
    if status:
        narrowed["Filters"] = [{"Name": f"{kind.shape}Status", "Operator": "Equals", "Value": status}]
    with said_by_aws(f"list the {kind.words}s"):
        pages = account.sagemaker.get_paginator("search").paginate(
            Resource=kind.shape,
            SearchExpression=narrowed,
            SortBy="CreationTime",
            SortOrder="Descending",
            PaginationConfig={"MaxItems": most, "PageSize": min(most, LARGEST_PAGE)},
        )
        for page in pages:
            yield from ((found[kind.shape], page) for found in page["Results"])


def _training(job: Description, page: Description) -> RecentJob:
    status = TRAINING.status(job)
    under_way = status == "InProgress" and job.get("SecondaryStatus")
    return RecentJob(
        TRAINING.name(job),
        _task(job) or job.get("HyperParameters", {}).get("task", ""),
        f"{status}: {job['SecondaryStatus']}" if under_way else status,
        job["CreationTime"],
        Bill.of(job, server_time(page)),
    )


def _tuning(job: Description) -> RecentTuning:
    config, counted = job["HyperParameterTuningJobConfig"], job["TrainingJobStatusCounters"]
    best = job.get("BestTrainingJob", {})
    return RecentTuning(
        TUNING.name(job),
        _task(job),
        TUNING.status(job),
        job["CreationTime"],
        sum(counted.get(how, 0) for how in ("Completed", "Stopped", "NonRetryableError")),
        config["ResourceLimits"].get("MaxNumberOfTrainingJobs", 0),
        config["HyperParameterTuningJobObjective"]["MetricName"],
        best.get("FinalHyperParameterTuningJobObjectiveMetric", {}).get("Value"),
        best.get("TrainingJobName", ""),
    )


def _task(job: Description) -> str:
    return next((str(tag["Value"]) for tag in job.get("Tags", []) if tag["Key"] == OUR_TAG), "")
