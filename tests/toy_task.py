"""A task as small as a task can be, to run the real container program on: it learns y = sum(x) from lines of numbers.

It can linger in any stage of a run, so that a signal can be sent exactly there.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from trainbox.data.problems import Problems
from trainbox.tasks import CheckReport, Datasets, Workload
from trainbox.training.config import TrainingConfig
from trainbox.training.search import Choice, Span

FILE = "lines.toy"
WIDTH = 4
Stage = Literal["nowhere", "reading", "recipe", "batch", "deployables", "adapted", "scores", "report"]


def register(folder: Path) -> str:
    """Write what an installed package would have into ``folder``; return a PYTHONPATH on which the task is found."""
    information = folder / "toy_task-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: toy_task\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[trainbox.tasks]\ntoy = toy_task:task\n")
    return f"{folder}:{Path(__file__).parent}"


def write_data(folder: Path, lines: int = 64) -> Path:
    """Write a data set with one line that is broken."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = np.random.default_rng(0).random((lines, WIDTH)).round(3)
    text = "".join(" ".join(map(str, row)) + "\n" for row in numbers)
    (folder / FILE).write_text(text + "1.0 not-a-number\n")
    return folder


class ToyConfig(TrainingConfig):
    """Hyperparameters of the toy."""

    searched: ClassVar[dict[str, Span | Choice]] = {"off": Span(-4, 4), "batch_size": Choice((4, 8))}

    batch_size: int = Field(8, ge=1, description="Examples per step.")
    linger: Stage = Field("nowhere", description="Where to linger.")
    linger_seconds: float = Field(1.5, description="How long.")
    fail_in: Stage = Field("nowhere", description="Where to fail.")
    off: float = Field(0.0, ge=-10, le=10, description="Its square is added to the score.")
    exit_in: Stage = Field("nowhere", description="Where to be killed, as by a lack of memory.")
    adapt: bool = Field(False, description="Whether to train on for one epoch more.")


@dataclass(frozen=True)
class Lines:
    """Examples: rows of numbers and their sums."""

    rows: np.ndarray
    config: ToyConfig

    def __len__(self) -> int:
        return len(self.rows)

    def describe(self, indices: np.ndarray) -> str:
        return f"lines {indices[:3].tolist()}"

    def batch(self, indices: np.ndarray, random: np.random.Generator | None) -> Any:
        if random is not None:
            _reach("batch", self.config, each_time=True)
        return {"x": self.rows[indices]}, {"y": self.rows[indices].sum(axis=1, keepdims=True)}, None


class ToyTask:
    """See ``trainbox.tasks.Task``."""

    name = "toy"
    summary = "sums"
    instance_type = "ml.m5.large"
    watched = "val_loss"
    logged = ()
    measures: ClassVar[dict[str, str]] = {"mae": "minimize"}
    config = ToyConfig

    def recognises(self, channels: Mapping[str, Path]) -> bool:
        return any((path / FILE).is_file() for path in channels.values())

    def write_demo(self, folder: Path, seed: int, size: int | None) -> str:
        return str(write_data(folder, size or 64))

    def check(self, paths: Sequence[Path]) -> CheckReport:
        return CheckReport(64, Problems())

    def read_by_check(self, channels: Sequence[str]) -> Sequence[str]:
        return channels

    def workload(self, config: ToyConfig, examples: int) -> Workload:
        return Workload((64, 128), (1000, 1000), (5, 10))

    def datasets(self, config: ToyConfig, channels: Mapping[str, Path], scratch: Path) -> Datasets:
        _reach("reading", config)
        problems = Problems()
        rows = []
        for number, line in enumerate((channels["train"] / FILE).read_text().splitlines(), 1):
            try:
                rows.append([float(word) for word in line.split()])
            except ValueError:
                problems.skip("line is not numbers", f"{FILE}: {number}")
        array = np.array(rows, np.float32)
        (scratch / "cache").write_bytes(array.tobytes())
        cut = len(array) // 4
        return Datasets(Lines(array[cut:], config), Lines(array[:cut], config), (), problems, "f", {"rows": len(array)})

    def completed(self, config: ToyConfig, datasets: Datasets, say: Callable[[str], None]) -> ToyConfig:
        return config

    def recipe(self, config: ToyConfig, datasets: Datasets) -> Any:
        _reach("recipe", config)
        import keras

        from trainbox.training.recipe import Recipe

        network = self.network({})
        x = keras.Input((WIDTH,), name="x")
        model = keras.Model({"x": x}, network(x))
        return Recipe(model, network, {"y": "mse"}, {"y": 1.0}, datasets.train, datasets.validation, "f")

    def network(self, manifest: Mapping[str, Any]) -> Any:
        import keras

        x = keras.Input((WIDTH,), name="x")
        return keras.Model(x, {"y": keras.layers.Dense(1, name="y")(x)})

    def deployed(self, config: ToyConfig, network: Any) -> Any:
        return network

    def deployables(self, config: ToyConfig, datasets: Datasets, network: Any) -> Any:
        _reach("deployables", config)
        from trainbox.export.bundle import Deployable

        inputs = {"x": datasets.validation.rows}
        return [Deployable("model.keras", "keras", inputs), Deployable("model.tflite", "tflite", inputs)]

    def adapted(self, config: ToyConfig, datasets: Datasets, recipe: Any, files: Any, afterwards: Any, say: Any) -> Any:
        from trainbox.training.run import Interrupted

        _reach("adapted", config)
        if not config.adapt:
            return files, {}
        try:
            history = afterwards.train(recipe, config.model_copy(update={"epochs": 1}), "again")
        except Interrupted:
            return files, {"stopped": "interrupted"}
        return files, {"epochs": len(history.epochs), "stopped": history.stopped}

    def further_files(self, datasets: Datasets) -> Mapping[str, str]:
        return {}

    def evaluate(self, bundle: Any, paths: Sequence[Path], say: Any) -> Mapping[str, Any]:
        return {name: {"mae": 0.5, "by bin": {"left": 0.25}} for name in bundle.manifest["models"]}

    def scores(self, config: ToyConfig, datasets: Datasets, files: Mapping[str, Path]) -> Mapping[str, Any]:
        _reach("scores", config)
        assert all(path.exists() for path in files.values())
        scores = {"mae": 0.5 + config.off**2}
        return {"scored_file": "model.tflite", "files": dict.fromkeys(files, scores)}

    def summary_lines(self, metrics: Mapping[str, Any]) -> Sequence[str]:
        return [f"Scored {', '.join(metrics['files'])}."]

    def report(self, bundle_folder: Path, manifest: Mapping[str, Any], datasets: Datasets, history: Any) -> str:
        _reach("report", config := ToyConfig.parse(manifest["hyperparameters"]))
        return f"<!doctype html><p>{config.epochs}"


def _reach(stage: Stage, config: ToyConfig, each_time: bool = False) -> None:
    if config.fail_in == stage:
        raise ZeroDivisionError(f"the toy failed\nin {stage}")
    if config.exit_in == stage:
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)
        # The first process of a container cannot kill itself: it ends as if it had been killed.
        os._exit(128 + signal.SIGKILL)
    if config.linger == stage:
        print(f"lingering in {stage}", flush=True)
        time.sleep(0.2 if each_time else config.linger_seconds)


task = ToyTask()
