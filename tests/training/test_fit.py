from pathlib import Path

import keras
import numpy as np
import pytest
from small import Pictures, StopAfter, config, recipe, same, weights

from trainbox.errors import CheckpointError, TrainingFailed
from trainbox.training.fit import fit

ALWAYS = {"data_wait", "loss", "mae", "val_loss", "val_mae", "learning_rate", "images_per_second"}


def run(made, settings, folder=None, stop=None, **more):
    said: list[str] = []
    options = {"logs": None, **more}
    history = fit(made, settings, checkpoints=folder, stop=stop or StopAfter(), say=said.append, **options)
    return history, said


@pytest.fixture(scope="module")
def undisturbed():
    """History and final weights of a run that nothing interrupts."""
    made = recipe()
    history, _ = run(made, config())
    return history, weights(made)


def test_learns_and_tells_its_history(undisturbed):
    history, _ = undisturbed
    assert [set(epoch) for epoch in history.epochs] == [ALWAYS] * 3
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"]
    assert (history.stopped, history.resumed_from) == ("epochs", None)
    assert history.seconds > 0
    assert history.images_per_second > 0


def test_leaves_the_best_weights(undisturbed):
    history, final = undisturbed
    losses = [epoch["val_loss"] for epoch in history.epochs]
    assert history.best_epoch == 1 + losses.index(min(losses))
    made = recipe(seed=99)
    made.model.set_weights(final)
    made.model.compile(loss=dict(made.losses))
    inputs, targets, _ = made.validation.batch(np.arange(32), None)
    assert made.model.evaluate(inputs, targets, verbose=0) == pytest.approx(min(losses), rel=1e-5)


# Six steps an epoch and two of validation: in the first epoch, in its validation, in the second, in the last.
@pytest.mark.parametrize(("looks", "steps_done"), [(2, 3), (6, 6), (10, 9), (20, 17)])
def test_interrupted_anywhere_and_resumed_it_ends_bit_equal(looks: int, steps_done: int, undisturbed, tmp_path: Path):
    first, _ = run(recipe(), config(), tmp_path, StopAfter(looks))
    assert first.stopped == "interrupted"
    made = recipe(seed=99)
    second, said = run(made, config(), tmp_path)
    assert second.resumed_from == steps_done
    assert "goes on from a checkpoint" in said[0]
    assert same(weights(made), undisturbed[1])
    for resumed, whole in zip(second.epochs, undisturbed[0].epochs, strict=True):
        assert without_speed(resumed) == without_speed(whole)


def without_speed(epoch: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in epoch.items() if name not in ("images_per_second", "data_wait")}


def test_a_finished_run_started_again_only_returns_its_weights(undisturbed, tmp_path: Path):
    run(recipe(), config(), tmp_path)
    made = recipe(seed=99)
    history, said = run(made, config(), tmp_path)
    assert same(weights(made), undisturbed[1])
    assert len(history.epochs) == 3
    assert not any("epoch=" in line for line in said)


@pytest.mark.parametrize("change", [{"made": {"fingerprint": "other data"}}, {"settings": {"learning_rate": 0.002}}])
def test_a_checkpoint_of_another_job_is_said_and_left_alone(change, tmp_path: Path):
    one = config(epochs=1)
    run(recipe(), one, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    settings = config(epochs=1, **change.get("settings", {}))
    history, said = run(recipe(**change.get("made", {})), settings, tmp_path)
    assert history.resumed_from is None
    assert "other data or hyperparameters" in said[0]
    assert before.items() <= {path.name: path.read_bytes() for path in tmp_path.iterdir()}.items()


def test_what_does_not_change_the_outcome_does_not_stop_a_resume(tmp_path: Path):
    run(recipe(), config(), tmp_path, StopAfter(8))
    history, _ = run(recipe(), config(checkpoint_seconds=0.5), tmp_path)
    assert history.resumed_from is not None


def test_stops_early_where_validation_no_longer_improves():
    history, _ = run(recipe(), config(epochs=50, patience=2, min_delta=10))
    assert history.stopped == "early stop"
    assert len(history.epochs) == 3
    losses = [epoch["val_loss"] for epoch in history.epochs]
    assert history.best_epoch == 1 + losses.index(min(losses))


def test_an_early_stop_is_the_same_with_an_interruption_in_the_wait(tmp_path: Path):
    settings = config(epochs=50, patience=2, min_delta=10)
    run(recipe(), settings, tmp_path, StopAfter(11))
    history, _ = run(recipe(), settings, tmp_path)
    assert (history.stopped, len(history.epochs)) == ("early stop", 3)


def test_a_loss_that_is_no_number_fails_in_one_line(tmp_path: Path):
    def bad(target, answer):
        return keras.ops.mean(answer) * float("nan")

    with pytest.raises(
        TrainingFailed, match=r"no numbers in 3 steps in a row, up to step \d+\..*learning_rate"
    ) as raised:
        run(recipe(loss=bad), config(), tmp_path)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_fails_in_one_line_and_keeps_what_was_saved(tmp_path: Path):
    writes = 0

    def fail(stage: str) -> None:
        nonlocal writes
        writes += stage == "npz opened"
        if writes == 2:
            raise OSError(28, "No space left on device")

    with pytest.raises(CheckpointError, match="No space left"):
        run(recipe(), config(), tmp_path, on_stage=fail)
    history, _ = run(recipe(), config(), tmp_path)
    assert history.resumed_from == 6


def test_trains_where_nothing_validates():
    history, _ = run(recipe(validation=0), config())
    assert history.best_epoch == 3
    assert "val_loss" not in history.epochs[0]


def test_trains_on_less_than_a_batch():
    history, _ = run(recipe(train=5), config(batch_size=16))
    assert len(history.epochs) == 3


def test_nothing_to_train_on_is_refused():
    with pytest.raises(TrainingFailed, match="no training examples"):
        run(recipe(train=0), config())


def test_writes_logs_for_tensorboard(tmp_path: Path):
    run(recipe(), config(epochs=2), logs=tmp_path / "logs")
    assert list((tmp_path / "logs" / "train").glob("events*"))
    assert list((tmp_path / "logs" / "validation").glob("events*"))


def test_a_small_stride_between_checkpoints_writes_within_the_epoch(tmp_path: Path):
    stages: list[str] = []
    run(recipe(), config(epochs=1, checkpoint_seconds=0), tmp_path, on_stage=stages.append)
    assert stages.count("npz opened") == 7


def test_pictures_give_the_same_batch_for_the_same_random_state():
    pictures = Pictures(8)
    first, second = (pictures.batch(np.arange(4), np.random.default_rng(1))[0]["image"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
