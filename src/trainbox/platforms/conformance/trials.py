"""What an image is trained on to be checked: data and hyperparameters, demonstrations where none are given."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from trainbox import tasks
from trainbox.container.contract.paths import Paths
from trainbox.platforms import local
from trainbox.platforms.job import TrainingJob

QUICK = {"epochs": "1", "steps_per_epoch": "4", "batch_size": "8"}
ENDLESS = {"epochs": "100000", "patience": "100000"}
PICTURES = frozenset({".jpg", ".jpeg", ".png"})
DEMONSTRATED = 120


@dataclass(frozen=True, eq=False)
class Trial:
    """Channels and hyperparameters (strings to strings) of a training, and a picture to ask its model about.

    ``endless`` hyperparameters are set where the training is to be stopped.
    """

    name: str
    channels: Mapping[str, Path]
    hyperparameters: Mapping[str, str]
    picture: Path | None = None
    endless: Mapping[str, str] | None = None

    def unending(self) -> "Trial":
        """Return the same with the hyperparameters that make it long."""
        return replace(self, hyperparameters={**self.hyperparameters, **(self.endless or {})})

    def lay_out(self, folder: Path) -> Path:
        """Write the tree that SageMaker would give the image; return it."""
        paths = Paths(folder)
        local.lay_out(TrainingJob("trial", self.channels), paths)
        paths.hyperparameters.write_text(json.dumps(dict(self.hyperparameters)), encoding="utf-8")
        return folder


def demonstrations(folder: Path) -> list[Trial]:
    """Write a small data set of every task below ``folder``; return a quick training on each."""
    trials = []
    for name in tasks.available():
        data = folder / name
        tasks.get(name).write_demo(data, 0, DEMONSTRATED)
        trials.append(Trial(name, {"train": data}, {"task": name, **QUICK}, a_picture(data), ENDLESS))
    return trials


def a_picture(data: Path) -> Path | None:
    """Return the first whole picture below a folder, else the first at all, None where there is none."""
    found = [path for path in sorted(data.rglob("*")) if path.suffix.lower() in PICTURES and path.stat().st_size > 0]
    return next(filter(_is_whole, found), found[0] if found else None)


def _is_whole(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            picture.load()
    # Pillow raises many kinds of errors for pictures that are broken.
    except Exception:
        return False
    return True
