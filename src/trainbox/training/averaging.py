"""A running mean of the weights, which validates and is exported in place of the weights themselves.

The mean over the last steps does what a falling learning rate does at the end of a run, but at any time: nobody knows
where an early stop ends a run, and until then the rate can stay high. (Polyak and Juditsky, 1992.)
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

LONGEST = 0.99

Pace = Callable[[Any, Any], Any]
"""Takes a variable and the step, counted from 0; returns what its learning rate is multiplied by."""


class AveragingAdam(keras.optimizers.Adam):
    """Adam that keeps an exponential mean of every trained weight, over about the last ninth of its steps.

    At the step t, counted from 0, the mean keeps (1 + t) / (10 + t) of itself, ``LONGEST`` at most. Means are among the
    optimizer's variables, so a checkpoint holds them.
    """

    def __init__(self, learning_rate: Any, pace: Pace | None = None, **options: Any) -> None:
        super().__init__(learning_rate, use_ema=True, ema_overwrite_frequency=None, **options)
        self._pace = pace

    @property
    def ema_momentum(self) -> Any:
        """Return how much of itself the mean keeps at the present step."""
        step = keras.ops.cast(self.iterations, "float32")
        return keras.ops.minimum((1.0 + step) / (10.0 + step), LONGEST)

    @ema_momentum.setter
    def ema_momentum(self, value: float) -> None:
        """Pass over what Keras' constructor sets: the step decides."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update a variable at its own pace, where there is one."""
        if self._pace is not None:
            # TensorFlow hands over what is inside of a Keras variable, which has no path.
            known = self._trainable_variables[self._get_variable_index(variable)]
            learning_rate = learning_rate * self._pace(known, self.iterations)
        super().update_step(gradient, variable, learning_rate)

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
