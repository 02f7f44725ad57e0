"""Training on with the rounding of an integer file, where that file finds clearly less than the network unrounded."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from trainbox.errors import TrainingFailed
from trainbox.export.bundle import Deployable, write_files
from trainbox.export.keras_native import float32_copy
from trainbox.export.runtimes import KerasModel, OpenModel
from trainbox.tasks import GoOn
from trainbox.tasks.detect import metrics
from trainbox.tasks.detect.config import DetectConfig
from trainbox.tasks.detect.deploying import deployed, quantized_file, spec_of
from trainbox.tasks.detect.networks.folding import fold
from trainbox.tasks.detect.recipe import LEARNING_RATE, continued
from trainbox.tasks.detect.scoring import TOLERATED_LOSS, answer_all, open_files
from trainbox.training.recipe import Recipe
from trainbox.training.rounding import rounded_copy

if TYPE_CHECKING:
    from trainbox.tasks.detect.datasets import DetectDatasets

ROUNDS = 3
EPOCHS_OF_A_ROUND = 3
PACE = 0.1
"""What the peak learning rate is multiplied by: the network is to move a little, to where rounding matters less."""


@dataclass
class Integers:
    """The integer file of a trained detector, and what it scores on the validation pictures."""

    config: DetectConfig
    datasets: "DetectDatasets"
    float_mAP50: float
    file: Deployable
    lost: list[float] = field(default_factory=list)

    def take(self, file: Deployable, network: keras.Model) -> None:
        """Score a file, and keep it where it loses less of mAP50 than those before it."""
        written, mAP50 = _written(file, network, self.datasets)
        lost = self.float_mAP50 - (mAP50 or 0.0)
        if lost < min(self.lost, default=float("inf")):
            self.file = written
        self.lost.append(lost)

    @property
    def good_enough(self) -> bool:
        """Whether the best so far loses no more than is tolerated."""
        return min(self.lost) <= TOLERATED_LOSS


def adapted(
    config: DetectConfig,
    datasets: "DetectDatasets",
    recipe: Recipe,
    files: Sequence[Deployable],
    go_on: GoOn,
    say: Callable[[str], None],
) -> tuple[Sequence[Deployable], Mapping[str, Any]]:
    """Return the files of a trained detector, the integer one adapted where it lost too much, and what was done to it.

    It is measured as it is written. Where it loses more than ``TOLERATED_LOSS`` of mAP50, rounds of training follow in
    which the network is rounded as the file is, until it does not or there were ``ROUNDS`` of them; the other files
    stay as they are. What was done is for the manifest, nothing where nothing was.
    """
    file = next((one for one in files if one.kind == "tflite_int8"), None)
    network = deployed(recipe.network)
    float_mAP50 = _mAP50_of_network(file.network or network, file, datasets) if file else None
    if file is None or float_mAP50 is None:
        return files, {}
    integers = Integers(config, datasets, float_mAP50, file)
    integers.take(file, network)
    if integers.good_enough:
        return _with(files, integers.file), {}
    say(f"Rounded to 8 bits it loses {_points(integers.lost[0])}: training goes on with the rounding in it.")
    _train_rounded(integers, recipe, go_on, say)
    facts = {"mAP50_lost": integers.lost, "epochs_of_a_round": EPOCHS_OF_A_ROUND}
    return _with(files, integers.file), facts


def _with(files: Sequence[Deployable], file: Deployable) -> list[Deployable]:
    """Return files with the one of that name in its place."""
    return [file if one.file == file.file else one for one in files]


def _train_rounded(integers: Integers, recipe: Recipe, go_on: GoOn, say: Callable[[str], None]) -> None:
    config, datasets = integers.config, integers.datasets
    spec = spec_of(config, datasets)
    rounded = rounded_copy(fold(recipe.network, spec) if spec.batch_norm else recipe.network)
    rate = PACE * (config.learning_rate or LEARNING_RATE)
    shorter = config.model_copy(update={"epochs": EPOCHS_OF_A_ROUND, "learning_rate": rate})
    for number in range(1, ROUNDS + 1):
        name = f"rounded-{number}"
        try:
            history = go_on(continued(recipe, rounded, config, datasets, name), shorter, name)
        except TrainingFailed as problem:
            say(f"Warning: {problem} The quantized file is the best of those before.")
            return
        if history.stopped == "interrupted":
            return
        integers.take(quantized_file(config, datasets, rounded, apart=True), deployed(recipe.network))
        say(f"After {EPOCHS_OF_A_ROUND * number} epochs with the rounding it loses {_points(integers.lost[-1])}.")
        if integers.good_enough:
            return
    say(f"It was not trained away: the quantized file loses {_points(min(integers.lost))}.")


def _mAP50_of_network(network: keras.Model, file: Deployable, datasets: "DetectDatasets") -> float | None:
    """Return what a network scores, unrounded, on the validation pictures as ``file`` sees them."""
    return _mAP50(KerasModel(float32_copy(network)), file, datasets)


def _written(file: Deployable, network: keras.Model, datasets: "DetectDatasets") -> tuple[Deployable, float | None]:
    """Return a file of ``network``, or of its own, as it is once written, and its score on the validation pictures."""
    with tempfile.TemporaryDirectory(prefix="trainbox-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / file.file
        write_files(network, [file], Path(folder))
        model = open_files({file.file: path}, None, trusted=True)[file.file]
        return replace(file, content=path.read_bytes()), _mAP50(model, file, datasets)


def _mAP50(model: OpenModel, file: Deployable, datasets: "DetectDatasets") -> float | None:
    """Return None where no validation picture holds a box."""
    _, height, width, _ = file.inputs["image"].shape
    found = answer_all({"": model}, datasets.validation, file.ending, {"": (height, width)})[""]
    return metrics.score(datasets.validation.truths(), found, datasets.labels)["mAP50"]


def _points(lost: float) -> str:
    return f"{100 * lost:.1f} points of mAP50"
