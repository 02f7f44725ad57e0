"""The task ``detect``: object detectors, from annotated pictures. Loads without TensorFlow: work is imported late."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainbox.data.problems import Problems
from trainbox.tasks import Afterwards, CheckReport, Datasets, Service, Workload

if TYPE_CHECKING:
    import keras

    from trainbox.export.bundle import Bundle, Deployable
    from trainbox.tasks.detect.config import DetectConfig
    from trainbox.tasks.detect.predict import DetectPredictor
    from trainbox.training.fit import History
    from trainbox.training.recipe import Recipe


class DetectTask:
    """Trains a detector that boxes and names what it sees. See ``trainbox.tasks.Task`` for what each method is."""

    name = "detect"
    summary = "an object detector for phones and robots, from annotated pictures"
    instance_type = "ml.m5.4xlarge"
    watched = "val_mAP"
    logged: tuple[str, ...] = ("val_mAP", "val_mAP50")
    measures: Mapping[str, str] = {"mAP": "maximize", "mAP50": "maximize"}

    @property
    def config(self) -> "type[DetectConfig]":
        """The hyperparameters; loaded when asked for, since serving asks for none."""
        from trainbox.tasks.detect.config import DetectConfig

        return DetectConfig

    def recognises(self, channels: Mapping[str, Path]) -> bool:
        """Tell whether there are annotated pictures in any channel but the checkpoint's."""
        from trainbox.tasks.detect.datasets import CHECKPOINT
        from trainbox.tasks.detect.reading import looks_like_detection

        return looks_like_detection([path for name, path in channels.items() if name != CHECKPOINT])

    def write_demo(self, folder: Path, seed: int, size: int | None) -> str:
        """Write ``size`` pictures of shapes on textures."""
        from trainbox.tasks.detect.demo import DEFAULT_IMAGES, write_demo

        return write_demo(folder, seed, size or DEFAULT_IMAGES, scars=True)

    def check(self, paths: Sequence[Path], *, data_format: str | None = None, sheet: Path | None = None) -> CheckReport:
        """Read annotations as training would, every picture included."""
        from trainbox.tasks.detect.check import check

        return check(paths, data_format=data_format, sheet=sheet)

    def read_by_check(self, channels: Sequence[str]) -> Sequence[str]:
        """Return all channels but the checkpoint's."""
        from trainbox.tasks.detect.datasets import CHECKPOINT

        return [name for name in channels if name != CHECKPOINT]

    def workload(self, config: "DetectConfig", examples: int) -> Workload:
        """Estimate what training will ask of a machine, from what was measured."""
        from trainbox.tasks.detect.workload import workload

        return workload(config, examples)

    def convert(self, paths: Sequence[Path], folder: Path, problems: Problems, data_format: str | None) -> str:
        """Write annotated pictures as TFRecords with a label map."""
        from trainbox.tasks.detect.convert import convert, said

        return said(convert(paths, folder, problems, data_format), folder)

    def datasets(self, config: "DetectConfig", channels: Mapping[str, Path], scratch: Path) -> Datasets:
        """Read, split and decode what the channels hold."""
        from trainbox.tasks.detect.datasets import read_datasets

        return read_datasets(config, channels, scratch)

    def completed(self, config: "DetectConfig", datasets: Any, say: Callable[[str], None]) -> "DetectConfig":
        """Return the hyperparameters with those left open taken from pipeline.config, the data and the machine."""
        from trainbox.tasks.detect.completion import completed

        return completed(config, datasets, say)

    def recipe(self, config: "DetectConfig", datasets: Any) -> "Recipe":
        """Build the network, from a pre-trained one where there is one."""
        from trainbox.tasks.detect.recipe import recipe

        return recipe(config, datasets)

    def network(self, manifest: Mapping[str, Any]) -> "keras.Model":
        """Build the network as devices load it, arrays still to be read into it."""
        from trainbox.tasks.detect.deploying import network_of

        return network_of(manifest)

    def deployed(self, config: "DetectConfig", network: "keras.Model") -> "keras.Model":
        """Return the network with scores in place of logits."""
        from trainbox.tasks.detect.deploying import deployed

        return deployed(network)

    def deployables(self, config: "DetectConfig", datasets: Any, network: "keras.Model") -> "Sequence[Deployable]":
        """Return the files that phones and robots load."""
        from trainbox.tasks.detect.deploying import deployables

        return deployables(config, datasets, network)

    def adapted(
        self,
        config: "DetectConfig",
        datasets: Any,
        recipe: "Recipe",
        files: "Sequence[Deployable]",
        afterwards: Afterwards,
        say: Callable[[str], None],
    ) -> "tuple[Sequence[Deployable], Mapping[str, Any]]":
        """Return the files, the integer one trained on for where rounding costs it too much."""
        from trainbox.tasks.detect.integers import adapted

        return adapted(config, datasets, recipe, files, afterwards, say)

    def further_files(self, datasets: Any) -> Mapping[str, str]:
        """Return the lists of labels."""
        from trainbox.tasks.detect.deploying import further_files

        return further_files(datasets.labels)

    def evaluate(self, bundle: "Bundle", paths: Sequence[Path], say: Callable[[str], None]) -> Mapping[str, Any]:
        """Score each model file on annotated pictures; ``{file name: scores}``."""
        from trainbox.tasks.detect.datasets import read_examples
        from trainbox.tasks.detect.deploying import ending_of_manifest, network_of, sizes_of_manifest, spec_of_manifest
        from trainbox.tasks.detect.scoring import open_files, score_files

        config = self.config.parse(bundle.manifest["hyperparameters"])
        labels, spec, problems = bundle.manifest["labels"], spec_of_manifest(bundle.manifest), Problems()
        with tempfile.TemporaryDirectory(prefix="trainbox-", ignore_cleanup_errors=True) as scratch:
            examples = read_examples(config, labels, spec.size, paths, Path(scratch), problems)
            files = {name: bundle.file(name) for name in bundle.manifest["models"]}
            models = open_files(files, network_of(bundle.manifest), trusted=False)
            ending, sizes = ending_of_manifest(bundle.manifest), sizes_of_manifest(bundle.manifest)
            scores = score_files(models, examples, labels, ending, sizes)
        for sentence in (*problems.sentences(), *scores["warnings"]):
            say(sentence)
        return dict(scores["files"])

    def scores(self, config: "DetectConfig", datasets: Any, files: Mapping[str, Path]) -> Mapping[str, Any]:
        """Score the files just written on the validation pictures."""
        from trainbox.tasks.detect.datasets import quantized_size
        from trainbox.tasks.detect.deploying import ending_of, spec_of
        from trainbox.tasks.detect.scoring import QUANTIZED_FILE, open_files, score_files

        models = open_files(files, None, trusted=True)
        ending = ending_of(config, spec_of(config, datasets), datasets.labels)
        sizes = {QUANTIZED_FILE: quantized_size(config, datasets.size)}
        return score_files(models, datasets.validation, datasets.labels, ending, sizes)

    def summary_lines(self, metrics: Mapping[str, Any]) -> Sequence[str]:
        """Say the scores in plain sentences."""
        from trainbox.tasks.detect.sentences import summary_lines

        return summary_lines(metrics)

    def predictor(self, bundle: "Bundle", threshold: float | None = None) -> "DetectPredictor":
        """Open a bundle's detector to be asked about pictures."""
        from trainbox.tasks.detect.predict import open_predictor

        return open_predictor(bundle, threshold)

    def service(self) -> Service:
        """Say how detectors are served."""
        from trainbox.tasks.detect.service import service

        return service()

    def report(self, bundle_folder: Path, manifest: Mapping[str, Any], datasets: Any, history: "History") -> str:
        """Return the report of a detector as one HTML page."""
        from trainbox.tasks.detect.report import render

        return render(bundle_folder, manifest, datasets, history)


task = DetectTask()
