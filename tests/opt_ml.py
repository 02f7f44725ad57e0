"""A folder laid out as SageMaker lays out /opt/ml, and the container program run in it as a process."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TRAINING_SECONDS = 560
QUICK = {"epochs": "2", "seed": "7"}


def quick(task: str) -> dict[str, str]:
    """Return the hyperparameters of a training that takes seconds: a task may add to them in its folder of tests."""
    own = Path(__file__).parent / "tasks" / task / "quick.json"
    return QUICK | (json.loads(own.read_text()) if own.is_file() else {})


@dataclass(frozen=True)
class TrainingFolder:
    """A folder laid out as SageMaker lays out /opt/ml, in which the container program is run as a process."""

    base: Path

    def prepare(self, channels: Mapping[str, Path], hyperparameters: Mapping[str, str]) -> "TrainingFolder":
        """Write input/config, and link each channel to its data."""
        config, data = self.base / "input/config", self.base / "input/data"
        config.mkdir(parents=True)
        data.mkdir(parents=True)
        for name, source in channels.items():
            (data / name).symlink_to(source)
        (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
        (config / "inputdataconfig.json").write_text(
            json.dumps(
                {
                    name: {
                        "TrainingInputMode": "File",
                        "S3DistributionType": "FullyReplicated",
                        "RecordWrapperType": "None",
                    }
                    for name in channels
                }
            )
        )
        (config / "resourceconfig.json").write_text(
            json.dumps({"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "lo"})
        )
        return self

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start the container program; the caller waits for it and ends it."""
        return subprocess.Popen(
            [sys.executable, "-m", "trainbox.container", *arguments],
            env={**os.environ, "SAGEMAKER_BASE_DIR": str(self.base)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run the container program to its end."""
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=TRAINING_SECONDS)
        finally:
            process.kill()
            process.wait()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    @property
    def model(self) -> Path:
        """The model folder."""
        return self.base / "model"

    @property
    def failure(self) -> str:
        """What stands in output/failure; empty where there is none."""
        path = self.base / "output/failure"
        return path.read_text() if path.exists() else ""


@dataclass(frozen=True)
class Trained:
    """One finished training: its task, the data it read, the folder it ran in and what the process said."""

    task: str
    data: Path
    folder: TrainingFolder
    process: "subprocess.CompletedProcess[str]"
    digest_before: str

    @property
    def manifest(self) -> dict:
        """The bundle's manifest."""
        return json.loads((self.folder.model / "manifest.json").read_text())


def tree_digest(folder: Path) -> str:
    """Digest every name, modification time and byte below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        digest.update(f"{path.relative_to(folder)} {path.stat().st_mtime_ns}\n".encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()
