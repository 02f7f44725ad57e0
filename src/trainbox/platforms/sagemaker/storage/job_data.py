"""What a job's channels hold, read as training would before anything is spent on it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainbox import tasks
from trainbox.errors import DataError, HyperparameterError
from trainbox.platforms import folder
from trainbox.platforms.job import TrainingJob
from trainbox.tasks import Task, Workload


@dataclass(frozen=True)
class JobData:
    """``examples`` are usable ones and ``bytes`` those of all channels; None where something of them is in S3."""

    examples: int | None
    bytes: int | None

    def workload(self, job: TrainingJob) -> Workload | None:
        """Return what training on it will ask of a machine; None where that is not known."""
        if self.examples is None:
            return None
        task = tasks.get(job.task)
        return task.workload(task.config.parse({**job.hyperparameters, "task": job.task}), self.examples)


def read(job: TrainingJob, say: Callable[[str], None]) -> JobData:
    """Read the channels that are on this machine, every image included, and say what would be left out of them.

    Raises ChannelError where one is missing, DataError where nothing in them is usable, HyperparameterError where not
    even all of it fills a batch.
    """
    here = {name: Path(source) for name, source in job.channels.items() if not isinstance(source, str)}
    for name, source in here.items():
        folder.refuse_missing_source(name, source)
    task = tasks.get(job.task)
    wanted = task.read_by_check(list(job.channels))
    examples = _check(task, [here[name] for name in wanted if name in here], say)
    known = examples if all(name in here for name in wanted) else None
    _refuse_oversized_batch(task, job, known)
    return JobData(known, sum(map(size, here.values())) if len(here) == len(job.channels) else None)


def size(source: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    files = source.rglob("*") if source.is_dir() else [source]
    return sum(file.stat().st_size for file in files if file.is_file())


def _refuse_oversized_batch(task: Task, job: TrainingJob, examples: int | None) -> None:
    batch_size = task.config.parse({**job.hyperparameters, "task": job.task}).batch_size
    # The container, which knows how many are held back for validation, looks again.
    if examples is not None and (batch_size or 0) > examples:
        raise HyperparameterError(
            f"Hyperparameter 'batch_size' is larger than the data: {batch_size} > {examples} usable examples, and "
            "nothing was sent. Use a smaller one, or more data."
        )


def _check(task: Any, paths: list[Path], say: Callable[[str], None]) -> int:
    if not paths:
        return 0
    report = task.check(paths)
    for sentence in report.problems.sentences():
        say(sentence)
    if not report.usable:
        raise DataError(
            "Nothing usable is in the data, and nothing was sent. See what is wrong with it: trainbox check."
        )
    return int(report.usable)
