from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from tasks.detect.test_completion import PIPELINE
from trainbox.errors import TrainingFailed
from trainbox.export.bundle import Deployable, write_bundle
from trainbox.tasks import Afterwards
from trainbox.tasks.detect import integers
from trainbox.tasks.detect.completion import completed
from trainbox.tasks.detect.config import DetectConfig
from trainbox.tasks.detect.datasets import DetectDatasets, read_datasets
from trainbox.tasks.detect.deploying import deployables, deployed
from trainbox.tasks.detect.integers import Integers
from trainbox.tasks.detect.recipe import LEARNING_RATE, continued, recipe
from trainbox.tasks.detect.scoring import QUANTIZED_FILE
from trainbox.training.config import TrainingConfig
from trainbox.training.fit import History, fit
from trainbox.training.products import Product
from trainbox.training.recipe import Recipe
from trainbox.training.run import Interrupted

NARROW = PIPELINE.replace('type: "ssd_mobilenet_v2"', 'type: "ssd_mobilenet_v2" depth_multiplier: 0.25')
INTEGERS = {
    "epochs": 9,
    "quantize": True,
    "inference_type": "QUANTIZED_UINT8",
    "image_size": 96,
    "workers": 0,
    "batch_size": 4,
}


class Job:
    """A detector trained from scratch, its batch norm not folded, and all that is said and trained on afterwards."""

    def __init__(self, folder: Path, make: SimpleNamespace) -> None:
        make.voc(folder / "data", 12)
        make.put(folder / "data/pipeline.config", NARROW)
        (folder / "scratch").mkdir()
        config = DetectConfig.parse(INTEGERS)
        self.datasets: DetectDatasets = read_datasets(config, {"testing": folder / "data"}, folder / "scratch")
        self.config: DetectConfig = completed(config, self.datasets, print)
        self.recipe = recipe(self.config, self.datasets)
        self.network = deployed(self.recipe.network)
        self.files = deployables(self.config, self.datasets, self.network)
        self.said: list[str] = []
        self.rounds: list[tuple[TrainingConfig, str]] = []

    def anew(self, **values: Any) -> "Job":
        """Return the same training with nothing said yet and, where given, other hyperparameters."""
        other = copy(self)
        other.config = self.config.model_copy(update=values)
        other.files = deployables(other.config, self.datasets, self.network)
        other.said, other.rounds = [], []
        return other

    def adapted(
        self, train: Callable[[Recipe], Any] = lambda recipe: None, look: Callable[[], None] = lambda: None
    ) -> tuple[Sequence[Deployable], Any]:
        def noted(recipe: Recipe, config: TrainingConfig, name: str) -> History:
            self.rounds.append((config, name))
            return train(recipe) or History()

        return integers.adapted(
            self.config, self.datasets, self.recipe, self.files, Afterwards(noted, look), self.said.append
        )


