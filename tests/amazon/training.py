"""Training jobs: created, described, listed and stopped; ``training_run.py`` runs them."""

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from typing import Any

from amazon.account import House
from amazon.protocol import page
from amazon.refusals import invalid, taken, unknown

MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Interrupted": "Training job interrupted: spot capacity was taken back",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job exceeded MaxWaitTimeInSeconds provided",
}
DAY = 86_400


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@dataclass
class Job:
    """One training job: what was asked, and where it stands."""

    request: dict[str, Any]
    arn: str
    tuning_arn: str | None = None
    status: str = "InProgress"
    secondary: str = "Starting"
    created: datetime = field(default_factory=now)
    changed: datetime = field(default_factory=now)
    started: datetime | None = None
    ended: datetime | None = None
    failure: str | None = None
    training_seconds: int | None = None
    billable_seconds: int | None = None
    interruptions: int = 0
    transitions: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    warm_pool: dict[str, Any] | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    interrupted: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        return self.request["TrainingJobName"]

    @property
    def model(self) -> str:
        """The address of its model artifact, which need not be there yet."""
        return f"{self.output}/model.tar.gz"

    @property
    def output(self) -> str:
        return f"{self.request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self.name}/output"

    @property
    def is_spot(self) -> bool:
        return self.request.get("EnableManagedSpotTraining", False)

    @property
    def instances(self) -> tuple[str, int]:
        """The instance type and how many."""
        resources = self.request["ResourceConfig"]
        return resources["InstanceType"], resources["InstanceCount"]

    def enter(self, secondary: str, status: str | None = None) -> None:
        """Go to another status, which ends the one before."""
        moment = now()
        if self.transitions:
            self.transitions[-1]["EndTime"] = moment
        self.transitions.append({"Status": secondary, "StartTime": moment, "StatusMessage": MESSAGES[secondary]})
        self.secondary, self.status, self.changed = secondary, status or self.status, moment

    def finish(self, secondary: str, status: str, spot_share: float, failure: str | None = None) -> None:
        """Come to the end: what is billed is known, and a failure's reason."""
        self.failure = failure[:1024] if failure else None
        self.ended = now()
        if self.started:
            self.training_seconds = max(1, ceil((self.ended - self.started).total_seconds()))
            share = spot_share if self.is_spot else 1.0
            self.billable_seconds = max(1, round(self.training_seconds * share))
        self.enter(secondary, status)
        self.transitions[-1]["EndTime"] = self.transitions[-1]["StartTime"]
        self.over.set()

    def described(self) -> dict[str, Any]:
        """Return what DescribeTrainingJob answers."""
        asked = {key: value for key, value in self.request.items() if key not in ("Tags", "SessionChainingConfig")}
        return asked | {
            "TrainingJobArn": self.arn,
            "TuningJobArn": self.tuning_arn,
            "ModelArtifacts": {"S3ModelArtifacts": self.model},
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.secondary,
            "FailureReason": self.failure,
            "CreationTime": self.created,
            "TrainingStartTime": self.started,
            "TrainingEndTime": self.ended,
            "LastModifiedTime": self.changed,
            "SecondaryStatusTransitions": list(self.transitions),
            "FinalMetricDataList": self.metrics or None,
            "TrainingTimeInSeconds": self.training_seconds,
            "BillableTimeInSeconds": self.billable_seconds,
            "WarmPoolStatus": self.warm_pool,
        }

    def summary(self) -> dict[str, Any]:
        """Return what ListTrainingJobs says of it."""
        return {
            "TrainingJobName": self.name,
            "TrainingJobArn": self.arn,
            "CreationTime": self.created,
            "TrainingEndTime": self.ended,
            "LastModifiedTime": self.changed,
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.secondary,
            "WarmPoolStatus": self.warm_pool,
        }


