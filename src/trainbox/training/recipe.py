"""What a task hands to ``fit``: examples to read, a model to train, and the network inside it to export."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import keras

    from trainbox.training.rest import Rest

Batch = tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray] | None]
"""Inputs, targets and optional sample weights: each by name, first axis the examples."""


class Examples(Protocol):
    """A fixed, ordered collection of training examples that can be read in any order."""

    def __len__(self) -> int:
        """Return the number of examples."""

    def batch(self, indices: np.ndarray, random: np.random.Generator | None) -> Batch:
        """Read the examples at ``indices`` (int64, shape (n,)).

        ``random`` draws the augmentation; None means as they are (validation). The same indices and the same state
        of ``random`` give the same batch, always: exact resume stands on it.
        """

    def describe(self, indices: np.ndarray) -> str:
        """Say which examples these are, for a person: the files of the first few."""


class Reader(Protocol):
    """Reads batches ahead, elsewhere than in the process that trains."""

    def ask(self, indices: np.ndarray, random: np.random.Generator | None) -> "Future[Batch]":
        """Begin to read what ``Examples.batch`` would."""

    def close(self) -> None:
        """End what reads."""


Scores = Callable[[Callable[[], object]], Mapping[str, float]]
"""Scores the model as it stands on the validation examples: ``val_...`` names. It calls what it is given after each
batch, so that a run can be stopped between them."""


@dataclass(frozen=True)
class Recipe:
    """Everything ``fit`` needs that a task decides.

    ``model`` maps ``Examples.batch`` inputs to outputs (augmentation inside its graph, identity when not training);
    ``network`` is the part that is deployed. They share their weights. ``learning_rate`` is the peak where the
    hyperparameter gives none. ``fingerprint`` changes with the data and with all that decides what is learned from it.
    ``scores`` validates where the losses on ``validation`` do not say enough; ``watched`` is the value of an epoch that
    decides which weights are best: the lower where its name ends in "loss", else the higher. ``rest`` says which
    weights stand still when: a ``RestingModel`` then need not compute their gradients. ``reader`` reads the training
    batches ahead. ``facts`` are what a bundle's manifest says of the network, ``remarks`` what its user is to know of
    it before it is trained.
    """

    model: "keras.Model"
    network: "keras.Model"
    losses: Mapping[str, Any]
    loss_weights: Mapping[str, float]
    train: Examples
    validation: Examples
    fingerprint: str
    metrics: Mapping[str, Any] = field(default_factory=dict)
    learning_rate: float = 0.001
    scores: Scores | None = None
    watched: str = "val_loss"
    rest: "Rest | None" = None
    reader: Reader | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    remarks: Sequence[str] = ()
