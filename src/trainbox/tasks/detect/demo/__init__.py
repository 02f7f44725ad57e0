"""A synthetic data set: shapes on textures, in any of the formats that are read."""

import tempfile
from pathlib import Path

from trainbox.errors import UsageError
from trainbox.tasks.detect.demo.scars import SCARS, scarred
from trainbox.tasks.detect.demo.scenes import SHAPES, Painter
from trainbox.tasks.detect.demo.writers import WRITERS, Scenes

DEFAULT_IMAGES = 400
LEAST_IMAGES = 10
# Of the images, in order: to train on, to validate on, to test on.
_SHARES = {"train": 0.7, "validation": 0.2, "test": 0.1}
_NOTE = "demo.txt"


def write_demo(
    folder: Path, seed: int, images: int = DEFAULT_IMAGES, data_format: str = "voc", scars: bool = False
) -> str:
    """Write a data set of ``images`` pictures ("voc", "coco", "yolo" or "tfrecord"); return one line saying what it is.

    With ``scars``, a few of its pictures and boxes are broken as those of real data are. The same arguments write the
    same bytes. A folder that already holds that very data set is left as it is; raises UsageError where it holds
    anything else.
    """
    if images < LEAST_IMAGES or data_format not in WRITERS:
        raise UsageError(
            f"A demo has {LEAST_IMAGES} images or more, in one of the formats {', '.join(WRITERS)}. "
            f"Received: {images} images, format '{data_format}'."
        )
    note = f"shapes on textures: seed {seed}, {images} images, {data_format}{', scarred' if scars else ''}\n"
    if folder.is_dir() and (folder / _NOTE).is_file() and (folder / _NOTE).read_text() == note:
        return f"{folder} already holds these {note.strip()}."
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"A demo needs an empty or new folder. Received: {folder}, which holds other files.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        drawn = Path(scratch) / "demo"
        painter = Painter(seed)
        scenes = [(f"shapes-{number:04d}", painter.draw(number)) for number in range(images)]
        WRITERS[data_format](drawn, _split(scarred(scenes) if scars else scenes))
        (drawn / _NOTE).write_text(note)
        if folder.exists():
            folder.rmdir()
        drawn.rename(folder)
    return f"Wrote {images} images of {', '.join(SHAPES)} to {folder} ({data_format}, split 70:20:10)" + (
        f"; with scars: {', '.join(SCARS)}." if scars else "."
    )


def _split(scenes: Scenes) -> dict[str, Scenes]:
    splits: dict[str, Scenes] = {}
    start = 0
    for split, share in _SHARES.items():
        end = len(scenes) if split == "test" else start + round(len(scenes) * share)
        splits[split] = scenes[start:end]
        start = end
    return splits
