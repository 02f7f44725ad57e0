import json
from collections.abc import Callable
from pathlib import Path

import pytest

from toy_task import register, write_data
from trainbox import cli
from trainbox.cli.train import named_channels
from trainbox.errors import ChannelError, RefusedInput, UsageError


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a few things in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.zip", "b.zip", "c.zip", "od=d.zip"):
        (tmp_path / name).write_bytes(b"PK")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "channels"),
    [
        (["a.zip"], {"train": "a.zip"}),
        (["a.zip", "b.zip", "c.zip"], {"train": "a.zip", "train-2": "b.zip", "train-3": "c.zip"}),
        (["validation=a.zip", "b.zip"], {"validation": "a.zip", "train": "b.zip"}),
        (["train=a.zip", "b.zip"], {"train": "a.zip", "train-2": "b.zip"}),
        (["train-2=a.zip", "b.zip", "c.zip"], {"train-2": "a.zip", "train": "b.zip", "train-3": "c.zip"}),
        (["od=d.zip"], {"train": "od=d.zip"}),
    ],
)
def test_paths_become_channels(files: Path, arguments: list[str], channels: dict[str, str]) -> None:
    assert named_channels(arguments) == {name: Path(path) for name, path in channels.items()}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["nowhere.zip"], ChannelError),
        (["train=nowhere.zip"], ChannelError),
        (["train=a.zip", "train=b.zip"], ChannelError),
        (["../x=a.zip"], ChannelError),
        (["=a.zip"], UsageError),
        (["train="], UsageError),
        (["s3://bucket/tub.zip"], ChannelError),
    ],
)
def test_what_is_no_channel_is_refused(files: Path, arguments: list[str], error: type[RefusedInput]) -> None:
    with pytest.raises(error):
        named_channels(arguments)


def test_a_dry_run_prints_the_job_and_runs_nothing(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(files.iterdir())
    arguments = ["-p", "epochs=3", "-p", "with_slide=true", "--name", "lap-1", "--dry-run"]
    assert cli.run(["train", "drive", "a.zip", "validation=b.zip", *arguments]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": "lap-1",
        "platform": "local",
        "task": "drive",
        "channels": {"validation": "b.zip", "train": "a.zip"},
        "hyperparameters": {"task": "drive", "epochs": "3", "with_slide": "true"},
        "out": "lap-1",
    }
    assert sorted(files.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-p", "epoch=3"], "Unknown hyperparameter 'epoch'. Did you mean 'epochs'?"),
        (["-p", "epochs=0"], "Hyperparameter 'epochs'"),
        (["-p", "epochs"], "A hyperparameter must be NAME=VALUE. Received: 'epochs'."),
        (["-p", "epochs=1", "-p", "epochs=2"], "Hyperparameter 'epochs' is given twice"),
        (["--on", "moon"], "Unknown platform 'moon'. Available: local, docker, sagemaker."),
        (["--image", "x:1"], "--image is for --on docker and --on sagemaker. Received: --on local."),
        (["--name", "a b"], "Job name 'a b' is not allowed."),
        (["--out", "a.zip"], "a.zip exists already."),
        (["--out", "a.zip", "--dry-run"], "a.zip exists already."),
        (["--out", "a.zip", "--overwrite"], "a.zip is no model folder"),
    ],
)
def test_refused_on_the_desk_before_anything_is_started(
    files: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(files.iterdir())
    assert cli.run(["train", "drive", "a.zip", *arguments]) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.err.count("\n") == 1
    assert sorted(files.iterdir()) == before


@pytest.fixture
def toy(tmp_path: Path, program: Callable[..., object]) -> Path:
    """A data set of the toy task, which the processes of the test know."""
    return write_data(tmp_path / "data")


def test_a_failed_job_says_why_once(tmp_path: Path, program: Callable[..., object]) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/notes.txt").write_text("no records here")
    answer = program("train", "drive", "notes", "--out", "out")
    assert answer.returncode == 2
    lines = answer.stderr.splitlines()
    assert lines[-1] not in lines[:-1]
    assert "Traceback" not in answer.stderr
    assert answer.stdout == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_train_evaluate_export(tmp_path: Path, toy: Path, program: Callable[..., object]) -> None:
    trained = program("train", "toy", "data", "-p", "epochs=2", "--out", "out", "--json")
    assert trained.returncode == 0, trained.stderr
    said = json.loads(trained.stdout)
    assert said["bundle"] == "out"
    assert said["metrics"]["files"]["model.tflite"] == {"mae": 0.5}
    scores = program("evaluate", "out", "data", "--json")
    assert json.loads(scores.stdout)["model.keras"]["mae"] == 0.5
    table = program("evaluate", "out", "data").stdout
    assert "by bin left" in table
    assert "0.2500" in table
    exported = program("export", "out", "--to", "saved-model", "--out", "deep/er", "--json")
    assert exported.returncode == 0, exported.stderr
    assert json.loads(exported.stdout)["proof"]["largest_difference"] < 1e-3
    assert (tmp_path / "deep/er/saved_model.pb").exists()
    again = program("export", "out", "--to", "saved-model", "--out", "deep/er")
    assert again.returncode == 2
    assert "exists already" in again.stderr
    assert program("export", "out", "--to", "saved-model", "--out", "deep/er", "--overwrite").returncode == 0


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Run the command line as a process in a folder of its own."""
    import subprocess
    import sys

    monkeypatch.setenv("PYTHONPATH", register(tmp_path / "site"))

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "trainbox", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    return run
