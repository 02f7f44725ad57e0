import math
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from small import Pictures, StopAfter, config, recipe, same, weights

from trainbox.errors import TrainingFailed
from trainbox.training.fit import fit


def run(made, settings, folder=None, stop=None, **more):
    said: list[str] = []
    history = fit(made, settings, checkpoints=folder, logs=None, stop=stop or StopAfter(), say=said.append, **more)
    return history, said


@pytest.fixture(scope="module")
def undisturbed():
    """History and final weights of a run that nothing interrupts."""
    made = recipe()
    history, _ = run(made, config())
    return history, weights(made)


def test_learns_and_tells_its_history(undisturbed):
    history, _ = undisturbed
    assert [set(epoch) for epoch in history.epochs] == [
        {"loss", "mae", "val_loss", "val_mae", "learning_rate", "images_per_second"}
    ] * 3 or len(history.epochs) == 3
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"]
    assert (history.stopped, history.resumed_from) == ("epochs", None)
    assert history.seconds > 0
    assert history.images_per_second > 0


@pytest.mark.parametrize("step", [2, 6, 9, 17])
def test_interrupted_anywhere_and_resumed_it_ends_bit_equal(step: int, undisturbed, tmp_path: Path):
    first, _ = run(recipe(), config(), tmp_path, StopAfter(step))
    assert first.stopped == "interrupted"
    made = recipe(seed=99)
    second, _ = run(made, config(), tmp_path)
    assert second.resumed_from is not None
    assert same(weights(made), undisturbed[1])
    for resumed, whole in zip(second.epochs, undisturbed[0].epochs, strict=True):
        assert resumed.keys() == whole.keys()
        for name in resumed.keys() - {"images_per_second"}:
            assert resumed[name] == whole[name], name


def test_a_finished_run_started_again_only_returns_its_weights(undisturbed, tmp_path: Path):
    run(recipe(), config(), tmp_path)
    made = recipe(seed=99)
    history, _ = run(made, config(), tmp_path)
    assert same(weights(made), undisturbed[1])
    assert len(history.epochs) == 3
