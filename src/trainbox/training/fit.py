"""Train a recipe's model with Keras ``fit``, so that it can be killed at any moment and go on exactly."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import keras

from trainbox.errors import TrainingFailed
from trainbox.training.checkpoint import CheckpointFolder, ignore_stage
from trainbox.training.config import TrainingConfig
from trainbox.training.guard import GuardedAdam, LossGuard, bad_steps
from trainbox.training.memory import reused_memory
from trainbox.training.progress import open_display
from trainbox.training.recipe import Recipe
from trainbox.training.run import Interrupted, Run, StopRequested
from trainbox.training.schedule import schedule_for
from trainbox.training.state import Progress, assign_weights, fingerprint, restore, restore_metrics
from trainbox.training.steps import TrainingSteps, ValidationSteps


@dataclass
class History:
    """How a training went.

    ``epochs`` holds, for each epoch, its ``loss``, ``val_loss``, metrics, ``learning_rate`` and ``images_per_second``.
    ``best_epoch`` counts from 1 and is 0 where no epoch was finished. ``stopped`` is why it ended: "epochs",
    "early stop" or "interrupted". ``seconds`` are of all processes that took part, ``images_per_second`` those of this
    one while it trained, ``data_wait`` the share of that time in which it waited for them. ``resumed_from`` is the
    step, counted over all epochs, where this process took over.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    stopped: str = "epochs"
    seconds: float = 0.0
    images_per_second: float = 0.0
    data_wait: float = 0.0
    resumed_from: int | None = None


def fit(
    recipe: Recipe,
    config: TrainingConfig,
    *,
    checkpoints: Path | None,
    logs: Path | None,
    stop: StopRequested,
    say: Callable[[str], None],
    on_stage: Callable[[str], None] = ignore_stage,
) -> History:
    """Train until the epochs are done, validation no longer improves, or ``stop`` is requested.

    What validates, and is left in the recipe's model where it did best, is the running mean of the weights; where
    nothing validates, the training loss decides. With a folder for ``checkpoints``, training goes on from the newest
    that is of the same data and hyperparameters, and ends with the very weights that an undisturbed run ends with.
    ``logs`` is a folder for TensorBoard. ``on_stage`` is told each stage of writing a checkpoint. Raises
    TrainingFailed where the loss is no number, CheckpointError where a checkpoint cannot be written.
    """
    if not len(recipe.train):
        raise TrainingFailed("There are no training examples. Received: 0. Give more data, or filter out less of it.")
    steps = TrainingSteps(recipe.train, config.batch_size, config.seed, config.steps_per_epoch, recipe.reader)
    validated_here = len(recipe.validation) and recipe.scores is None
    validation = ValidationSteps(recipe.validation, config.batch_size) if validated_here else None
    guard = LossGuard()
    _compile(recipe, config, steps.count, guard)
    folder = CheckpointFolder(checkpoints, fingerprint(recipe, config), on_stage) if checkpoints else None
    run = Run(recipe, config, steps, folder, stop, open_display(say, monotonic), guard, say)
    resumed_from = _resume(run, say)
    try:
        if run.progress.stopped is None:
            with reused_memory():
                _train(run, validation, logs)
        stopped = run.progress.stopped or "epochs"
    except Interrupted:
        stopped = "interrupted"
    finally:
        run.display.close()
        if recipe.reader is not None:
            recipe.reader.close()
    if run.best:
        assign_weights(run.model, run.best)
    progress = run.progress
    return History(
        progress.epochs,
        progress.best_epoch,
        stopped,
        progress.seconds,
        run.rate.of_all(),
        run.waiting.share_of_all(),
        resumed_from,
    )


