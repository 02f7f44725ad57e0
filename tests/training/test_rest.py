import itertools
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from small import StopAfter, config, recipe, same, weights

from trainbox.training.averaging import AveragingAdam, averaged_weights
from trainbox.training.fit import fit
from trainbox.training.guard import GuardedAdam
from trainbox.training.recipe import Recipe
from trainbox.training.rest import Rest, RestingModel

UNTIL = 3
REST = Rest(lambda path: path.startswith("body"), UNTIL)
MOVING = [3, 4, 5, 6, 7]


def network(kind: type[keras.Model]) -> keras.Model:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6,), name="rows")
    x = keras.layers.Dense(5, activation="relu", bias_initializer="ones", name="body")(inputs)
    return kind(inputs, keras.layers.Dense(2, name="head")(x))


def compiled(kind: type[keras.Model] = RestingModel, rest: Rest | None = REST) -> keras.Model:
    model = network(kind)
    if isinstance(model, RestingModel):
        model.rest = rest
    model.compile(optimizer=AveragingAdam(0.05, rest), loss="mse", metrics=["mae"], jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


def rows(steps: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    return random.normal(size=(4 * steps, 6)).astype(np.float32), random.normal(size=(4 * steps, 2)).astype(np.float32)


def by_step(model: keras.Model, steps: int) -> list[list[np.ndarray]]:
    """Train step by step; return all weights before the first and behind each."""
    states = [model.get_weights()]
    inputs, targets = rows(steps)
    for start in range(0, 4 * steps, 4):
        model.train_on_batch(inputs[start : start + 4], targets[start : start + 4])
        states.append(model.get_weights())
    return states


def fitted(model: keras.Model, steps: int = 8) -> tuple[list[np.ndarray], dict[str, list[float]]]:
    history = model.fit(*rows(steps), batch_size=4, shuffle=False, verbose=0).history
    return [*model.get_weights(), *averaged_weights(model), *map(np.asarray, model.optimizer.variables)], history


def test_when_a_part_moves() -> None:
    assert [step for step in range(8) if bool(REST.moves(step))] == MOVING
    assert [int(REST.moved(step)) for step in range(9)] == [sum(moved < step for moved in MOVING) for step in range(9)]


def test_the_part_stands_still_in_those_steps_and_the_rest_never() -> None:
    states = by_step(compiled(), 8)
    for step, (before, behind) in enumerate(itertools.pairwise(states)):
        changed = [not np.array_equal(one, other) for one, other in zip(before, behind, strict=True)]
        assert changed == [step in MOVING, step in MOVING, True, True], step


def test_it_comes_to_the_weights_that_the_optimizer_alone_comes_to() -> None:
    saved, one = fitted(compiled())
    computed, other = fitted(compiled(keras.Model))
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-6)
    assert one["mae"] == pytest.approx(other["mae"], rel=1e-6)
    for here, there in zip(saved, computed, strict=True):
        np.testing.assert_allclose(here, there, rtol=1e-5, atol=1e-7)


def test_without_a_rest_it_is_a_plain_model() -> None:
    for here, there in zip(fitted(compiled(rest=None))[0], fitted(compiled(keras.Model, rest=None))[0], strict=True):
        np.testing.assert_array_equal(here, there)


class Counting(keras.layers.Layer):
    """Counts how often the gradient of what lies before it is computed."""

    runs = 0

    def call(self, inputs):
        import tensorflow as tf

        def passed_back(upstream):
            # Without a state, as arithmetic is: what nobody needs is not run.
            back = tf.numpy_function(self.count, [upstream], tf.float32, stateful=False)
            return tf.ensure_shape(back, upstream.shape)

        return tf.custom_gradient(lambda value: (tf.identity(value), passed_back))(inputs)

    def count(self, upstream: np.ndarray) -> np.ndarray:
        self.runs += 1
        return upstream


@pytest.mark.parametrize(("rest", "times"), [(REST, len(MOVING)), (None, 8)])
def test_the_gradients_of_the_part_are_not_computed_while_it_rests(rest: Rest | None, times: int) -> None:
    counting = Counting()
    inputs = keras.Input((6,), name="rows")
    features = counting(keras.layers.Dense(5, name="body")(inputs))
    model = RestingModel(inputs, keras.layers.Dense(2, name="head")(features))
    model.rest = rest
    model.compile(optimizer=AveragingAdam(0.05, rest), loss="mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    model.fit(*rows(8), batch_size=4, shuffle=False, verbose=0)
    assert counting.runs == times


def test_the_first_move_is_as_long_as_adams_first_step_however_late() -> None:
    """Moments begin at 0: without a correction of their own they would be taken for those of a long run."""
    late = Rest(lambda path: True, 1000)
    variable = keras.Variable(np.zeros(1, np.float32), name="late")
    optimizer = AveragingAdam(0.1, late)
    optimizer.build([variable])
    optimizer.iterations.assign(1000)
    optimizer.apply([ops.full((1,), 5.0)], [variable])
    np.testing.assert_allclose(ops.convert_to_numpy(variable), [-0.1], rtol=1e-3)


def test_a_bad_step_is_passed_over_at_rest_too() -> None:
    model = compiled()
    model.compile(optimizer=GuardedAdam(0.05, REST), loss="mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    inputs, targets = rows(4)
    targets[:4] = np.nan
    before = model.get_weights()
    model.train_on_batch(inputs[:4], targets[:4])
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    model.train_on_batch(inputs[4:8], targets[4:8])
    assert [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)] == [False] * 2 + [
        True
    ] * 2
    assert int(ops.convert_to_numpy(model.optimizer.bad_count)) == 1


@pytest.mark.parametrize("looks", [2, 5, 6, 9])
def test_interrupted_at_rest_or_not_it_goes_on_to_the_same_weights(looks: int, tmp_path: Path) -> None:
    def resting() -> Recipe:
        made = recipe()
        rest = Rest(lambda path: path.startswith("conv2d"), UNTIL)
        model = RestingModel({"image": made.model.inputs[0]}, {"place": made.model.output["place"]})
        model.rest = rest
        return replace(made, model=model, rest=rest)

    undisturbed, parts, again = resting(), resting(), resting()
    settings = config(checkpoint_seconds=0)
    fit(undisturbed, settings, checkpoints=None, logs=None, stop=StopAfter(), say=print)
    fit(parts, settings, checkpoints=tmp_path, logs=None, stop=StopAfter(looks), say=print)
    history = fit(again, settings, checkpoints=tmp_path, logs=None, stop=StopAfter(), say=print)
    assert history.resumed_from
    assert same(weights(undisturbed), weights(again))


def test_it_is_traced_once_for_each_case_and_never_again() -> None:
    model = compiled()
    traced: list[bool] = []
    plain = model.train_step
    # Metrics make their variables in the first trace, which is then done again: ``fit`` has them made before as well.
    model.evaluate(*rows(2), batch_size=4, verbose=0)
    model.train_step = lambda data: (traced.append(model._resting), plain(data))[1]
    for _ in range(3):
        model.fit(*rows(8), batch_size=4, shuffle=False, verbose=0)
        model.evaluate(*rows(2), batch_size=4, verbose=0)
    assert sorted(traced) == [False, True]
