"""The learning rate over a run: a short rise to the peak, then a cosine down to nearly nothing."""

import math
from typing import Any

import keras

WARM_UP_OF_RUN = 0.1
WARM_UP_OF_EPOCH = 0.5
FLOOR = 0.01


def schedule_for(peak: float, steps_per_epoch: int, epochs: int) -> "WarmUpCosine":
    """Return the schedule of a run: it rises for half an epoch, or a tenth of all steps where that is less."""
    steps = steps_per_epoch * epochs
    return WarmUpCosine(peak, steps, round(min(WARM_UP_OF_RUN * steps, WARM_UP_OF_EPOCH * steps_per_epoch)))


class WarmUpCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Rise in a line to ``peak`` over ``warm_up_steps``, fall as half a cosine until ``steps``, then stay low.

    The optimizer's own count of steps is all its state, so it resumes where the optimizer does.
    """

    def __init__(self, peak: float, steps: int, warm_up_steps: int, floor: float = FLOOR) -> None:
        self.peak = peak
        self.steps = max(1, steps)
        self.warm_up_steps = max(1, min(warm_up_steps, steps))
        self.floor = floor

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of a step, counted from 0."""
        ops = keras.ops
        step = ops.cast(step, "float32")
        rise = (step + 1.0) / self.warm_up_steps
        falling = max(1, self.steps - self.warm_up_steps)
        fallen = ops.clip((step - self.warm_up_steps) / falling, 0.0, 1.0)
        cosine = self.floor + (1.0 - self.floor) * 0.5 * (1.0 + ops.cos(fallen * math.pi))
        return self.peak * ops.minimum(rise, cosine)

    def get_config(self) -> dict[str, float | int]:
        """Return what the constructor took."""
        return {
            "peak": self.peak,
            "steps": self.steps,
            "warm_up_steps": self.warm_up_steps,
            "floor": self.floor,
        }
