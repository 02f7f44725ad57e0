import keras
import numpy as np
import pytest
from small import Pictures, StopAfter, config, recipe, weights

from trainbox.errors import TrainingFailed
from trainbox.training.fit import fit
from trainbox.training.guard import REMEMBERED, GuardedAdam
from trainbox.training.recipe import Batch


class Spoilt(Pictures):
    """Pictures of which some have a target that is no number."""

    def __init__(self, count: int, bad: set[int]) -> None:
        super().__init__(count)
        self._bad = bad

    def batch(self, indices: np.ndarray, random: np.random.Generator | None) -> Batch:
        inputs, targets, _ = super().batch(indices, random)
        targets["place"][np.isin(indices, list(self._bad))] = np.nan
        return inputs, targets, None


def trained(bad: set[int], **values) -> tuple[list[str], keras.Model, list[dict[str, float]]]:
    made = recipe()
    object.__setattr__(made, "train", Spoilt(96, bad))
    said: list[str] = []
    history = fit(made, config(**values), checkpoints=None, logs=None, stop=StopAfter(), say=said.append)
    return said, made.model, history.epochs


def test_a_bad_batch_is_passed_over_and_named() -> None:
    said, model, epochs = trained({5})
    warnings = [line for line in said if "passed over" in line]
    assert len(warnings) == 3, "the bad picture is in one batch of each epoch"
    assert "Examples: picture " in warnings[0]
    assert all(np.isfinite(array).all() for array in model.get_weights())
    assert all(np.isfinite([epoch["loss"], epoch["val_loss"]]).all() for epoch in epochs)


def test_three_bad_batches_in_a_row_stop_the_run() -> None:
    with pytest.raises(TrainingFailed, match=r"3 steps in a row") as raised:
        trained(set(range(96)))
    assert "\n" not in str(raised.value)


def test_a_good_run_is_what_it_is_without_a_guard() -> None:
    said, _, _ = trained(set())
    assert not [line for line in said if "passed over" in line]


class Huge(Pictures):
    """Pictures with targets whose squared error is beyond float32: its gradients are numbers, the loss is not."""

    def batch(self, indices: np.ndarray, random: np.random.Generator | None) -> Batch:
        inputs, targets, _ = super().batch(indices, random)
        return inputs, {**targets, "place": np.full_like(targets["place"], 1e30)}, None


def run_with(**parts: Pictures) -> list[str]:
    made = recipe()
    for name, examples in parts.items():
        object.__setattr__(made, name, examples)
    said: list[str] = []
    fit(made, config(), checkpoints=None, logs=None, stop=StopAfter(), say=said.append)
    return said


def test_a_loss_beyond_all_numbers_is_a_bad_step_though_its_gradients_are_numbers() -> None:
    with pytest.raises(TrainingFailed, match=r"3 steps in a row"):
        run_with(train=Huge(96))


def test_a_validation_loss_that_is_no_number_is_never_the_best() -> None:
    with pytest.raises(TrainingFailed, match=r"The loss became inf in epoch 1"):
        run_with(validation=Huge(32))


def optimizer() -> tuple[GuardedAdam, keras.Variable]:
    variable = keras.Variable(np.ones(3, np.float32))
    made = GuardedAdam(0.1)
    made.build([variable])
    return made, variable


def step(made: GuardedAdam, variable: keras.Variable, value: float) -> None:
    made.apply([keras.ops.full((3,), value)], [variable])


def test_steps_are_remembered_by_their_numbers() -> None:
    made, variable = optimizer()
    for value in (1.0, np.nan, 1.0, np.inf, np.nan):
        step(made, variable, value)
    assert int(made.bad_count) == 3
    assert np.asarray(made.bad_steps)[:3].tolist() == [2, 4, 5]
    assert int(made.bad_row) == 2
    assert np.isfinite(np.asarray(variable)).all()


def test_the_last_bad_steps_are_kept_of_many() -> None:
    made, variable = optimizer()
    for _ in range(REMEMBERED + 2):
        step(made, variable, np.nan)
    assert sorted(np.asarray(made.bad_steps).tolist()) == list(range(3, REMEMBERED + 3))


def test_weights_are_equal_with_and_without_an_interruption(tmp_path) -> None:
    whole, parts = recipe(), recipe()
    for made in (whole, parts):
        object.__setattr__(made, "train", Spoilt(96, {5}))
    settings = config(checkpoint_seconds=0)
    fit(whole, settings, checkpoints=None, logs=None, stop=StopAfter(), say=print)
    fit(parts, settings, checkpoints=tmp_path, logs=None, stop=StopAfter(8), say=print)
    fit(parts, settings, checkpoints=tmp_path, logs=None, stop=StopAfter(), say=print)
    for one, other in zip(weights(whole), weights(parts), strict=True):
        np.testing.assert_array_equal(one, other)
