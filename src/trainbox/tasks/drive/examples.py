"""Training examples of a pilot: batches of images with the commands as the pilot's outputs learn them."""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np

from trainbox.data.cache import ImageCache
from trainbox.tasks.drive.augment import draw, unchanged
from trainbox.tasks.drive.bins import ANGLE_BINS, THROTTLE_BINS, angle_bin, throttle_bin
from trainbox.tasks.drive.pilots import PIXEL_RANGE, PilotKind
from trainbox.training.recipe import Batch

SCORED_AT_ONCE = 128
NAMED = 4


@dataclass(frozen=True)
class DriveExamples:
    """Samples whose images are in the cache, at ``rows`` (int64 (n,)) of it.

    ``angle``, ``throttle`` float32 (n,), -1..1; ``memory`` float32 (n, 2 * length); ``weights`` float32 (n,) or None;
    ``changes`` are the kinds of augmentation. ``images`` say where the images lie.
    """

    cache: ImageCache
    rows: np.ndarray
    angle: np.ndarray
    throttle: np.ndarray
    memory: np.ndarray
    images: tuple[str, ...]
    kind: PilotKind
    throttle_range: float
    changes: Collection[str] = ()
    weights: np.ndarray | None = field(default=None)

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: np.ndarray, random: np.random.Generator | None) -> Batch:
        """Read examples as ``Recipe`` wants them: ``image`` uint8 (n, 120, 160, 3), ``augmentation`` (n, 7).

        The pilot ``memory`` also gets ``mem_in``. Commands of frames to be mirrored are mirrored here.
        """
        changes = unchanged(len(indices)) if random is None else draw(self.changes, len(indices), random)
        side = 1 - 2 * changes[:, 0]
        inputs = {"image": self.cache.read(self.rows[indices]), "augmentation": changes}
        if self.kind.remembers:
            memory = self.memory[indices].copy()
            memory[:, 0::2] *= side[:, None]
            inputs["mem_in"] = memory
        targets = self.targets(self.angle[indices] * side, self.throttle[indices])
        if self.weights is None:
            return inputs, targets, None
        return inputs, targets, dict.fromkeys(targets, self.weights[indices])

    def describe(self, indices: np.ndarray) -> str:
        """Say where the first few images at ``indices`` lie."""
        return ", ".join(self.images[index] for index in indices[:NAMED])

    def take(self, indices: np.ndarray) -> "DriveExamples":
        """Return the examples at ``indices`` (int64), in that order."""
        return DriveExamples(
            self.cache,
            self.rows[indices],
            self.angle[indices],
            self.throttle[indices],
            self.memory[indices],
            tuple(self.images[index] for index in indices),
            self.kind,
            self.throttle_range,
            self.changes,
            None if self.weights is None else self.weights[indices],
        )

    def pixels(self, indices: np.ndarray) -> np.ndarray:
        """Return images (int64 (n,)) as uint8 (n, 120, 160, 3)."""
        return self.cache.read(self.rows[indices])

    def car_inputs(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Return what the deployed network is fed, float32: ``img_in`` (n, 120, 160, 3), for ``memory`` ``mem_in``."""
        scale = np.float32(self.kind.pixel_range / PIXEL_RANGE)
        inputs = {"img_in": self.pixels(indices).astype(np.float32) * scale}
        if self.kind.remembers:
            inputs["mem_in"] = self.memory[indices]
        return inputs

    def car_batches(self) -> Iterator[dict[str, np.ndarray]]:
        """Return the inputs of all examples in order, some at a time."""
        for start in range(0, len(self), SCORED_AT_ONCE):
            yield self.car_inputs(np.arange(start, min(start + SCORED_AT_ONCE, len(self))))

    def digest(self) -> bytes:
        """Return a digest of the examples: their image files, their commands, their order."""
        whole = hashlib.blake2b(digest_size=16)
        for row in self.rows:
            whole.update(self.cache.digests[row])
        for column in (self.angle, self.throttle, self.memory):
            whole.update(np.ascontiguousarray(column).tobytes())
        return whole.digest()

    def targets(self, angle: np.ndarray, throttle: np.ndarray) -> dict[str, np.ndarray]:
        """Return commands (n,) as the outputs learn them: float32 (n, 1), or (n, bins) with one 1 a row."""
        targets = {}
        for name, quantity, bins in self.kind.outputs:
            command = angle if quantity == "angle" else throttle
            targets[name] = command[:, None] if bins is None else self._one_hot(command, quantity)
        return targets

    def _one_hot(self, command: np.ndarray, quantity: str) -> np.ndarray:
        if quantity == "angle":
            return np.eye(ANGLE_BINS, dtype=np.float32)[angle_bin(command)]
        return np.eye(THROTTLE_BINS, dtype=np.float32)[throttle_bin(command, self.throttle_range)]
