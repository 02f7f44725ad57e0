"""The task ``drive``: pilots for Donkeycars, from tubs. Loads without TensorFlow: work is imported when asked for."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainbox.data.problems import Problems
from trainbox.errors import UsageError
from trainbox.tasks import Afterwards, CheckReport, Datasets, Service, Workload

if TYPE_CHECKING:
    import keras

    from trainbox.export.bundle import Bundle, Deployable
    from trainbox.tasks.drive.config import DriveConfig
    from trainbox.tasks.drive.predict import DrivePredictor
    from trainbox.training.fit import History
    from trainbox.training.recipe import Recipe


class DriveTask:
    """Trains a pilot that steers as its driver did. See ``trainbox.tasks.Task`` for what each method is."""

    name = "drive"
    summary = "a pilot for a Donkeycar, from tubs of driving"
    instance_type = "ml.c5.2xlarge"
    watched = "val_loss"
    logged: tuple[str, ...] = ()
    measures: Mapping[str, str] = {"angle_r2": "maximize", "angle_mae": "minimize", "throttle_r2": "maximize"}

    @property
    def config(self) -> "type[DriveConfig]":
        """The hyperparameters; loaded when asked for, since serving asks for none."""
        from trainbox.tasks.drive.config import DriveConfig

        return DriveConfig

    def recognises(self, channels: Mapping[str, Path]) -> bool:
        """Tell whether there is a tub in any channel that is trained on."""
        from trainbox.tasks.drive.tubs import looks_like_tubs

        return looks_like_tubs([path for name, path in channels.items() if name.startswith("train")])

    def write_demo(self, folder: Path, seed: int, size: int | None) -> str:
        """Write a tub of ``size`` records, driven along a rendered track."""
        from trainbox.tasks.drive.demo import DEFAULT_RECORDS, write_tub

        return write_tub(folder, seed, size or DEFAULT_RECORDS)

    def check(self, paths: Sequence[Path], *, data_format: str | None = None, sheet: Path | None = None) -> CheckReport:
        """Read tubs as training would, every image included."""
        from trainbox.tasks.drive.check import check

        if data_format is not None or sheet is not None:
            raise UsageError("Tubs are of one format and have no boxes to draw. Leave out --data-format and --sheet.")
        return check(paths)

    def read_by_check(self, channels: Sequence[str]) -> Sequence[str]:
        """Return the channels that hold tubs."""
        from trainbox.tasks.drive.datasets import VALIDATION_CHANNELS

        return [name for name in channels if name.startswith("train") or name in VALIDATION_CHANNELS]

    def workload(self, config: "DriveConfig", examples: int) -> Workload:
        """Estimate what training will ask of a machine, from what was measured."""
        from trainbox.tasks.drive.workload import workload

        return workload(config, examples)

    def convert(self, paths: Sequence[Path], folder: Path, problems: Problems, data_format: str | None) -> str:
        """Refuse: nothing reads tubs from TFRecords."""
        raise UsageError("Tubs are not written as TFRecords: training reads tubs as they are.")

    def datasets(self, config: "DriveConfig", channels: Mapping[str, Path], scratch: Path) -> Datasets:
        """Read, pair, filter, decode and split what the channels hold."""
        from trainbox.tasks.drive.datasets import read_datasets

        return read_datasets(config, channels, scratch)

    def completed(self, config: "DriveConfig", datasets: Any, say: Callable[[str], None]) -> "DriveConfig":
        """Return the hyperparameters: none are left open."""
        return config

    def recipe(self, config: "DriveConfig", datasets: Any) -> "Recipe":
        """Build the pilot's network behind the augmentation."""
        from trainbox.tasks.drive.recipe import recipe

        return recipe(config, datasets)

    def network(self, manifest: Mapping[str, Any]) -> "keras.Model":
        """Build the network as the car loads it, arrays still to be read into it."""
        from trainbox.tasks.drive.pilots import build

        config = self.config.parse(manifest["hyperparameters"])
        return build(config.pilot, config.memory_length)

    def deployed(self, config: "DriveConfig", network: "keras.Model") -> "keras.Model":
        """Return the network as the car loads it: for the pilot robocars with its scaling folded in."""
        from trainbox.tasks.drive.pilots import deployed

        return deployed(network, config.pilot, config.memory_length)

    def deployables(self, config: "DriveConfig", datasets: Any, network: "keras.Model") -> "Sequence[Deployable]":
        """Return the files that Donkeycar 5.3 and 5.4 load."""
        from trainbox.tasks.drive.recipe import deployables

        return deployables(config, datasets)

    def adapted(
        self,
        config: "DriveConfig",
        datasets: Any,
        recipe: "Recipe",
        files: "Sequence[Deployable]",
        afterwards: Afterwards,
        say: Callable[[str], None],
    ) -> "tuple[Sequence[Deployable], Mapping[str, Any]]":
        """Return the files as they are: rounding costs a pilot next to nothing, and the proof says how much."""
        return files, {}

    def further_files(self, datasets: Any) -> Mapping[str, str]:
        """Return nothing: a pilot's files are all there is."""
        return {}

    def evaluate(self, bundle: "Bundle", paths: Sequence[Path], say: Callable[[str], None]) -> Mapping[str, Any]:
        """Score each model file on the records of tubs that training would have used; ``{file name: scores}``."""
        from trainbox.tasks.drive.datasets import read_examples
        from trainbox.tasks.drive.predict import config_of
        from trainbox.tasks.drive.scoring import open_files, score

        config, problems = config_of(bundle), Problems()
        with tempfile.TemporaryDirectory(prefix="trainbox-", ignore_cleanup_errors=True) as scratch:
            examples = read_examples(config, paths, Path(scratch), problems)
            models = open_files({name: bundle.file(name) for name in bundle.manifest["models"]}, config, trusted=False)
            means = bundle.manifest["data"]["train_mean"]
            scores = score(models, examples, means, config.seed)
        for sentence in (*problems.sentences(), *scores["warnings"]):
            say(sentence)
        return dict(scores["files"])

    def scores(self, config: "DriveConfig", datasets: Any, files: Mapping[str, Path]) -> Mapping[str, Any]:
        """Score the files just written on the validation examples."""
        from trainbox.tasks.drive.scoring import open_files, score

        models = open_files(files, config, trusted=True)
        return score(models, datasets.validation, datasets.facts["train_mean"], config.seed)

    def summary_lines(self, metrics: Mapping[str, Any]) -> Sequence[str]:
        """Say the scores in plain sentences."""
        from trainbox.tasks.drive.sentences import summary_lines

        return summary_lines(metrics)

    def service(self) -> Service:
        """Say how pilots are served."""
        from trainbox.tasks.drive.service import service

        return service()

    def report(self, bundle_folder: Path, manifest: Mapping[str, Any], datasets: Any, history: "History") -> str:
        """Return the report of a pilot as one HTML page."""
        from trainbox.tasks.drive.report import render

        return render(bundle_folder, manifest, datasets, history)

    def predictor(self, bundle: "Bundle", threshold: float | None = None) -> "DrivePredictor":
        """Open a bundle's pilot to be asked for commands."""
        from trainbox.tasks.drive.predict import DrivePredictor

        if threshold is not None:
            raise UsageError("A pilot's commands have no scores. Leave out --threshold.")
        return DrivePredictor(bundle)


task = DriveTask()
