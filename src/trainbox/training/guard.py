"""An optimizer that passes over gradients that are no numbers, and remembers the steps they came in.

One bad batch, a box of no height or a picture that overflows, would else make every weight NaN for good.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from trainbox.training.averaging import AveragingAdam

REMEMBERED = 8
IN_A_ROW = 3
"""After so many bad steps in a row it is not the batches that are bad."""


class GuardedAdam(AveragingAdam):
    """Averaging Adam that takes the gradients of a step for zero where any of them is not finite."""

    def build(self, variables: Sequence[Any]) -> None:
        """Add what remembers bad steps to the optimizer's variables, so that a checkpoint holds it."""
        already = self.built
        super().build(variables)
        if not already:
            self.bad_steps = self.add_variable((REMEMBERED,), dtype="int32", name="bad_steps")
            self.bad_count = self.add_variable((), dtype="int32", name="bad_count")
            self.bad_row = self.add_variable((), dtype="int32", name="bad_row")

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """Apply gradients where all are finite; else note the step."""
        ops = keras.ops
        if not self.built and trainable_variables is not None:
            self.build(list(trainable_variables))
        finite = ops.all(ops.stack([ops.isfinite(ops.sum(grad)) for grad in grads if grad is not None]))
        self._note(ops.cast(ops.logical_not(finite), "int32"))
        kept = [None if grad is None else ops.where(finite, grad, ops.zeros_like(grad)) for grad in grads]
        super().apply(kept, trainable_variables)

    def _note(self, bad: Any) -> None:
        ops = keras.ops
        step = ops.cast(self.iterations, "int32") + 1
        here = ops.cast(ops.arange(REMEMBERED) == self.bad_count % REMEMBERED, "int32") * bad
        self.bad_steps.assign(self.bad_steps * (1 - here) + step * here)
        self.bad_count.assign_add(bad)
        # Three in a row stay three, also where a good step follows before anyone looks.
        going_on = ops.where(self.bad_row >= IN_A_ROW, self.bad_row, (self.bad_row + bad) * bad)
        self.bad_row.assign(going_on)


class LossGuard:
    """Keeps the training loss that is shown a number. Validation is not guarded: a loss of 0 would be the best."""

    def __init__(self) -> None:
        self._training = keras.Variable(1.0, trainable=False, dtype="float32", name="training")

    @contextlib.contextmanager
    def off(self) -> Iterator[None]:
        """Let losses be what they are within this block."""
        self.turn(False)
        try:
            yield
        finally:
            self.turn(True)

    def turn(self, on: bool) -> None:
        """Guard from now on, or do not."""
        self._training.assign(float(on))

    def guarded(self, loss: Any) -> Any:
        """Return a loss for Keras that is shown as 0 where ``loss`` (its name, or a function) is no number.

        Its gradients are no numbers there, whatever they were, and the optimizer passes over them.
        """
        function: Callable[[Any, Any], Any] = keras.losses.get(loss)

        def shown(targets: Any, answers: Any) -> Any:
            value = function(targets, answers)
            return keras.ops.where(self._training > 0, _shown(value), value)

        shown.__name__ = getattr(function, "__name__", type(function).__name__)
        return shown


@keras.ops.custom_gradient  # type: ignore[untyped-decorator]
def _shown(value: Any) -> Any:
    ops = keras.ops
    finite = ops.isfinite(value)

    def gradient(*received: Any, upstream: Any = None) -> Any:
        upstream = received[0] if upstream is None else upstream
        return ops.where(finite, upstream, ops.full_like(upstream, np.nan))

    return ops.where(finite, value, ops.zeros_like(value)), gradient


def bad_steps(model: keras.Model) -> tuple[int, list[int], bool]:
    """Return how many steps were passed over, the last of them counted from 1, and whether three came in a row."""
    optimizer = model.optimizer
    count = int(keras.ops.convert_to_numpy(optimizer.bad_count))
    steps: np.ndarray = keras.ops.convert_to_numpy(optimizer.bad_steps)
    order = [int(steps[number % REMEMBERED]) for number in range(max(0, count - REMEMBERED), count)]
    return count, order, int(keras.ops.convert_to_numpy(optimizer.bad_row)) >= IN_A_ROW
