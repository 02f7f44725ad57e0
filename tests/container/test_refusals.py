"""Every refused input: non-zero, one line, the same line in output/failure, inputs untouched, nothing written."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opt_ml import tree_digest
from trainbox.container.__main__ import run
from trainbox.container.interruption import Stop

FILE = {"TrainingInputMode": "File"}


def hyperparameters(**values: Any) -> Callable[[Any], None]:
    """Break the job by a hyperparameter."""
    return lambda tree: tree.write("hyperparameters.json", {"task": "drive", **values})


def document(name: str, content: Any) -> Callable[[Any], None]:
    """Break the job by a configuration file."""
    return lambda tree: tree.write(name, content)


def fifo(tree: Any) -> None:
    os.mkfifo(tree.paths.data / "piped")
    tree.channels(piped=FILE)


def empty(tree: Any) -> None:
    tree.channel("empty", {})
    tree.channels(empty=FILE)


def model_is_a_file(tree: Any) -> None:
    tree.paths.model.write_text("in the way")


def checkpoints_are_a_file(tree: Any) -> None:
    tree.write("checkpointconfig.json", {"LocalPath": "/opt/ml/checkpoints"})
    tree.paths.checkpoints.write_text("in the way")


BROKEN = {
    "unknown": (hyperparameters(epoch="3"), "Unknown hyperparameter 'epoch'. Did you mean 'epochs'?"),
    "nan": (hyperparameters(learning_rate="NaN"), "Hyperparameter 'learning_rate'"),
    "inf": (hyperparameters(learning_rate="inf"), "Hyperparameter 'learning_rate'"),
    "too big to be finite": (hyperparameters(learning_rate="1e999"), "Hyperparameter 'learning_rate'"),
    "negative rate": (hyperparameters(learning_rate="-0.1"), "Hyperparameter 'learning_rate'"),
    "zero epochs": (hyperparameters(epochs="0"), "Hyperparameter 'epochs'"),
    "half an epoch": (hyperparameters(epochs="1.5"), "Hyperparameter 'epochs'"),
    "not a boolean": (hyperparameters(quantize="maybe"), "Hyperparameter 'quantize'"),
    "path that leads out": (hyperparameters(transfer="../../etc/passwd"), "Hyperparameter 'transfer'"),
    "expression that does something": (hyperparameters(filter="__import__('os').getcwd()"), "Hyperparameter 'filter'"),
    "unknown task": (hyperparameters(task="fly"), "Unknown task 'fly'. Available: "),
    "duplicate key": (document("hyperparameters.json", '{"epochs": "1", "epochs": "2"}'), "hyperparameters.json"),
    "byte order mark": (document("hyperparameters.json", b"\xef\xbb\xbf{}"), "hyperparameters.json begins with"),
    "not UTF-8": (document("hyperparameters.json", b'{"filter": "\xff"}'), "hyperparameters.json is not UTF-8"),
    "NaN in JSON": (document("hyperparameters.json", '{"learning_rate": NaN}'), "hyperparameters.json"),
    "not an object": (document("hyperparameters.json", "[]"), "hyperparameters.json must hold a JSON object"),
    "not JSON": (document("hyperparameters.json", "{"), "hyperparameters.json is not a JSON document"),
    "missing channel": (document("inputdataconfig.json", {"test": FILE}), "Channel 'test' is missing"),
    "no channel": (document("inputdataconfig.json", {}), "No channels"),
    "pipe mode": (
        document("inputdataconfig.json", {"train": {"TrainingInputMode": "Pipe"}}),
        "Channel 'train' is in Pipe",
    ),
    "channel that leads out": (document("inputdataconfig.json", {"../train": FILE}), "Channel name '../train'"),
    "empty channel": (empty, "Channel 'empty' is empty"),
    "fifo": (fifo, "Channel 'piped' is a FIFO"),
    "two hosts": (
        document("resourceconfig.json", {"current_host": "algo-2", "hosts": ["algo-1", "algo-2"]}),
        "This version trains on one machine. Received 2 hosts: algo-1, algo-2.",
    ),
    "checkpoints elsewhere": (
        document("checkpointconfig.json", {"LocalPath": "/opt/ml/../x"}),
        "checkpointconfig.json",
    ),
    "unwritable model": (model_is_a_file, "cannot be written"),
    "unwritable checkpoints": (checkpoints_are_a_file, "cannot be written"),
    "nothing to recognise": (document("hyperparameters.json", {}), "The task cannot be told from the channels"),
}


@pytest.fixture
def job(tree: Any) -> Any:
    """A job that nothing is wrong with but that its one channel holds no tub."""
    tree.channel("train", {"notes.txt": b"nothing"})
    return tree.channels(train=FILE).write("hyperparameters.json", {"task": "drive"})


@pytest.mark.parametrize("name", BROKEN)
def test_refused_before_anything_is_spent(job: Any, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    spoil, says = BROKEN[name]
    spoil(job)
    before = tree_digest(job.paths.base / "input")
    status = run(["train"], Stop(), {"SAGEMAKER_BASE_DIR": str(job.paths.base)})
    said = capfd.readouterr().err
    assert status == 2
    assert says in said
    assert said.count("\n") == 1, "one line"
    assert job.paths.failure.read_text() == said.strip()
    assert len(said) <= 1025
    assert tree_digest(job.paths.base / "input") == before
    assert not job.paths.model.is_dir() or not list(job.paths.model.iterdir())


def test_a_failure_of_an_earlier_run_does_not_stay(job: Any, capfd: pytest.CaptureFixture[str]) -> None:
    job.paths.failure.parent.mkdir()
    job.paths.failure.write_text("an earlier cause")
    job.write("hyperparameters.json", {"epoch": "3", "task": "drive"})
    assert run(["train"], Stop(), {"SAGEMAKER_BASE_DIR": str(job.paths.base)}) == 2
    assert "Unknown hyperparameter" in job.paths.failure.read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["serve", "now"], "Received: serve now."),
        (["train", "now"], "Received: train now."),
        (["fly"], "Received: fly."),
        ([], "Received: no argument, and no "),
    ],
)
def test_what_else_may_be_asked_for(
    tmp_path: Path, arguments: list[str], says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments, Stop(), {"SAGEMAKER_BASE_DIR": str(tmp_path)}) == 2
    said = capfd.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_no_argument_means_train_where_a_job_lies(job: Any, capfd: pytest.CaptureFixture[str]) -> None:
    job.write("hyperparameters.json", {"epoch": "3", "task": "drive"})
    assert run([], Stop(), {"SAGEMAKER_BASE_DIR": str(job.paths.base)}) == 2
    assert "Unknown hyperparameter" in job.paths.failure.read_text()
