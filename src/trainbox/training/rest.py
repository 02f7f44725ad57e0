"""A part of a network that stands still at the beginning of a training, which saves the computing of its gradients.

What is new behind a pre-trained part answers at random at first, and would send it gradients as random. Nothing is to
be computed of it until that has been learned.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True)
class Rest:
    """Which variables stand still when: all of ``part`` before the step ``until``.

    ``part`` takes a variable's path. Steps are counted from 0.
    """

    part: Callable[[str], bool]
    until: int

    def moves(self, step: Any) -> Any:
        """Return whether the part moves in a step: a bool for an int, a boolean tensor for a tensor."""
        return step >= self.until

    def moved(self, step: Any) -> Any:
        """Return in how many steps before this one the part has moved: an int32 tensor."""
        return keras.ops.maximum(keras.ops.cast(step, "int32") - self.until, 0)


class RestingModel(keras.Model):
    """A functional model that computes no gradients of a part in the steps in which it stands still.

    Its optimizer, an ``AveragingAdam`` with the same ``Rest``, decides what is trained: from finite gradients it comes
    to the same weights with a plain model, only later. On TensorFlow alone, and where an execution is one step, are
    gradients left out; elsewhere this is a plain model.
    """

    rest: Rest | None = None
    train_function: Any
    _resting = False
    _step = 0

    @property
    def trainable_weights(self) -> list[Any]:
        """Return the weights a gradient is computed of: in a step at rest, those behind the part."""
        weights = super().trainable_weights
        if not self._resting or self.rest is None:
            return weights
        return [weight for weight in weights if not self.rest.part(weight.path)]

    def make_train_function(self, force: bool = False) -> Any:
        """Make Keras' own function of a step twice: each is traced, and so made a graph, for one of the two cases."""
        if self.rest is None or keras.backend.backend() != "tensorflow" or self.steps_per_execution != 1:
            return super().make_train_function(force)
        # Counted here from now on: to ask a fast device before every step would keep it waiting.
        self._step = int(keras.ops.convert_to_numpy(self.optimizer.iterations))
        if self.train_function is None or force:
            self.train_function = self._either(self.rest, self._made(), self._made())
        return self.train_function

    def _made(self) -> Callable[[Any], Any]:
        super().make_train_function(force=True)
        return self.train_function

    def _either(self, rest: Rest, whole: Callable[[Any], Any], behind: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def step(batches: Any) -> Any:
            self._resting = not rest.moves(self._step)
            try:
                logs = (behind if self._resting else whole)(batches)
            finally:
                self._resting = False
            self._step += 1
            return logs

        return step
