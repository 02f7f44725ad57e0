"""What is broken in data that people have, put into a few pictures of the demo."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from trainbox.tasks.detect.demo.scenes import HEIGHT, WIDTH, Scene
from trainbox.tasks.detect.demo.writers import Scenes


def _empty(scene: Scene) -> Scene:
    return replace(scene, jpeg=b"")


def _torn(scene: Scene) -> Scene:
    return replace(scene, jpeg=scene.jpeg[: len(scene.jpeg) // 3])


def _flat(scene: Scene) -> Scene:
    return _with_box(scene, (30, 40, 30, 90))


def _beyond(scene: Scene) -> Scene:
    return _with_box(scene, (HEIGHT - 40, WIDTH - 60, HEIGHT, WIDTH + 8))


def _with_box(scene: Scene, box: tuple[int, int, int, int]) -> Scene:
    return replace(scene, boxes_yxyx=np.vstack([scene.boxes_yxyx, box]), names=(*scene.names, "disc"))


SCARS: Mapping[str, Callable[[Scene], Scene]] = {
    "a picture of no bytes": _empty,
    "a torn picture": _torn,
    "a box of no height": _flat,
    "a box beyond the edge": _beyond,
}
"""What each is called, and how a picture gets it."""


def scarred(scenes: Scenes) -> Scenes:
    """Return the scenes with each scar in one of the first: those are trained on, so no score is of them."""
    broken = [(name, scar(scene)) for (name, scene), scar in zip(scenes, SCARS.values(), strict=False)]
    return [*broken, *scenes[len(broken) :]]
