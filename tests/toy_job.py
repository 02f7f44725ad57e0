"""A job of the toy task, run by the real container program."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from opt_ml import TRAINING_SECONDS, TrainingFolder
from toy_task import write_data


class ToyJob:
    """A job of the toy task in a folder of its own, run by the real program in a process."""

    def __init__(self, base: Path, python_path: str) -> None:
        self.folder = TrainingFolder(base / "opt-ml")
        self.scratch = base / "scratch"
        self.scratch.mkdir()
        self.data = write_data(base / "data")
        self.environment = {"PYTHONPATH": python_path, "TMPDIR": str(self.scratch), "TRAINING_JOB_NAME": "toy-job"}

    def start(self, **hyperparameters: str) -> "subprocess.Popen[str]":
        """Start ``train`` on the toy's data."""
        if not (self.folder.base / "input").exists():
            self.folder.prepare({"train": self.data}, {"epochs": "2", **hyperparameters})
        return subprocess.Popen(
            [sys.executable, "-m", "trainbox.container", "train"],
            env={**os.environ, **self.environment, "SAGEMAKER_BASE_DIR": str(self.folder.base)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, **hyperparameters: str) -> "subprocess.CompletedProcess[str]":
        """Run ``train`` to its end."""
        return finished(self.start(**hyperparameters))


@contextlib.contextmanager
def ended(process: "subprocess.Popen[str]") -> Iterator["subprocess.Popen[str]"]:
    """Hold a process; whatever happens, it is over afterwards and its pipes are closed."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def finished(process: "subprocess.Popen[str]") -> "subprocess.CompletedProcess[str]":
    """Wait for a process to end by itself."""
    with ended(process):
        out, err = process.communicate(timeout=TRAINING_SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
