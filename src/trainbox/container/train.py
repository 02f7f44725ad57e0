"""One training job, top to bottom: what the contract says goes in, a proved bundle comes out."""

import contextlib
import os
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainbox import tasks
from trainbox.container import packages
from trainbox.container.contract import channels, checkpoints, cluster, hyperparameters
from trainbox.container.contract.paths import Paths, refuse_unwritable
from trainbox.container.interruption import Stop
from trainbox.errors import HyperparameterError, TrainingFailed
from trainbox.training.config import TrainingConfig
from trainbox.training.device import prepare
from trainbox.training.progress import metric_line

if TYPE_CHECKING:
    from trainbox.training.fit import History
    from trainbox.training.recipe import Recipe

Say = Callable[[str], None]

SECONDS_FOR_SCORES = 75.0
SECONDS_FOR_REPORT = 45.0
"""What must be left of the time between SIGTERM and SIGKILL for scoring the files, and for the report, to be begun."""


@dataclass(frozen=True)
class Job:
    """What the contract asks for, read and checked before anything is spent."""

    task: tasks.Task
    config: TrainingConfig
    channels: Mapping[str, Path]
    checkpoints: Path | None
    received: bytes


def train(paths: Paths, stop: Stop, say: Say = print) -> None:
    """Run the job below ``paths`` to a proved bundle in the model folder.

    Raises RefusedInput before anything is spent, Interrupted where there is nothing to save yet, and any other
    TrainboxError where it fails. Told to stop while it trains or later, it finishes the best model so far.
    """
    with _scratch() as scratch:
        with stop.at_once():
            job = read_job(paths, say)
            for folder in filter(None, (paths.model, job.checkpoints)):
                refuse_unwritable(folder, folder, "Nothing was trained.")
            datasets = job.task.datasets(job.config, job.channels, scratch)
            say_what_was_read(datasets, say)
            refuse_oversized_batch(job.config, datasets)
            device = prepare(job.config.precision, job.config.seed, say)
            job = replace(job, config=job.task.completed(job.config, datasets, say))
            with device.arithmetic():
                recipe = job.task.recipe(job.config, datasets)
            for remark in recipe.remarks:
                say(remark)
        from trainbox.export.bundle import write_bundle
        from trainbox.training.fit import fit

        history = fit(
            recipe, job.config, checkpoints=job.checkpoints, logs=paths.output / "tensorboard", stop=stop, say=say
        )
        refuse_untrained(history, job.checkpoints, stop)
        say(f"Trained {len(history.epochs)} epochs in {history.seconds:.0f} s ({history.stopped}); writing the model.")
        say(f"Of the training, {100 * history.data_wait:.1f} % of the time was spent waiting for data.")
        network = job.task.deployed(job.config, recipe.network)
        files = job.task.deployables(job.config, datasets, network)
        adaptation: Mapping[str, Any] = {}
        if not stop.requested:
            files, adaptation = job.task.adapted(job.config, datasets, recipe, files, afterwards(job, stop, say), say)
        write_bundle(
            network,
            files,
            {**manifest(job, datasets, recipe, history), "adaptation": adaptation},
            paths.model,
            lambda folder, document: finish(job, datasets, history, stop, say, folder, document),
        )
        say("The model is complete, and every file of it is proved.")


def read_job(paths: Paths, say: Say) -> Job:
    """Read the contract and check it; raise RefusedInput, one line naming what is wrong."""
    machines = cluster.read(paths)
    cluster.refuse_several(machines)
    values = hyperparameters.read(paths)
    data = channels.read(paths)
    task = tasks.get(str(values["task"])) if values.get("task") else tasks.recognise(data)
    values, unused = hyperparameters.without_reserved(values, task.config.model_fields)
    if unused:
        say(f"Hyperparameters of SageMaker's clients, not used here: {', '.join(unused)}.")
    config = task.config.parse({**values, "task": task.name})
    packages.require_training()
    say(f"Task '{task.name}' on channels {', '.join(data)}.")
    trial = os.environ.get("TRAINING_JOB_NAME", "") if hyperparameters.OF_A_TRIAL in unused else ""
    return Job(task, config, data, checkpoints.read(paths, trial), hyperparameters.as_received(paths))


