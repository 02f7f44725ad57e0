"""A search of hyperparameters as the request of SageMaker's API. Nothing here talks to AWS."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from trainbox import tasks
from trainbox.container.contract import hyperparameters
from trainbox.errors import HyperparameterError, UsageError
from trainbox.platforms.sagemaker.asking import request
from trainbox.platforms.sagemaker.asking.plan import Plan
from trainbox.platforms.search import Search, Space, combinations
from trainbox.training.search import Span

NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,31}")
LONGEST_CHOICE = 256
OPERATION = "create-hyper-parameter-tuning-job"
OF_A_JOB_ALONE = {"TrainingJobName", "HyperParameters", "Tags"}
"""What a training job has and its definition within a tuning job has not: SageMaker names the jobs and tags them."""


def tuning_job(search: Search, plan: Plan, inputs: Mapping[str, str], name: str) -> dict[str, Any]:
    """Return the request of CreateHyperParameterTuningJob; ``inputs`` are the s3:// addresses of the channels.

    Its trials are the very training jobs that ``request.training_job`` words. Raises UsageError or HyperparameterError
    where SageMaker would refuse it.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"Name {name!r} is not allowed. Use 1 to 32 letters, digits and inner hyphens.")
    one = request.training_job(search.job({}, name), plan, inputs)
    definition = {key: value for key, value in one.items() if key not in OF_A_JOB_ALONE}
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": config(search),
        "TrainingJobDefinition": {"StaticHyperParameters": one["HyperParameters"], **definition},
        "Tags": one["Tags"],
    }


def config(search: Search) -> dict[str, Any]:
    """Return the HyperParameterTuningJobConfig."""
    trials = int(min(search.trials, combinations(search.space)))
    return {
        "Strategy": "Bayesian",
        "HyperParameterTuningJobObjective": {"Type": search.direction.capitalize(), "MetricName": search.objective},
        "ResourceLimits": {
            "MaxNumberOfTrainingJobs": trials,
            "MaxParallelTrainingJobs": min(search.parallel, trials),
        },
        "ParameterRanges": ranges(search.space),
        "TrainingJobEarlyStoppingType": "Auto" if is_of_epochs(search) else "Off",
        "RandomSeed": search.seed,
    }


def is_of_epochs(search: Search) -> bool:
    """Tell whether the objective is logged after every epoch: only then can a trial be seen to fall behind."""
    return search.objective not in tasks.get(search.task).measures


def ranges(space: Space) -> dict[str, Any]:
    """Return the ParameterRanges: ends as text, choices encoded as the container decodes them."""
    found: dict[str, list[dict[str, Any]]] = {"Integer": [], "Continuous": [], "Categorical": []}
    for name, one in space.items():
        if isinstance(one, Span):
            kind = "Integer" if one.whole else "Continuous"
            ends = {"MinValue": _number(one.low), "MaxValue": _number(one.high)}
            found[kind].append({"Name": name, **ends, "ScalingType": "Logarithmic" if one.log else "Linear"})
            continue
        words = [hyperparameters.encode({name: value})[name] for value in one.values]
        if any(len(word) > LONGEST_CHOICE for word in words):
            raise HyperparameterError(
                f"A choice of '{name}' is longer than the {LONGEST_CHOICE} characters that SageMaker takes."
            )
        found["Categorical"].append({"Name": name, "Values": words})
    return {f"{kind}ParameterRanges": listed for kind, listed in found.items() if listed}


def default_name(task: str) -> str:
    """Return a name that says what and when, to the second, and leaves SageMaker room for its own ending."""
    return f"{task[:16].rstrip('-')}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


def _number(value: float) -> str:
    # Not "3e-04": every reader of numbers takes this one.
    return f"{value:.12f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