@pytest.fixture(scope="module")
def trained(make: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Job:
    return Job(tmp_path_factory.mktemp("job"), make)


@pytest.fixture
def job(trained: Job) -> Job:
    return trained.anew()


@pytest.fixture
def lose(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the network score .9 and its files, one after the other, so much less."""

    def of_files(*lost: float, unrounded: float | None = 0.9) -> None:
        scores = iter((unrounded, *(0.9 - one for one in lost)))
        monkeypatch.setattr(Integers, "mAP50", lambda *_: next(scores))
        monkeypatch.setattr(integers, "write_files", lambda network, files, folder: (folder / QUANTIZED_FILE).touch())
        monkeypatch.setattr(integers, "open_model", lambda *_, **__: None)

    return of_files


def test_its_1x1_convolutions_are_trained_as_products_and_exported_as_convolutions(job: Job) -> None:
    (trained,) = (layer for layer in job.recipe.model.layers if isinstance(layer, keras.Model))
    assert sum(isinstance(layer, Product) for layer in trained.layers) > 20
    assert not any(isinstance(layer, Product) for layer in job.recipe.network.layers)


def test_a_file_that_loses_little_is_left_alone(job: Job, lose: Callable[..., None]) -> None:
    lose(0.009)
    files, facts = job.adapted()
    assert (files[:-1], files[-1].content, facts) == (job.files[:-1], b"", {})
    assert not job.said and not job.rounds


def test_rounds_follow_until_little_is_lost(job: Job, lose: Callable[..., None]) -> None:
    lose(0.05, 0.02, 0.004)
    files, facts = job.adapted()
    assert [name for _, name in job.rounds] == ["rounded-1", "rounded-2"]
    assert {config.learning_rate for config, _ in job.rounds} == {integers.PACE * LEARNING_RATE}
    assert {config.epochs for config, _ in job.rounds} == {integers.EPOCHS_OF_A_ROUND}
    assert facts["mAP50_lost"] == pytest.approx([0.05, 0.02, 0.004])
    assert [one for one in files if one.file != QUANTIZED_FILE] == job.files[:-1]
    assert files[-1].file == QUANTIZED_FILE and files[-1].network is not job.files[-1].network
    assert job.said == [
        "Rounded to 8 bits it loses 5.0 points of mAP50: training goes on with the rounding in it.",
        "After 3 epochs with the rounding it loses 2.0 points of mAP50.",
        "After 6 epochs with the rounding it loses 0.4 points of mAP50.",
    ]


def test_where_it_cannot_be_trained_away_the_best_is_kept(job: Job, lose: Callable[..., None]) -> None:
    lose(0.05, 0.06, 0.03, 0.04)
    seen: list[np.ndarray] = []

    def nudge(recipe: Recipe) -> None:
        layer = recipe.network.get_layer("BoxPredictor_0.ClassPredictor")
        layer.set_weights([array + 0.01 for array in layer.get_weights()])
        seen.append(layer.get_weights()[0])

    files, _ = job.adapted(nudge)
    assert len(job.rounds) == integers.ROUNDS
    assert job.said[-1] == "It was not trained away: the quantized file loses 3.0 points of mAP50."
    own = files[-1].network
    assert own is not None
    np.testing.assert_array_equal(own.get_layer("BoxPredictor_0.ClassPredictor").get_weights()[0], seen[1])


def test_told_to_stop_it_ends_with_what_there_is(job: Job, lose: Callable[..., None]) -> None:
    def stop(*_: Any) -> None:
        raise Interrupted

    lose(0.05)
    files, facts = job.adapted(stop)
    assert (files[-1].content, facts["mAP50_lost"]) == (b"", pytest.approx([0.05]))
    # While the network is measured there is no file yet.
    lose(0.05)
    assert job.adapted(look=stop) == (job.files, {})
    assert job.said[-2:] == ["Told to stop, so the quantized file stays as it is."] * 2


def test_a_stop_is_heeded_between_the_pictures_it_is_measured_on(job: Job) -> None:
    def stop() -> None:
        raise Interrupted

    one = Integers(job.config, job.datasets, job.recipe, job.files[-1], Afterwards(fit, stop), print)
    with pytest.raises(Interrupted):
        one.mAP50(lambda inputs: pytest.fail("asked"))


def test_rounds_are_no_longer_than_the_training(job: Job, lose: Callable[..., None]) -> None:
    short = job.anew(epochs=1)
    lose(0.05, 0.05)
    short.adapted()
    assert [(config.epochs, name) for config, name in short.rounds] == [(1, "rounded-1")]


def test_another_training_does_not_take_its_rounds_over(job: Job) -> None:
    longer = job.config.model_copy(update={"epochs": job.config.epochs + 1})
    marks = {continued(job.recipe, job.recipe.network, one, job.datasets).fingerprint for one in (job.config, longer)}
    assert len(marks) == 2


def test_a_round_that_fails_costs_the_round_only(job: Job, lose: Callable[..., None]) -> None:
    lose(0.05)

    def fail(recipe: Recipe) -> None:
        raise TrainingFailed("The loss became nan.")

    assert job.adapted(fail)[0][-1].content == b""
    assert job.said[-1] == "Warning: the quantized file was not trained on (TrainingFailed: The loss became nan.)."


def test_nothing_is_measured_where_there_is_no_integer_file_or_no_box(job: Job, lose: Callable[..., None]) -> None:
    floats = job.anew(inference_type="FLOAT")
    lose()
    assert floats.adapted() == (floats.files, {})
    lose(unrounded=None)
    assert job.adapted() == (job.files, {})


@pytest.mark.slow
def test_the_file_is_of_the_rounded_training_and_the_others_are_not(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A network that was never trained finds nothing, whatever is done: files are written and asked, the scores given.
    scores, measure = iter((0.9, 0.5, 0.7)), Integers.mAP50
    monkeypatch.setattr(Integers, "mAP50", lambda *arguments: (measure(*arguments), next(scores))[1])
    monkeypatch.setattr(integers, "ROUNDS", 1)
    before = job.recipe.network.get_weights()

    def train(recipe: Recipe) -> History:
        shorter = job.config.model_copy(update={"epochs": 1, "steps_per_epoch": 2, "learning_rate": 0.01})
        stop = SimpleNamespace(requested=False)
        return fit(recipe, shorter, checkpoints=tmp_path / "kept", logs=None, stop=stop, say=job.said.append)

    files, facts = job.adapted(train)
    assert facts["mAP50_lost"] == pytest.approx([0.4, 0.2]) and list((tmp_path / "kept").glob("*.npz"))
    for held, array in zip(before, job.recipe.network.get_weights(), strict=True):
        np.testing.assert_array_equal(held, array)
    own = files[-1].network
    assert own is not None and not [layer.name for layer in own.layers if "BatchNorm" in layer.name]
    bundle = write_bundle(job.network, files[-1:], {"labels": ["cat"]}, tmp_path / "model")
    assert bundle.file(QUANTIZED_FILE).read_bytes() == files[-1].content
    assert bundle.manifest["models"][QUANTIZED_FILE]["inputs"]["image"][1:3] == [96, 96]
