"""One training run while Keras ``fit`` goes through it: what happens after each step and each epoch."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

import keras
import numpy as np

from trainbox.errors import TrainingFailed
from trainbox.training.averaging import averaged_weights, put_back, put_means_in
from trainbox.training.checkpoint import CheckpointFolder
from trainbox.training.config import TrainingConfig
from trainbox.training.guard import IN_A_ROW, LossGuard, bad_steps
from trainbox.training.memory import hand_back
from trainbox.training.progress import Display
from trainbox.training.rate import Rate, Waiting
from trainbox.training.recipe import Recipe
from trainbox.training.state import Progress, capture, metrics_of, restore_metrics
from trainbox.training.steps import TrainingSteps

SECONDS_BETWEEN_LOOKS = 1.0
# A checkpoint waits for twenty times what the last one took, so that they never take more than a twentieth of the time.
LEAST_WAIT = 20.0


class StopRequested(Protocol):
    """Says whether the run should end as soon as it can."""

    requested: bool


class Interrupted(Exception):
    """The run was asked to stop, and its state is saved."""


@dataclass
class Run:
    """The state of a run, and what to do with it as steps and epochs finish."""

    recipe: Recipe
    config: TrainingConfig
    steps: TrainingSteps
    folder: CheckpointFolder | None
    stop: StopRequested
    display: Display
    guard: LossGuard
    say: Callable[[str], None] = print
    clock: Callable[[], float] = monotonic
    progress: Progress = field(default_factory=Progress)
    best: list[np.ndarray] = field(default_factory=list)
    held_metrics: Mapping[str, np.ndarray] = field(default_factory=dict)
    rate: Rate = field(default_factory=Rate)
    waiting: Waiting = field(default_factory=Waiting)

    def __post_init__(self) -> None:
        self._counted = self._looked = self._saved = self.clock()
        self._wait = self.config.checkpoint_seconds
        self._held_weights: list[np.ndarray] | None = None
        self.told_of = 0

    @property
    def model(self) -> keras.Model:
        """The model in training."""
        return self.recipe.model

    def begin_epoch(self) -> None:
        """Put the order of the epoch in place, and what its metrics had gathered where it is resumed."""
        self.steps.begin(self.progress.epoch, self.progress.step)
        if self.held_metrics:
            restore_metrics(self.model, self.held_metrics)
            self.held_metrics = {}
        self.rate.begin(self.clock())
        self.waiting.begin(self.clock())

    def end_step(self, logs: Mapping[str, Any], synchronise: Callable[[], object]) -> None:
        """Count a step; save, show or stop where it is time. ``synchronise`` brings the model's variables up to date.

        ``logs`` may still be on their way from the device: they are waited for only where they are wanted.
        """
        self.progress.step += 1
        now = self.clock()
        self.rate.count(self.steps.batch_size, now)
        self.waiting.count(self.steps.handed_over.pop(self.progress.step - 1, now), now)
        stopping = self.stop.requested
        due = stopping or (self.folder is not None and now - self._saved >= self._wait)
        if not (due or now - self._looked >= SECONDS_BETWEEN_LOOKS):
            return
        self._looked = now
        self.refuse_bad_steps(synchronise)
        loss = self.finite(float(keras.ops.convert_to_numpy(logs["loss"])))
        values = {"loss": loss, "images_per_second": self.rate.of_epoch()}
        self.display.step(self.progress.epoch + 1, self.progress.step, self.steps.count, values)
        if due:
            synchronise()
            self.save()
        if stopping:
            raise Interrupted

    def begin_validation(self) -> None:
        """Put the mean weights in, and hold what the metrics gathered: validation gathers in the same ones."""
        self.held_metrics = metrics_of(self.model)
        self._held_weights = put_means_in(self.model)
        self.guard.turn(False)

    def end_validation(self) -> None:
        """Put the weights back with which training goes on."""
        if self._held_weights is not None:
            put_back(self.model, self._held_weights)
            self.guard.turn(True)
            self._held_weights = None

    def validated(self, synchronise: Callable[[], object]) -> Mapping[str, float]:
        """Return what the recipe's own scores say of the model; nothing where it has none."""
        if self.recipe.scores is None:
            return {}
        synchronise()
        self.begin_validation()
        try:
            return self.recipe.scores(lambda: self.end_validation_step(synchronise))
        finally:
            self.end_validation()

    def end_validation_step(self, synchronise: Callable[[], object]) -> None:
        """Save and stop where that is asked for; the epoch is then validated from the start when it is resumed."""
        if self.stop.requested:
            synchronise()
            self.end_validation()
            self.save()
            raise Interrupted

    def end_epoch(self, logs: Mapping[str, float]) -> bool:
        """Judge a finished epoch, save, and return whether the run is finished."""
        self.held_metrics = {}
        self.refuse_bad_steps(lambda: None)
        record = {name: float(value) for name, value in logs.items()}
        watched = self._watched(record)
        progress = self.progress
        record["images_per_second"] = self.rate.of_epoch()
        record["data_wait"] = self.waiting.share()
        record["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        total_steps = (progress.epoch + 1) * self.steps.count
        progress.epoch, progress.step = progress.epoch + 1, 0
        progress.epochs.append(record)
        self._judge(watched)
        self.display.epoch(progress.epoch, total_steps, record)
        self.save()
        hand_back()
        return progress.stopped is not None

    def finite(self, loss: float) -> float:
        """Return the loss; raise TrainingFailed where it is no number."""
        if math.isfinite(loss):
            return loss
        epoch, step = self.progress.epoch + 1, self.progress.step
        raise TrainingFailed(
            f"The loss became {loss} in epoch {epoch} at step {step} of {self.steps.count}. "
            "Lower the hyperparameter 'learning_rate', or look for broken labels in the data."
        )

    def refuse_bad_steps(self, synchronise: Callable[[], object]) -> None:
        """Name the batches that were passed over since the last look; raise TrainingFailed for three in a row."""
        synchronise()
        count, steps, in_a_row = bad_steps(self.model)
        new = steps[-(count - self.told_of) :] if count > self.told_of else []
        self.told_of = count
        for step in new:
            examples = self.recipe.train.describe(self.steps.indices(step - 1))
            self.say(f"Warning: step {step} is passed over, its gradients are no numbers. Examples: {examples}")
        if in_a_row:
            raise TrainingFailed(
                f"The loss or its gradients were no numbers in {IN_A_ROW} steps in a row, up to step {steps[-1]}. "
                "Lower the hyperparameter 'learning_rate', or look for broken labels in the data."
            )

    def _watched(self, record: Mapping[str, float]) -> float:
        """Return the value that decides which weights are best, so that less of it is better."""
        name = self.recipe.watched if self.recipe.watched in record else "loss"
        return self.finite(record[name]) * (1 if name.endswith("loss") else -1)

    def save(self) -> None:
        """Write a checkpoint where there is a folder for them."""
        before = self.clock()
        self.progress.seconds += before - self._counted
        self._counted = before
        if self.folder is not None:
            arrays, facts = capture(self.model, self.progress, self.best)
            self.folder.write({**arrays, **self.held_metrics}, facts)
        self._saved = self.clock()
        if self.config.checkpoint_seconds:
            self._wait = max(self.config.checkpoint_seconds, LEAST_WAIT * (self._saved - before))

    def _judge(self, loss: float) -> None:
        if self.progress.judge(loss, self.config):
            self.best = averaged_weights(self.model)
