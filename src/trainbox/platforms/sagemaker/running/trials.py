"""The trials of a tuning job: what became of each training job, and which has the best model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from trainbox import tasks
from trainbox.container.contract import hyperparameters
from trainbox.errors import ModelFileError, UsageError
from trainbox.platforms.job import JobFailed
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import AwsFailed, said_by_aws
from trainbox.platforms.sagemaker.running.kinds import ENDED, TRAINING, TUNING, Description
from trainbox.platforms.sagemaker.storage import artifact
from trainbox.platforms.search import achieved
from trainbox.platforms.study import Record
from trainbox.platforms.tuning import nothing_found

Say = Callable[[str], None]
Rank = tuple[bool, float, int]


@dataclass(frozen=True)
class Trials:
    """All trials of a tuning job that has ended, by number; the ``best`` is the training job ``job``."""

    records: list[Record]
    best: Record | None = None
    job: str = ""

    def best_job(self, account: Account) -> tuple[Record, Description]:
        """Return the best and what SageMaker says of its job; raise TuningFailed where none has a model."""
        if self.best is None:
            raise nothing_found(self.records, "See them: trainbox jobs.")
        return self.best, TRAINING.describe(account, self.job)


def read(account: Account, description: Description, say: Say) -> Trials:
    """Return the trials of a tuning job; raise JobFailed where it has not ended, UsageError, AwsFailed.

    SageMaker names a best one only of those that were completed: where it names none, that is told from the models of
    those that were stopped.
    """
    name = TUNING.name(description)
    if TUNING.status(description) not in ENDED:
        line = f"The tuning job '{name}' has not ended. Stop it, and keep the best so far: trainbox stop {name}"
        raise JobFailed(line, 1, False)
    asked = _Asked.of(description)
    summaries = _summaries(account, name)
    records = [asked.record(number, summary) for number, summary in enumerate(summaries, 1)]
    jobs = [summary["TrainingJobName"] for summary in summaries]
    named = description.get("BestTrainingJob", {}).get("TrainingJobName")
    if named in jobs:
        say(f"The best is training job '{named}'.")
        return Trials(records, records[jobs.index(named)], named)
    ranks: list[Rank] = []
    for place, summary in enumerate(summaries):
        if summary["TrainingJobStatus"] == "Stopped":
            records[place], rank = asked.judged(account, jobs[place], records[place])
            ranks += [rank] if rank else []
    if not ranks:
        return Trials(records)
    best = min(ranks)[-1] - 1
    say(f"No training was completed. Of those that were stopped, training job '{jobs[best]}' has the best model.")
    return Trials(records, records[best], jobs[best])


@dataclass(frozen=True)
class _Asked:
    """What a tuning job was asked for: which values to search, and by what to judge them."""

    task: tasks.Task
    objective: str
    sign: int
    names: list[str]

    @classmethod
    def of(cls, description: Description) -> "_Asked":
        """Read it; raise UsageError where the tuning job is not one of ours."""
        config, definition = description["HyperParameterTuningJobConfig"], description.get("TrainingJobDefinition", {})
        objective = config.get("HyperParameterTuningJobObjective")
        task = hyperparameters.decode(definition.get("StaticHyperParameters", {})).get("task")
        if not objective or not isinstance(task, str):
            raise UsageError(f"The tuning job '{TUNING.name(description)}' was not made by Trainbox.")
        ranges = [one["Name"] for listed in config["ParameterRanges"].values() for one in listed]
        return cls(tasks.get(task), objective["MetricName"], -1 if objective["Type"] == "Maximize" else 1, ranges)

    def record(self, number: int, job: Mapping[str, Any]) -> Record:
        """Return what became of a training job as a tuning job's list says it."""
        values = hyperparameters.decode(job["TunedHyperParameters"])
        times = [job.get(key) for key in ("TrainingStartTime", "TrainingEndTime")]
        seconds = round((times[1] - times[0]).total_seconds(), 1) if times[0] and times[1] else 0.0
        final = job.get("FinalHyperParameterTuningJobObjectiveMetric")
        chosen = {name: values.get(name) for name in self.names}
        if final is None:
            why = job.get("FailureReason") or f"It ended as {job['TrainingJobStatus']} and logged no {self.objective}."
            return Record(number, chosen, seconds=seconds, failed=" ".join(str(why).split()))
        score = float(final["Value"])
        known = {self.objective: score} if self.objective in self.task.measures else {}
        return Record(number, chosen, score, known, seconds, cut_off=job["TrainingJobStatus"] == "Stopped")

    def judged(self, account: Account, job: str, record: Record) -> tuple[Record, Rank | None]:
        """Return a stopped trial as its model says, and its rank, the least for the best; None without a model.

        A model that there was no time to score stands behind those that have a score, and is judged by its epochs.
        """
        manifest = _manifest(account, job)
        if manifest is None:
            return replace(record, score=None, failed="It was stopped before there was a model to save."), None
        scores = tasks.measured(self.task, manifest.get("metrics") or {})
        score = record.score if record.score is not None else achieved(self.task, self.objective, manifest)
        record = replace(record, score=score, scores=scores, failed=None, cut_off=True)
        if score is not None:
            return record, (False, self.sign * score, record.number)
        watched = achieved(self.task, self.task.watched, manifest) or 0.0
        return record, (True, watched if self.task.watched.endswith("loss") else -watched, record.number)


def _manifest(account: Account, job: str) -> Mapping[str, Any] | None:
    """Return the manifest of the model that a training job left in S3, None where there is none."""
    try:
        return artifact.of_job(account, job).manifest
    except (ModelFileError, UsageError):
        return None
    except AwsFailed as problem:
        if problem.code not in {"404", "NoSuchKey"}:
            raise
        return None


def _summaries(account: Account, name: str) -> list[dict[str, Any]]:
    """Return the summaries of a tuning job's training jobs, in the order of their creation."""
    found: list[dict[str, Any]] = []
    with said_by_aws(f"list the training jobs of the tuning job '{name}'"):
        pages = account.sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
        for page in pages.paginate(HyperParameterTuningJobName=name, SortBy="CreationTime", SortOrder="Ascending"):
            found += page["TrainingJobSummaries"]
    return found
