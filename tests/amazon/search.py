"""Search for training jobs, by what Trainbox asks: tags, hyperparameters and the status."""

from collections.abc import Iterable
from typing import Any

from amazon.protocol import page
from amazon.refusals import invalid
from amazon.training import Job, TrainingJobs


class Search:
    """The operation Search."""

    def __init__(self, training: TrainingJobs) -> None:
        self._training = training

    def search(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["Resource"] != "TrainingJob":
            raise invalid(f"This fake searches training jobs only, not {asked['Resource']}.")
        jobs = [job for job in self._training.jobs.values() if self._fits(job, asked.get("SearchExpression", {}))]
        jobs.sort(key=lambda job: job.created, reverse=asked.get("SortOrder", "Descending") == "Descending")
        found, token = page(jobs, asked)
        return {"Results": [{"TrainingJob": self._described(job)} for job in found], "NextToken": token}

    def _described(self, job: Job) -> dict[str, Any]:
        tags = [{"Key": key, "Value": value} for key, value in self._tags(job).items()]
        described = {name: value for name, value in job.described().items() if name != "WarmPoolStatus"}
        return {**described, "Tags": tags}

    def _tags(self, job: Job) -> dict[str, str]:
        return self._training.house.tags.get(job.arn, {})

    def _fits(self, job: Job, expression: dict[str, Any]) -> bool:
        judged = [
            *(self._passes(job, one) for one in expression.get("Filters", ())),
            *(self._fits(job, one) for one in expression.get("SubExpressions", ())),
        ]
        return (any if expression.get("Operator", "And") == "Or" else all)(judged)

    def _passes(self, job: Job, asked: dict[str, Any]) -> bool:
        values = list(self._values(job, asked["Name"]))
        match asked.get("Operator", "Equals"):
            case "Exists":
                return bool(values)
            case "Equals":
                return asked["Value"] in values
        raise invalid(f"This fake has no operator {asked['Operator']}.")

    def _values(self, job: Job, name: str) -> Iterable[str]:
        kind, _, key = name.partition(".")
        groups = {"Tags": self._tags(job), "HyperParameters": job.request["HyperParameters"]}
        if kind in groups:
            return [groups[kind][key]] if key in groups[kind] else []
        if kind in {"TrainingJobStatus", "TrainingJobName"}:
            return [job.described()[kind]]
        raise invalid(f"Unknown property {name}.")