class TrainingJobs:
    """The operations on training jobs."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.jobs: dict[str, Job] = {}
        self.mishaps: list[str] = []

    def create_training_job(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"TrainingJobArn": self.start(asked).arn}

    def start(self, asked: dict[str, Any], tuning_arn: str | None = None) -> Job:
        """Check a request as SageMaker would, and start the job."""
        from amazon.training_run import run

        job = Job(_with_defaults(asked), self.house.arn("training-job", asked["TrainingJobName"]), tuning_arn)
        with self.house.lock:
            if job.name in self.jobs:
                raise taken(job.arn)
            self._refuse(job)
            self.jobs[job.name] = job
        self.house.tag(job.arn, asked.get("Tags"))
        job.enter("Starting", "InProgress")
        self.house.work(f"training job {job.name}", lambda: run(job, self))
        return job

    def _refuse(self, job: Job) -> None:
        _refuse_contradictions(job.request)
        self.house.refuse_role(job.request["RoleArn"])
        self.house.refuse_image(job.request["AlgorithmSpecification"]["TrainingImage"])
        kind, count = job.instances
        running = [other for other in self.jobs.values() if not other.over.is_set() and other.instances[0] == kind]
        used = sum(other.instances[1] for other in running if other.is_spot == job.is_spot)
        spot = "spot " if job.is_spot else ""
        self.house.refuse_beyond(f"{kind} for {spot}training job usage", used, count)
        if job.request["ResourceConfig"].get("KeepAlivePeriodInSeconds"):
            self.house.refuse_beyond(f"{kind} for training warm pool usage", 0, count)

    def describe_training_job(self, asked: dict[str, Any]) -> dict[str, Any]:
        return self.found(asked["TrainingJobName"]).described()

    def stop_training_job(self, asked: dict[str, Any]) -> None:
        job = self.found(asked["TrainingJobName"])
        with self.house.lock:
            # What SageMaker says to a second stop is not documented: nobody may count on its patience.
            if job.over.is_set() or job.stop.is_set():
                raise invalid(f"The request was rejected because the training job is in status {job.status}.")
            job.enter("Stopping", "Stopping")
            job.stop.set()

    def list_training_jobs(self, asked: dict[str, Any]) -> dict[str, Any]:
        listed, token = page(selected(list(self.jobs.values()), asked), asked)
        return {"TrainingJobSummaries": [job.summary() for job in listed], "NextToken": token}

    def found(self, name: str) -> Job:
        """Return a job; raise Refusal where there is none of that name."""
        if name not in self.jobs:
            raise unknown(self.house.arn("training-job", name))
        return self.jobs[name]

    def interrupt(self, name: str) -> None:
        """Take a job's spot instance away: kill -9, no notice; the job starts anew from its checkpoints."""
        self.found(name).interrupted.set()

    def mishap(self, reason: str) -> None:
        """Have the next job fail before its container starts: "CapacityError: ...", "InternalServerError: ..."."""
        self.mishaps.append(reason)


def selected(jobs: list[Any], asked: dict[str, Any]) -> list[Any]:
    """Return those that a list's request asks for, in its order; ``jobs`` have name, status and created."""
    after, before = asked.get("CreationTimeAfter", 0), asked.get("CreationTimeBefore", time.time() + DAY)
    chosen = [
        job
        for job in jobs
        if asked.get("NameContains", "").lower() in job.name.lower()
        and asked.get("StatusEquals", job.status) == job.status
        and after <= job.created.timestamp() <= before
    ]
    by = (lambda job: job.name) if asked.get("SortBy") == "Name" else (lambda job: job.created)
    return sorted(chosen, key=by, reverse=asked.get("SortOrder", "Descending") == "Descending")


def _with_defaults(asked: dict[str, Any]) -> dict[str, Any]:
    stopping = {"MaxRuntimeInSeconds": DAY, **asked.get("StoppingCondition", {})}
    return {"HyperParameters": {}, "InputDataConfig": [], "EnableNetworkIsolation": False, **asked} | {
        "StoppingCondition": stopping
    }


def _refuse_contradictions(asked: dict[str, Any]) -> None:
    stopping = asked["StoppingCondition"]
    runtime, wait = stopping["MaxRuntimeInSeconds"], stopping.get("MaxWaitTimeInSeconds")
    spot = asked.get("EnableManagedSpotTraining", False)
    if wait is not None and not spot:
        raise invalid("MaxWaitTimeInSeconds may only be specified when EnableManagedSpotTraining is true.")
    if spot and (wait is None or wait < runtime):
        raise invalid(
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds "
            "when EnableManagedSpotTraining is true."
        )
    if spot and asked.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds"):
        raise invalid("KeepAlivePeriodInSeconds may not be specified when EnableManagedSpotTraining is true.")
    for name in ("ResourceConfig", "AlgorithmSpecification"):
        if name not in asked:
            raise invalid(f"{name} is required.")
    if not asked["AlgorithmSpecification"].get("TrainingImage"):
        raise invalid("TrainingImage is required.")
    channels = [channel["ChannelName"] for channel in asked["InputDataConfig"]]
    if len(set(channels)) < len(channels):
        raise invalid("Channel names must be unique within a training job.")
