"""The training jobs of an account that are ours, newest first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import said_by_aws
from trainbox.platforms.sagemaker.aws.names import OUR_TAG
from trainbox.platforms.sagemaker.running.bill import Bill
from trainbox.platforms.sagemaker.running.watching import server_time

LARGEST_PAGE = 100


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


def recent(account: Account, most: int, status: str | None = None) -> Sequence[RecentJob]:
    """Return the newest jobs that have our tag, or our hyperparameter ``task``; raise AwsFailed.

    ``status`` is SageMaker's word: InProgress, Completed, Failed, Stopping or Stopped.
    """
    ours = {
        "Filters": [
            {"Name": f"Tags.{OUR_TAG}", "Operator": "Exists"},
            {"Name": "HyperParameters.task", "Operator": "Exists"},
        ],
        "Operator": "Or",
    }
    narrowed: dict[str, Any] = {"SubExpressions": [ours]}
    if status:
        narrowed["Filters"] = [{"Name": "TrainingJobStatus", "Operator": "Equals", "Value": status}]
    with said_by_aws("list the training jobs"):
        pages = account.sagemaker.get_paginator("search").paginate(
            Resource="TrainingJob",
            SearchExpression=narrowed,
            SortBy="CreationTime",
            SortOrder="Descending",
            PaginationConfig={"MaxItems": most, "PageSize": min(most, LARGEST_PAGE)},
        )
        return [_read(found["TrainingJob"], page) for page in pages for found in page["Results"]]


def _read(job: Mapping[str, Any], page: Mapping[str, Any]) -> RecentJob:
    status = job["TrainingJobStatus"]
    under_way = status == "InProgress" and job.get("SecondaryStatus")
    tagged = {tag["Key"]: tag["Value"] for tag in job.get("Tags", [])}
    return RecentJob(
        job["TrainingJobName"],
        tagged.get(OUR_TAG) or job.get("HyperParameters", {}).get("task", ""),
        f"{status}: {job['SecondaryStatus']}" if under_way else status,
        job["CreationTime"],
        Bill.of(job, server_time(page)),
    )