def say_what_was_read(datasets: tasks.Datasets, say: Say) -> None:
    """Put what will be trained on, and all that was left out, into the log."""
    say(f"train_examples={len(datasets.train)}; validation_examples={len(datasets.validation)};")
    for sentence in datasets.problems.sentences():
        say(sentence)


def refuse_oversized_batch(config: TrainingConfig, datasets: tasks.Datasets) -> None:
    """Raise HyperparameterError where not even one batch can be filled."""
    # A task may leave the size open until the data are read, and then fits it to them.
    if (config.batch_size or 0) > len(datasets.train):
        raise HyperparameterError(
            f"Hyperparameter 'batch_size' is larger than the data: {config.batch_size} > {len(datasets.train)} "
            f"training examples. Use at most {len(datasets.train)}, or more data."
        )


def refuse_untrained(history: "History", kept: Path | None, stop: Stop) -> None:
    """Raise TrainingFailed where training was stopped before any epoch was validated, or nobody waits for it."""
    if stop.orphaned:
        raise TrainingFailed("The program that started this run is gone.")
    if not history.epochs:
        rest = f"Its checkpoint in {kept} resumes it." if kept else "No checkpoint was asked for."
        raise TrainingFailed(f"Told to stop before the first epoch ended: there is no model to save. {rest}")


def afterwards(job: Job, stop: Stop, say: Say) -> tasks.Afterwards:
    """Return what trains on behind the training proper, with checkpoints of its own, until it is told to stop."""
    from trainbox.training.fit import fit
    from trainbox.training.run import Interrupted

    def look() -> None:
        if stop.requested:
            raise Interrupted

    def train_on(recipe: "Recipe", config: TrainingConfig, name: str) -> "History":
        look()
        kept = job.checkpoints / name if job.checkpoints else None
        history = fit(recipe, config, checkpoints=kept, logs=None, stop=stop, say=say)
        look()
        return history

    return tasks.Afterwards(train_on, look)


def manifest(job: Job, datasets: tasks.Datasets, recipe: "Recipe", history: "History") -> dict[str, Any]:
    """Return what a bundle says about its making, but for the files, their proofs and the scores."""
    return {
        "task": job.task.name,
        "labels": list(datasets.labels),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "job": {"name": os.environ.get("TRAINING_JOB_NAME"), "arn": os.environ.get("TRAINING_JOB_ARN")},
        "hyperparameters": job.config.model_dump(mode="json"),
        "data": {
            **datasets.facts,
            "fingerprint": datasets.fingerprint,
            "channels": sorted(job.channels),
            "train_examples": len(datasets.train),
            "validation_examples": len(datasets.validation),
            "start": list(recipe.remarks),
        },
        "network": dict(recipe.facts),
        "problems": datasets.problems.as_dict(),
        "history": asdict(history),
        "versions": packages.versions(),
        "metrics": {},
    }


def finish(
    job: Job, datasets: tasks.Datasets, history: "History", stop: Stop, say: Say, folder: Path, document: dict[str, Any]
) -> dict[str, str | bytes]:
    """Score the proved files in ``folder`` into the manifest; return the files that stand beside them.

    Told to stop, it leaves out what there may be no time for: the model is worth more than words about it.
    """
    files: dict[str, str | bytes] = {"hyperparameters.json": job.received, **job.task.further_files(datasets)}
    if stop.seconds_left < SECONDS_FOR_SCORES:
        say("Warning: told to stop, so the files are proved but not scored, and there is no report.")
        return files
    document["metrics"] = job.task.scores(job.config, datasets, {name: folder / name for name in document["models"]})
    for line in job.task.summary_lines(document["metrics"]):
        say(line)
    if measured := tasks.measured(job.task, document["metrics"]):
        say(metric_line(measured))
    if stop.seconds_left < SECONDS_FOR_REPORT:
        say("Warning: told to stop, so there is no report.")
        return files
    try:
        files["report.html"] = job.task.report(folder, document, datasets, history)
    except Exception as problem:
        # Hours of training are not thrown away for a page about them.
        traceback.print_exc()
        say(f"Warning: the report could not be made ({type(problem).__name__}); the model is complete without it.")
    return files


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """Hold a folder for what only this run needs, outside of all that the platform copies away.

    It is the folder for temporary files too: libraries leave some to a clean-up at exit that a killed run never sees.
    """
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="trainbox-", ignore_cleanup_errors=True) as folder:
        tempfile.tempdir = folder
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = before
