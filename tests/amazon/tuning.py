"""Hyperparameter tuning jobs: real training jobs with drawn values, the best one told by the objective in its log."""

import itertools
import math
import random
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from amazon.account import House
from amazon.protocol import page
from amazon.refusals import Refusal, invalid, taken, unknown
from amazon.training import Job, TrainingJobs, now, selected

POLL_SECONDS = 0.05
PASSED_ON = (
    "RoleArn",
    "InputDataConfig",
    "VpcConfig",
    "OutputDataConfig",
    "ResourceConfig",
    "StoppingCondition",
    "EnableNetworkIsolation",
    "EnableManagedSpotTraining",
    "CheckpointConfig",
    "RetryStrategy",
    "Environment",
)


@dataclass
class TuningJob:
    """One tuning job: what was asked, and the training jobs that it made so far."""

    request: dict[str, Any]
    arn: str
    status: str = "InProgress"
    failure: str | None = None
    created: datetime = field(default_factory=now)
    ended: datetime | None = None
    children: list[tuple[Job, dict[str, str]]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        return self.request["HyperParameterTuningJobName"]

    @property
    def config(self) -> dict[str, Any]:
        return self.request["HyperParameterTuningJobConfig"]

    @property
    def objective(self) -> dict[str, str]:
        return self.config["HyperParameterTuningJobObjective"]

    def score(self, job: Job) -> float | None:
        """Return a training job's objective, None where its log does not say it."""
        return next((one["Value"] for one in job.metrics if one["MetricName"] == self.objective["MetricName"]), None)

    @property
    def best(self) -> tuple[Job, dict[str, str]] | None:
        """The best training job that was completed."""
        done = [one for one in self.children if one[0].status == "Completed" and self.score(one[0]) is not None]
        sign = 1 if self.objective["Type"] == "Maximize" else -1
        return max(done, key=lambda one: sign * (self.score(one[0]) or 0.0), default=None)

    def summary(self, job: Job, tuned: dict[str, str]) -> dict[str, Any]:
        """Return what is said of one of its training jobs."""
        score = self.score(job)
        metric = {**self.objective, "Value": score} if score is not None else None
        status = "Pending" if not job.over.is_set() else "Succeeded" if score is not None else "Failed"
        return {
            "TrainingJobName": job.name,
            "TrainingJobArn": job.arn,
            "CreationTime": job.created,
            "TrainingStartTime": job.started,
            "TrainingEndTime": job.ended,
            "TrainingJobStatus": job.status,
            "TunedHyperParameters": tuned,
            "FailureReason": job.failure,
            "FinalHyperParameterTuningJobObjectiveMetric": metric,
            "ObjectiveStatus": status,
        }

    @property
    def counters(self) -> dict[str, Any]:
        """How many training jobs there are of each status."""
        jobs = [job for job, _ in self.children]
        scored = [job for job in jobs if self.score(job) is not None]
        over = [job for job in jobs if job.over.is_set()]
        of = {status: sum(job.status == status for job in jobs) for status in ("Completed", "Stopped", "Failed")}
        return {
            "TrainingJobStatusCounters": {
                "Completed": of["Completed"],
                "InProgress": len(jobs) - len(over),
                "RetryableError": 0,
                "NonRetryableError": of["Failed"],
                "Stopped": of["Stopped"],
            },
            "ObjectiveStatusCounters": {
                "Succeeded": len(scored),
                "Pending": len(jobs) - len(over),
                "Failed": len([job for job in over if job not in scored]),
            },
        }


class TuningJobs:
    """The operations on tuning jobs."""

    def __init__(self, house: House, training: TrainingJobs) -> None:
        self._house, self._training = house, training
        self.jobs: dict[str, TuningJob] = {}

    def create_hyper_parameter_tuning_job(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = asked["HyperParameterTuningJobName"]
        arn = self._house.arn("hyper-parameter-tuning-job", name)
        _refuse_contradictions(asked)
        with self._house.lock:
            if name in self.jobs:
                raise taken(arn)
            job = self.jobs[name] = TuningJob(asked, arn)
        self._house.tag(arn, asked.get("Tags"))
        self._house.work(f"tuning job {name}", lambda: self._run(job))
        return {"HyperParameterTuningJobArn": arn}

    def describe_hyper_parameter_tuning_job(self, asked: dict[str, Any]) -> dict[str, Any]:
        return self.described(self.found(asked["HyperParameterTuningJobName"]))

    def described(self, job: TuningJob) -> dict[str, Any]:
        """Return what is said of a job."""
        return {
            "HyperParameterTuningJobName": job.name,
            "HyperParameterTuningJobArn": job.arn,
            "HyperParameterTuningJobConfig": job.config,
            "TrainingJobDefinition": job.request["TrainingJobDefinition"],
            "HyperParameterTuningJobStatus": job.status,
            "CreationTime": job.created,
            "HyperParameterTuningEndTime": job.ended,
            "LastModifiedTime": job.ended or now(),
            "BestTrainingJob": job.summary(*job.best) if job.best else None,
            "FailureReason": job.failure,
            **job.counters,
        }

    def list_training_jobs_for_hyper_parameter_tuning_job(self, asked: dict[str, Any]) -> dict[str, Any]:
        job = self.found(asked["HyperParameterTuningJobName"])
        wanted = asked.get("StatusEquals")
        found, token = page([one for one in job.children if wanted in (None, one[0].status)], asked)
        return {"TrainingJobSummaries": [job.summary(*one) for one in found], "NextToken": token}

    def list_hyper_parameter_tuning_jobs(self, asked: dict[str, Any]) -> dict[str, Any]:
        found, token = page(selected(list(self.jobs.values()), asked), asked)
        listed = [
            {
                "HyperParameterTuningJobName": job.name,
                "HyperParameterTuningJobArn": job.arn,
                "HyperParameterTuningJobStatus": job.status,
                "Strategy": job.config["Strategy"],
                "CreationTime": job.created,
                **job.counters,
            }
            for job in found
        ]
        return {"HyperParameterTuningJobSummaries": listed, "NextToken": token}

    def stop_hyper_parameter_tuning_job(self, asked: dict[str, Any]) -> None:
        job = self.found(asked["HyperParameterTuningJobName"])
        if job.over.is_set() or job.stop.is_set():
            raise invalid(f"The request was rejected because the tuning job is in status {job.status}.")
        job.status = "Stopping"
        job.stop.set()

    def found(self, name: str) -> TuningJob:
        """Return a job; raise Refusal where there is none of that name."""
        if name not in self.jobs:
            raise unknown(self._house.arn("hyper-parameter-tuning-job", name))
        return self.jobs[name]

    def _run(self, job: TuningJob) -> None:
        limits = job.config["ResourceLimits"]
        values = itertools.islice(drawn(job.config), limits.get("MaxNumberOfTrainingJobs", 20))
        try:
            while not job.stop.is_set() and not self._house.closing.is_set():
                running = [child for child, _ in job.children if not child.over.is_set()]
                if len(running) >= limits["MaxParallelTrainingJobs"]:
                    self._house.closing.wait(POLL_SECONDS)
                elif (tuned := next(values, None)) is not None:
                    job.children.append((self._start(job, tuned), tuned))
                elif not running:
                    break
                else:
                    self._house.closing.wait(POLL_SECONDS)
            self._end(job)
        except Refusal as refusal:
            job.failure, job.status = str(refusal), "Failed"
        finally:
            job.ended = now()
            job.over.set()

    def _start(self, job: TuningJob, tuned: dict[str, str]) -> Job:
        definition = job.request["TrainingJobDefinition"]
        name = f"{job.name[:32]}-{len(job.children) + 1:03d}-{uuid.uuid4().hex[:8]}"
        told = {"_tuning_objective_metric": job.objective["MetricName"]}
        tags = [{"Key": key, "Value": value} for key, value in self._house.tags.get(job.arn, {}).items()]
        asked = {name: definition[name] for name in PASSED_ON if name in definition} | {
            "TrainingJobName": name,
            "AlgorithmSpecification": definition["AlgorithmSpecification"],
            "HyperParameters": {**definition.get("StaticHyperParameters", {}), **tuned, **told},
            "Tags": tags,
        }
        return self._training.start(asked, job.arn)

    def _end(self, job: TuningJob) -> None:
        for child, _ in job.children:
            if job.stop.is_set() and not child.over.is_set():
                child.stop.set()
        for child, _ in job.children:
            while not child.over.wait(POLL_SECONDS):
                if self._house.closing.is_set():
                    return
        if job.stop.is_set():
            job.status = "Stopped"
        elif job.best:
            job.status = "Completed"
        else:
            job.status = "Failed"
            job.failure = (
                f"No objective metrics found after running {len(job.children)} training jobs. Please ensure that the "
                "custom algorithm is emitting the objective metric as defined by the regular expression provided."
            )


def drawn(config: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield hyperparameters within their ranges, as the strings that SageMaker makes of them; the seed's, if given."""
    ranges = config.get("ParameterRanges", {})
    categories = {one["Name"]: one["Values"] for one in ranges.get("CategoricalParameterRanges", ())}
    if config["Strategy"] == "Grid":
        yield from (dict(zip(categories, one, strict=True)) for one in itertools.product(*categories.values()))
        return
    luck = random.Random(config.get("RandomSeed", 0))
    while True:
        values = {name: luck.choice(given) for name, given in categories.items()}
        for one in ranges.get("IntegerParameterRanges", ()):
            values[one["Name"]] = str(round(_between(one, luck)))
        for one in ranges.get("ContinuousParameterRanges", ()):
            values[one["Name"]] = repr(_between(one, luck))
        yield values


def _between(bounds: dict[str, str], luck: random.Random) -> float:
    low, high = float(bounds["MinValue"]), float(bounds["MaxValue"])
    if bounds.get("ScalingType") == "Logarithmic":
        return min(high, max(low, math.exp(luck.uniform(math.log(low), math.log(high)))))
    return luck.uniform(low, high)


def _refuse_contradictions(asked: dict[str, Any]) -> None:
    config, definition = asked["HyperParameterTuningJobConfig"], asked.get("TrainingJobDefinition")
    if not definition or "HyperParameterTuningJobObjective" not in config:
        raise invalid("The fake tunes one TrainingJobDefinition by one HyperParameterTuningJobObjective.")
    metric = config["HyperParameterTuningJobObjective"]["MetricName"]
    if metric not in {one["Name"] for one in definition["AlgorithmSpecification"].get("MetricDefinitions", ())}:
        raise invalid(
            f"The objective metric for the hyperparameter tuning job, [{metric}], isn't valid. Choose a valid "
            "objective metric."
        )
    ranges = config.get("ParameterRanges", {})
    bounded = [*ranges.get("IntegerParameterRanges", ()), *ranges.get("ContinuousParameterRanges", ())]
    for one in bounded:
        low, high = float(one["MinValue"]), float(one["MaxValue"])
        if low >= high or (one.get("ScalingType") == "Logarithmic" and low <= 0):
            raise invalid(f"Invalid range for {one['Name']}: [{one['MinValue']}, {one['MaxValue']}].")
    names = [one["Name"] for one in [*bounded, *ranges.get("CategoricalParameterRanges", ())]]
    if twice := set(names) & set(definition.get("StaticHyperParameters", {})):
        raise invalid(f"Hyperparameters {sorted(twice)} are both static and tuned.")
    if config["Strategy"] == "Grid" and bounded:
        raise invalid("The Grid strategy takes categorical ranges only.")
