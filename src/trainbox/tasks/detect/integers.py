"""Training on with the rounding of an integer file, where that file finds clearly less than the network unrounded."""

import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from trainbox.export.bundle import Deployable, write_files
from trainbox.export.keras_native import float32_copy
from trainbox.export.runtimes import KerasModel, OpenModel, open_model
from trainbox.tasks import Afterwards
from trainbox.tasks.detect import metrics
from trainbox.tasks.detect.config import DetectConfig
from trainbox.tasks.detect.deploying import deployed, spec_of
from trainbox.tasks.detect.networks import ssd
from trainbox.tasks.detect.networks.folding import fold
from trainbox.tasks.detect.recipe import LEARNING_RATE, continued
from trainbox.tasks.detect.scoring import TOLERATED_LOSS, answer_all
from trainbox.training.recipe import Recipe
from trainbox.training.rounding import rounded_copy, take_weights
from trainbox.training.run import Interrupted

if TYPE_CHECKING:
    from trainbox.tasks.detect.datasets import DetectDatasets

ROUNDS = 3
EPOCHS_OF_A_ROUND = 3
"""At most: the rounds together are no longer than the training itself."""
PACE = 0.1
"""What the peak learning rate is multiplied by: the network is to move a little, to where rounding matters less."""


def adapted(
    config: DetectConfig,
    datasets: "DetectDatasets",
    recipe: Recipe,
    files: Sequence[Deployable],
    afterwards: Afterwards,
    say: Callable[[str], None],
) -> tuple[Sequence[Deployable], Mapping[str, Any]]:
    """Return the files of a trained detector, the integer one adapted where it lost too much, and what was done to it.

    It is measured as it is written. Where it loses more than ``TOLERATED_LOSS`` of mAP50, rounds of training follow in
    which the network is rounded as the file is, until it does not or there were ``ROUNDS`` of them; the other files
    stay as they are. Told to stop, or where anything fails, the best file so far is kept.
    """
    file = next((one for one in files if one.kind == "tflite_int8"), None)
    if file is None:
        return files, {}
    integers = Integers(config, datasets, recipe, file, afterwards, say)
    try:
        integers.adapt()
    except Interrupted:
        say("Told to stop, so the quantized file stays as it is.")
    except Exception as problem:
        # Hours of training are not thrown away for one of its files: where it cannot be written, that is said next.
        traceback.print_exc()
        say(f"Warning: the quantized file was not trained on ({type(problem).__name__}: {problem}).")
    return [integers.best if one is file else one for one in files], integers.facts()


@dataclass
class Integers:
    """The integer file of a trained detector, the best so far, and what the files lost of mAP50 one after the other."""

    config: DetectConfig
    datasets: "DetectDatasets"
    recipe: Recipe
    file: Deployable
    afterwards: Afterwards
    say: Callable[[str], None]
    lost: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.best = self.file
        self.epochs = min(EPOCHS_OF_A_ROUND, self.config.epochs)

    def adapt(self) -> None:
        """Measure the file, and train on for it where it loses too much."""
        network = self.file.network or deployed(self.recipe.network)
        unrounded = self.mAP50(KerasModel(float32_copy(network)))
        if unrounded is None:
            return
        self.take(replace(self.file, network=network), unrounded)
        if self.good_enough():
            return
        self.say(f"Rounded to 8 bits it loses {_points(self.lost[0])}: training goes on with the rounding in it.")
        spec = spec_of(self.config, self.datasets)
        plain = ssd.build(replace(spec, batch_norm=False))
        take_weights(plain, fold(self.recipe.network, spec) if spec.batch_norm else self.recipe.network)
        for number in range(1, min(ROUNDS, self.config.epochs // self.epochs) + 1):
            self.train(plain, f"rounded-{number}")
            self.take(replace(self.file, network=self.at_its_size(plain)), unrounded)
            self.say(f"After {self.epochs * number} epochs with the rounding it loses {_points(self.lost[-1])}.")
            if self.good_enough():
                return
        self.say(f"It was not trained away: the quantized file loses {_points(min(self.lost))}.")

    def train(self, plain: keras.Model, name: str) -> None:
        """Train a network on for one round, rounded, with checkpoints of that name."""
        rounded = rounded_copy(plain)
        rate = PACE * (self.config.learning_rate or LEARNING_RATE)
        shorter = self.config.model_copy(update={"epochs": self.epochs, "learning_rate": rate})
        self.afterwards.train(continued(self.recipe, rounded, self.config, self.datasets), shorter, name)
        take_weights(plain, rounded)

    def at_its_size(self, plain: keras.Model) -> keras.Model:
        """Return a network as the file has it, for pictures of the file's size."""
        _, height, width, _ = self.file.inputs["image"].shape
        spec = spec_of(self.config, self.datasets).at((height, width))
        own = deployed(ssd.build(replace(spec, batch_norm=False)))
        take_weights(own, plain)
        return own

    def take(self, file: Deployable, unrounded: float) -> None:
        """Write a file of its own network and score it; keep it where it loses less than those before it."""
        self.afterwards.look()
        with tempfile.TemporaryDirectory(prefix="trainbox-", ignore_cleanup_errors=True) as folder:
            path = Path(folder) / file.file
            write_files(file.network, [file], Path(folder))
            lost = unrounded - (self.mAP50(open_model(path, trusted=True)) or 0.0)
            if lost < min(self.lost, default=float("inf")):
                # What it is made of is kept for the proof, the pictures that set its scales have done their work.
                self.best = replace(file, content=path.read_bytes(), representative=None)
        self.lost.append(lost)

    def mAP50(self, model: OpenModel) -> float | None:
        """Return what a model scores on the validation pictures, None where they hold no box."""
        _, height, width, _ = self.file.inputs["image"].shape
        validation = self.datasets.validation
        found = answer_all({"": model}, validation, self.file.ending, {"": (height, width)}, self.afterwards.look)[""]
        return metrics.score(validation.truths(), found, self.datasets.labels)["mAP50"]

    def good_enough(self) -> bool:
        """Whether the best so far loses no more than is tolerated."""
        return min(self.lost) <= TOLERATED_LOSS

    def facts(self) -> dict[str, Any]:
        """Return what was done, for the manifest: nothing where nothing had to be."""
        if not self.lost or self.lost[0] <= TOLERATED_LOSS:
            return {}
        return {"mAP50_lost": self.lost, "epochs_of_a_round": self.epochs}


def _points(lost: float) -> str:
    return f"{100 * lost:.1f} points of mAP50"
