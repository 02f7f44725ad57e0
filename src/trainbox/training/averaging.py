"""A running mean of the weights, which validates and is exported in place of the weights themselves.

The mean over the last steps does what a falling learning rate does at the end of a run, but at any time: nobody knows
where an early stop ends a run, and until then the rate can stay high. (Polyak and Juditsky, 1992.)
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from trainbox.training.rest import Rest

LONGEST = 0.99


class _Step:
    """What all variables have in common in one step: Adam's correction for moments that began at 0, the mean's share.

    ``moving`` and ``resting`` are for the variables that always move and for those that do so by ``rest``: 1 or 0 for
    whether they move, sqrt(1 - beta2^t), and 1 - beta1^t, t being how often they have moved.
    """

    def __init__(self, iterations: Any, beta_1: float, beta_2: float, rest: Rest | None) -> None:
        ops = keras.ops

        def corrected(moves: Any, moved: Any) -> tuple[Any, Any, Any]:
            count = ops.cast(moved + 1, "float32")
            return moves, ops.sqrt(1 - ops.power(beta_2, count)), 1 - ops.power(beta_1, count)

        at = ops.cast(iterations, "int32")
        self.moving = corrected(1.0, at)
        self.resting = corrected(ops.cast(rest.moves(at), "float32"), rest.moved(at)) if rest else self.moving
        step = ops.cast(iterations, "float32")
        self.kept = ops.minimum((1.0 + step) / (10.0 + step), LONGEST)


class AveragingAdam(keras.optimizers.Adam):
    """Adam that keeps an exponential mean of every trained weight, over about the last ninth of its steps.

    At the step t, counted from 0, the mean keeps (1 + t) / (10 + t) of itself, ``LONGEST`` at most. Means are among the
    optimizer's variables, so a checkpoint holds them. ``rest`` says which weights stand still when: neither they nor
    their moments change in such a step, whatever the gradient, as long as it is finite.
    """

    def __init__(self, learning_rate: Any, rest: Rest | None = None, **options: Any) -> None:
        super().__init__(learning_rate, use_ema=True, ema_overwrite_frequency=None, **options)
        self._rest = rest
        self._step: _Step | None = None

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """Apply gradients; what a step has in common for all variables is computed once."""
        self._step = self._now()
        try:
            super().apply(grads, trainable_variables)
        finally:
            self._step = None

    def _now(self) -> _Step:
        return self._step or _Step(self.iterations, self.beta_1, self.beta_2, self._rest)

    @property
    def ema_momentum(self) -> Any:
        """Return how much of itself the mean keeps at the present step."""
        return self._now().kept

    @ema_momentum.setter
    def ema_momentum(self, value: float) -> None:
        """Pass over what Keras' constructor sets: the step decides."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move a variable by Adam's rule (Kingma and Ba, 2015, algorithm 1), unless it stands still in this step.

        Keras' own update puts into the graph, for every variable anew, what is the same for all of them.
        """
        ops, step = keras.ops, self._now()
        place = self._get_variable_index(variable)
        # TensorFlow hands over what is inside of a Keras variable, which has no path.
        resting = self._rest is not None and self._rest.part(self._trainable_variables[place].path)
        moves, above, below = step.resting if resting else step.moving
        rate = moves * learning_rate * above / below
        first, second = self._momentums[place], self._velocities[place]
        self.assign_add(first, (gradient - first) * (moves * (1 - self.beta_1)))
        self.assign_add(second, (ops.square(gradient) - second) * (moves * (1 - self.beta_2)))
        self.assign_sub(variable, first * rate / (ops.sqrt(second) + self.epsilon))

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """Leave the weights as they are: Keras would put the means in whenever a ``fit`` ends, also a resumed part."""

    def get_config(self) -> dict[str, Any]:
        """Return what the constructor took."""
        ours = {"use_ema", "ema_momentum", "ema_overwrite_frequency"}
        return {name: value for name, value in super().get_config().items() if name not in ours}


def means(model: keras.Model) -> list[Any]:
    """Return the variables that hold the means, in the order of the model's trainable variables."""
    if not int(keras.ops.convert_to_numpy(model.optimizer.iterations)):
        return list(model.trainable_variables)
    return list(model.optimizer._model_variables_moving_average)


def averaged_weights(model: keras.Model) -> list[np.ndarray]:
    """Copy every weight of a model, its mean where it has one."""
    by_variable = {id(variable): mean for variable, mean in zip(model.trainable_variables, means(model), strict=True)}
    return [_copy(by_variable.get(id(variable), variable)) for variable in model.weights]


def put_means_in(model: keras.Model) -> list[np.ndarray]:
    """Put the means in the place of the trained weights; return those, to be put back by ``put_back``."""
    held = [_copy(variable) for variable in model.trainable_variables]
    for variable, mean in zip(model.trainable_variables, means(model), strict=True):
        variable.assign(_copy(mean))
    return held


def put_back(model: keras.Model, held: Sequence[np.ndarray]) -> None:
    """Put the trained weights back that ``put_means_in`` returned."""
    for variable, array in zip(model.trainable_variables, held, strict=True):
        variable.assign(array)


def _copy(variable: Any) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(variable))
