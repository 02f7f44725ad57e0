"""Everything a training run is at one moment, so that it can go on from there as if nothing had happened."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import keras
import numpy as np

from trainbox.training.config import TrainingConfig
from trainbox.training.recipe import Recipe

# They change how a run goes on, not what comes out of it.
_WITHOUT_EFFECT = {"task", "checkpoint_seconds"}
RULES = 3
"""Raise it where the same data and hyperparameters train otherwise than before: no run goes on by other rules."""


@dataclass
class Progress:
    """How far a run has come, and what early stopping and the history know. ``best`` holds the best weights.

    ``epoch`` counts finished epochs, ``step`` the finished steps of the one under way. ``reference_loss`` is the loss
    that an epoch must beat by ``min_delta`` to count as improvement, ``waited`` the epochs since one did.
    """

    epoch: int = 0
    step: int = 0
    best_loss: float | None = None
    best_epoch: int = 0
    reference_loss: float | None = None
    waited: int = 0
    stopped: str | None = None
    seconds: float = 0.0
    epochs: list[dict[str, float]] = field(default_factory=list)

    def judge(self, loss: float, config: TrainingConfig) -> bool:
        """Take in the watched loss of the epoch just counted; return whether its weights are the best so far.

        Any fall makes the weights the best; only one of more than ``min_delta`` keeps training from stopping early.
        """
        if self.reference_loss is None or loss < self.reference_loss - config.min_delta:
            self.reference_loss, self.waited = loss, 0
        else:
            self.waited += 1
        if self.epoch >= config.epochs:
            self.stopped = "epochs"
        elif self.waited >= config.patience:
            self.stopped = "early stop"
        if self.best_loss is not None and loss >= self.best_loss:
            return False
        self.best_loss, self.best_epoch = loss, self.epoch
        return True


def fingerprint(recipe: Recipe, config: TrainingConfig) -> str:
    """Return what must be equal for a checkpoint to be this run's: data, hyperparameters, weights' shapes, rules."""
    weights = [(list(variable.shape), str(variable.dtype)) for variable in recipe.model.variables]
    values = config.model_dump(mode="json", exclude=_WITHOUT_EFFECT)
    content = json.dumps([recipe.fingerprint, values, weights, RULES], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def capture(model: keras.Model, progress: Progress, best: Sequence[np.ndarray]) -> tuple[dict[str, np.ndarray], dict]:
    """Copy the run's state to arrays by name and facts that JSON can hold."""
    arrays = {
        f"{kind}/{index}": _array(variable)
        for kind, variables in _variables(model).items()
        for index, variable in enumerate(variables)
    }
    arrays.update({f"best/{index}": array for index, array in enumerate(best)})
    return arrays, asdict(progress)


def restore(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Put captured arrays back into a compiled and built model; return the best weights so far."""
    for kind, variables in _variables(model).items():
        for index, variable in enumerate(variables):
            variable.assign(arrays[f"{kind}/{index}"])
    best = [name for name in arrays if name.startswith("best/")]
    return [arrays[f"best/{index}"] for index in range(len(best))]


def metrics_of(model: keras.Model) -> dict[str, np.ndarray]:
    """Copy what the metrics have gathered."""
    return {f"metrics/{index}": _array(variable) for index, variable in enumerate(model.metrics_variables)}


def restore_metrics(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Put back what the metrics of the epoch under way have gathered; ``fit`` empties them when an epoch begins."""
    for index, variable in enumerate(model.metrics_variables):
        variable.assign(arrays[f"metrics/{index}"])


def assign_weights(model: keras.Model, arrays: Sequence[np.ndarray]) -> None:
    """Put copied weights back."""
    for variable, array in zip(model.weights, arrays, strict=True):
        variable.assign(array)


def _array(variable: Any) -> np.ndarray:
    # A copy: what a backend hands out may be the memory that the next step writes to.
    return np.array(keras.ops.convert_to_numpy(variable))


def _variables(model: keras.Model) -> dict[str, list[Any]]:
    # The states of random generators (dropout, augmentation) are among the variables that are not trained.
    return {
        "trainable": model.trainable_variables,
        "other": model.non_trainable_variables,
        "optimizer": model.optimizer.variables,
        "metrics": model.metrics_variables,
    }
