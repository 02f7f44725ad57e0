"""Examples as Keras reads them: batches whose order and augmentation follow from seed, epoch and step alone."""

import keras
import numpy as np

from trainbox.training.recipe import Batch, Examples

# Sets the order of an epoch apart from its augmentation, which draws from the same seed and epoch.
_ORDER = 1


class TrainingSteps(keras.utils.PyDataset):
    """One epoch's batches, from any of its steps on. A last batch that would not be full is left out.

    All batches are then of one shape, for which the step is compiled once, and of one weight in the gradient; what is
    left out differs with every epoch.
    """

    def __init__(self, examples: Examples, batch_size: int, seed: int) -> None:
        super().__init__()
        self._examples = examples
        self._seed = seed
        self.batch_size = min(batch_size, len(examples))
        self.count = len(examples) // self.batch_size
        self.begin(0, 0)

    def begin(self, epoch: int, first_step: int) -> None:
        """Draw the order of an epoch (counted from 0), to be read from ``first_step`` on."""
        sequence = np.random.SeedSequence([self._seed, epoch], spawn_key=(_ORDER,))
        self._order = np.random.Generator(np.random.PCG64(sequence)).permutation(len(self._examples))
        self._epoch = epoch
        self._first = first_step

    def __len__(self) -> int:
        """Return the number of batches left in this epoch."""
        return self.count - self._first

    def __getitem__(self, index: int) -> tuple:
        """Read one batch."""
        step = self._first + index
        indices = self._order[step * self.batch_size : (step + 1) * self.batch_size]
        sequence = np.random.SeedSequence([self._seed, self._epoch, step])
        return _for_keras(self._examples.batch(indices, np.random.Generator(np.random.PCG64(sequence))))


class ValidationSteps(keras.utils.PyDataset):
    """Every example once, in order, as it is; only the first ``batches`` where given."""

    def __init__(self, examples: Examples, batch_size: int, batches: int | None = None) -> None:
        super().__init__()
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
        return _for_keras(self._examples.batch(indices, None))


def _for_keras(batch: Batch) -> tuple:
    inputs, targets, weights = batch
    return (inputs, targets) if weights is None else (inputs, targets, weights)
