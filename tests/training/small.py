"""A small network with dropout and normalisation, and data: all that exact resume can get wrong, in seconds."""

from collections.abc import Callable

import keras
import numpy as np

from trainbox.training.config import TrainingConfig
from trainbox.training.recipe import Batch, Recipe


class Pictures:
    """Noise with a bright column whose place is the target. Training shifts the brightness at random."""

    def __init__(self, count: int, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.targets = random.uniform(-1, 1, count).astype(np.float32)
        self.images = random.integers(0, 60, (count, 12, 16, 3), np.uint8)
        for image, target in zip(self.images, self.targets, strict=True):
            image[:, int((target + 1) * 7.99)] += 120

    def __len__(self) -> int:
        return len(self.targets)

    def batch(self, indices: np.ndarray, random: np.random.Generator | None) -> Batch:
        images = self.images[indices].astype(np.float32) / 255
        if random is not None:
            images += random.uniform(-0.1, 0.1, (len(indices), 1, 1, 1)).astype(np.float32)
        return {"image": images}, {"place": self.targets[indices, None]}, None

    def describe(self, indices: np.ndarray) -> str:
        return ", ".join(f"picture {index}" for index in indices[:3])


class StopAfter:
    """Asks to stop once it was looked at ``looks`` times; never where that is None."""

    def __init__(self, looks: int | None = None) -> None:
        self.looks = looks

    @property
    def requested(self) -> bool:
        if self.looks is None:
            return False
        self.looks -= 1
        return self.looks < 0


def config(**values) -> TrainingConfig:
    return TrainingConfig.parse({"epochs": 3, "batch_size": 16, "seed": 3, **values})


def recipe(train: int = 96, validation: int = 32, fingerprint: str = "data", seed: int = 3, loss=None) -> Recipe:
    keras.utils.set_random_seed(seed)
    image = keras.Input((12, 16, 3), name="image")
    x = keras.layers.Conv2D(8, 3, activation="relu")(image)
    x = keras.layers.BatchNormalization(momentum=0.8)(x)
    x = keras.layers.Dropout(0.3)(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(16, activation="relu")(x)
    x = keras.layers.Dropout(0.2)(x)
    place = keras.layers.Dense(1, name="place", dtype="float32")(x)
    model = keras.Model({"image": image}, {"place": place})
    losses = {"place": loss or "mse"}
    data = Pictures(train), Pictures(validation, seed=1)
    return Recipe(model, model, losses, {"place": 1.0}, *data, fingerprint, {"place": ["mae"]}, learning_rate=0.01)


def weights(made: Recipe) -> list[np.ndarray]:
    return [np.array(keras.ops.convert_to_numpy(weight)) for weight in made.model.weights]


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    """Whether two lists of weights agree to the last bit."""
    return len(one) == len(other) and all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


Say = Callable[[str], None]
