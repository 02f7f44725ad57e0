"""Examples as Keras reads them: batches whose order and augmentation follow from seed, pass and step alone."""

import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from time import monotonic
from typing import Any

import keras
import numpy as np

from trainbox.training.recipe import Batch, Examples, Reader

# Sets the order of a pass apart from its augmentation, which draws from the same seed and pass.
_ORDER = 1
AHEAD = 4
"""Batches that are asked for before they are needed."""
QUEUED: dict[str, Any] = {"workers": 2, "max_queue_size": 1}
"""Has Keras' own threads fetch batches. Where tf.data fetches them instead, every other epoch ends with a wait of up to
its own length: the thread that tunes tf.data sleeps 10 ms, then twice as long each time, and an iterator is not closed
before that thread wakes (TensorFlow 2.21)."""


class TrainingSteps(keras.utils.PyDataset):
    """One epoch's batches, from any of its steps on.

    An epoch is ``count`` steps: one pass over the examples where None. A pass leaves out the last batch that would not
    be full: all batches are then of one shape, for which the step is compiled once, and of one weight in the gradient;
    what is left out differs with every pass. ``reader`` reads ahead; without one, batches are read here.
    """

    def __init__(
        self,
        examples: Examples,
        batch_size: int,
        seed: int,
        count: int | None = None,
        reader: Reader | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__(**QUEUED)
        self._lock = threading.Lock()
        self._examples = examples
        self._seed = seed
        self._reader = reader
        self._clock = clock
        self.batch_size = min(batch_size, len(examples))
        self._per_pass = len(examples) // self.batch_size
        self.count = count or self._per_pass
        self._orders: dict[int, np.ndarray] = {}
        self.begin(0, 0)

    def begin(self, epoch: int, first_step: int) -> None:
        """Go to an epoch (counted from 0), to be read from ``first_step`` on."""
        self._epoch = epoch
        self._first = first_step
        self._asked: dict[int, Future[Batch]] = {}
        self._asked_until = first_step
        self.handed_over: dict[int, float] = {}

    def __len__(self) -> int:
        """Return the number of batches left in this epoch."""
        return self.count - self._first

    def __getitem__(self, index: int) -> tuple:
        """Read one batch."""
        step = self._first + index
        batch = self._read_ahead(step) if self._reader else self._read(step)
        self.handed_over[step] = self._clock()
        return _for_keras(batch)

    def indices(self, total_step: int) -> np.ndarray:
        """Return the examples of a step, counted from 0 over the whole run: int64 (batch size,)."""
        at_pass, step = divmod(total_step, self._per_pass)
        order = self._orders.get(at_pass)
        if order is None:
            sequence = np.random.SeedSequence([self._seed, at_pass], spawn_key=(_ORDER,))
            order = np.random.Generator(np.random.PCG64(sequence)).permutation(len(self._examples))
            # Several threads may come here: each puts a whole new mapping in place.
            self._orders = {**{number: kept for number, kept in self._orders.items() if number == at_pass - 1},
                            at_pass: order}  # fmt: skip
        return order[step * self.batch_size : (step + 1) * self.batch_size]

    def _drawn(self, step: int) -> tuple[np.ndarray, np.random.Generator]:
        """Return what a step of this epoch reads: its examples, and the state that draws their augmentation."""
        total = self._epoch * self.count + step
        sequence = np.random.SeedSequence([self._seed, *divmod(total, self._per_pass)])
        return self.indices(total), np.random.Generator(np.random.PCG64(sequence))

    def _read(self, step: int) -> Batch:
        with self._lock:
            return self._examples.batch(*self._drawn(step))

    def _read_ahead(self, step: int) -> Batch:
        """Return the batch of a step from the reader; read it here, and all that follow, where the reader has died."""
        try:
            return self._ask_ahead(step).result()
        except BrokenExecutor:
            self._reader = None
            return self._read(step)

    def _ask_ahead(self, step: int) -> "Future[Batch]":
        """Return the batch of a step, asked for earlier where it could be, and ask for the next ones."""
        with self._lock:
            if self._reader is None:
                raise BrokenExecutor("there is no reader to ask")
            wanted = [*range(self._asked_until, min(step + 1 + AHEAD, self.count))]
            if step < self._asked_until and step not in self._asked:
                # Keras reads the first batches once more, to learn their shape.
                wanted.append(step)
            for ahead in wanted:
                self._asked[ahead] = self._reader.ask(*self._drawn(ahead))
                self._asked_until = max(self._asked_until, ahead + 1)
            return self._asked.pop(step)


class ValidationSteps(keras.utils.PyDataset):
    """Every example once, in order, as it is; only the first ``batches`` where given."""

    def __init__(self, examples: Examples, batch_size: int, batches: int | None = None) -> None:
        super().__init__(**QUEUED)
        self._lock = threading.Lock()
        self._examples = examples
        self._batch_size = batch_size
        self._count = -(-len(examples) // batch_size)
        if batches is not None:
            self._count = min(self._count, batches)

    def __len__(self) -> int:
        """Return the number of batches."""
        return self._count

    def __getitem__(self, index: int) -> tuple:
        """Read one batch."""
        first = index * self._batch_size
        indices = np.arange(first, min(first + self._batch_size, len(self._examples)))
        with self._lock:
            return _for_keras(self._examples.batch(indices, None))


def _for_keras(batch: Batch) -> tuple:
    inputs, targets, weights = batch
    return (inputs, targets) if weights is None else (inputs, targets, weights)