def _compile(recipe: Recipe, config: TrainingConfig, steps_per_epoch: int, guard: LossGuard) -> None:
    peak = config.learning_rate or recipe.learning_rate
    recipe.model.compile(
        optimizer=GuardedAdam(schedule_for(peak, steps_per_epoch, config.epochs), recipe.rest),
        loss={name: guard.guarded(loss) for name, loss in recipe.losses.items()},
        loss_weights=dict(recipe.loss_weights),
        metrics=dict(recipe.metrics),
        # XLA makes TensorFlow's convolutions several times slower on a CPU, and Keras would turn it on.
        jit_compile="auto" if keras.backend.backend() == "jax" else False,
    )
    # Keras makes these only in the first step; a checkpoint must find them before it.
    recipe.model.optimizer.build(recipe.model.trainable_variables)
    with guard.off():
        recipe.model.evaluate(ValidationSteps(recipe.train, config.batch_size, batches=1), verbose=0)


def _resume(run: Run, say: Callable[[str], None]) -> int | None:
    """Take over from the newest checkpoint; return at which step of the whole run, None where there is none."""
    if run.folder is None:
        return None
    checkpoint = run.folder.newest()
    if checkpoint is None:
        if run.folder.others():
            say(
                f"The checkpoints in {run.folder.folder} are of other data or hyperparameters: they are left alone, "
                "and training starts from the beginning."
            )
        return None
    run.best = restore(run.model, checkpoint.arrays)
    run.progress = Progress(**checkpoint.facts)
    run.told_of = bad_steps(run.model)[0]
    if run.progress.step:
        run.held_metrics = {name: array for name, array in checkpoint.arrays.items() if name.startswith("metrics/")}
    at = run.progress.epoch * run.steps.count + run.progress.step
    say(f"Training goes on from a checkpoint: epoch {run.progress.epoch + 1}, step {run.progress.step}.")
    return at


def _train(run: Run, validation: ValidationSteps | None, logs: Path | None) -> None:
    if run.progress.step == run.steps.count:
        _finish_epoch(run, validation)
    first, last = run.progress.epoch, run.config.epochs
    # Keras fixes the number of steps per fit, so an epoch that was begun earlier is finished by a fit of its own.
    spans = [(first, first + 1), (first + 1, last)] if run.progress.step else [(first, last)]
    for begin, end in spans:
        if run.progress.stopped is None and begin < end:
            run.steps.begin(begin, run.progress.step)
            run.model.fit(
                run.steps,
                initial_epoch=begin,
                epochs=end,
                validation_data=validation,
                callbacks=_Watch(run, _tensorboard(logs)),
                shuffle=False,
                verbose=0,
            )


def _finish_epoch(run: Run, validation: ValidationSteps | None) -> None:
    """Validate an epoch whose steps were all done before the run was interrupted."""
    restore_metrics(run.model, run.held_metrics)
    logs = run.model.get_metrics_result()
    if validation is not None:
        scores = run.model.evaluate(validation, verbose=0, return_dict=True, callbacks=_Watch(run, ()))
        logs.update({f"val_{name}": value for name, value in scores.items()})
    run.end_epoch({**logs, **run.validated(lambda: run.model)})


def _tensorboard(logs: Path | None) -> Sequence[keras.callbacks.Callback]:
    if logs is None:
        return ()
    return (keras.callbacks.TensorBoard(str(logs), write_graph=False, update_freq="epoch"),)


class _Watch(keras.callbacks.CallbackList):
    """Tells a run of its steps and epochs.

    It stands in for Keras' own list because that one fetches every loss from the device after every step, which keeps
    a fast device waiting. The callbacks in it are told of epochs only.
    """

    def __init__(self, run: Run, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        super().__init__(list(callbacks), add_history=True, model=run.model)
        self._run = run

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        self._run.begin_epoch()

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        pass

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._run.end_step(logs or {}, lambda: self.model)

    def on_test_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        pass

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        super().on_test_begin(logs)
        self._run.begin_validation()

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        super().on_test_end(logs)
        self._run.end_validation()

    def on_test_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._run.end_validation_step(lambda: self.model)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        scores = self._run.validated(lambda: self.model)
        values = {**(logs or {}), **scores}
        super().on_epoch_end(epoch, values)
        self.model.stop_training = self._run.end_epoch(values)
