"""Search for training jobs and tuning jobs, by what Trainbox asks: tags, hyperparameters and the status."""

from collections.abc import Iterable
from typing import Any

from amazon.protocol import page
from amazon.refusals import invalid
from amazon.training import TrainingJobs
from amazon.tuning import TuningJobs


class Search:
    """The operation Search."""

    def __init__(self, training: TrainingJobs, tunings: TuningJobs) -> None:
        self._training, self._tunings = training, tunings

    def search(self, asked: dict[str, Any]) -> dict[str, Any]:
        kind = asked["Resource"]
        found = [one for one in self._all(kind) if self._fits(one, asked.get("SearchExpression", {}))]
        found.sort(key=lambda one: one["CreationTime"], reverse=asked.get("SortOrder", "Descending") == "Descending")
        found, token = page(found, asked)
        return {"Results": [{kind: one} for one in found], "NextToken": token}

    def _all(self, kind: str) -> list[dict[str, Any]]:
        """Return all jobs of a kind as a search describes them."""
        if kind == "TrainingJob":
            described = [job.described() for job in self._training.jobs.values()]
        elif kind == "HyperParameterTuningJob":
            described = [self._tunings.described(job) for job in self._tunings.jobs.values()]
        else:
            raise invalid(f"This fake searches training jobs and tuning jobs only, not {kind}.")
        tags = self._training.house.tags
        return [
            {name: value for name, value in one.items() if name != "WarmPoolStatus"}
            | {"Tags": [{"Key": key, "Value": value} for key, value in tags.get(one[f"{kind}Arn"], {}).items()]}
            for one in described
        ]

    def _fits(self, job: dict[str, Any], expression: dict[str, Any]) -> bool:
        judged = [
            *(self._passes(job, one) for one in expression.get("Filters", ())),
            *(self._fits(job, one) for one in expression.get("SubExpressions", ())),
        ]
        return (any if expression.get("Operator", "And") == "Or" else all)(judged)

    def _passes(self, job: dict[str, Any], asked: dict[str, Any]) -> bool:
        values = list(self._values(job, asked["Name"]))
        match asked.get("Operator", "Equals"):
            case "Exists":
                return bool(values)
            case "Equals":
                return asked["Value"] in values
        raise invalid(f"This fake has no operator {asked['Operator']}.")

    def _values(self, job: dict[str, Any], name: str) -> Iterable[str]:
        kind, _, key = name.partition(".")
        if kind == "Tags":
            return [tag["Value"] for tag in job["Tags"] if tag["Key"] == key]
        if kind == "HyperParameters" and kind in job:
            return [job[kind][key]] if key in job[kind] else []
        if kind.endswith(("JobStatus", "JobName")) and kind in job:
            return [job[kind]]
        raise invalid(f"Unknown property {name}.")
