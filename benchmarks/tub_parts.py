"""Parts of a tub as tubs of their own, and tubs made longer: what the two sides of a benchmark are given."""

import json
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainbox.data import split

BLOCK_LENGTH, BLOCK_GAP, FRACTION = 200, 5, 0.2


@dataclass(frozen=True)
class Parts:
    """Names of the image files of a tub to train on and to validate on, each in the order to be read in."""

    train: list[str]
    validation: list[str]


def records(tub: Path) -> list[dict]:
    """Return the records of a tub v2 without damage, in order; benchmarks take no other."""
    catalogs = json.loads((tub / "manifest.json").read_text().splitlines()[4])["paths"]
    return [json.loads(line) for name in catalogs for line in (tub / name).read_text().splitlines()]


def in_parts(tub: Path, seed: int, *, blocks: bool) -> Parts:
    """Draw which records validate; the order to train in is random, as donkeycar's is."""
    found = records(tub)
    names = np.array([record["cam/image_array"] for record in found])
    sessions = [record.get("_session_id") for record in found]
    if blocks:
        validates = split.blocks(sessions, FRACTION, seed, BLOCK_LENGTH)
        trains = ~validates & ~split.beside(validates, sessions, BLOCK_GAP)
    else:
        validates = split.random(len(found), FRACTION, seed)
        trains = ~validates
    order = np.random.default_rng(seed).permutation(names[trains])
    return Parts(order.tolist(), names[validates].tolist())


def write_part(tub: Path, kept: Collection[str], folder: Path) -> Path:
    """Copy a tub with only the ``kept`` records: the others are marked deleted and have no image."""
    folder.mkdir(parents=True)
    (folder / "images").mkdir()
    for catalog in tub.glob("catalog_*"):
        shutil.copyfile(catalog, folder / catalog.name)
    for name in kept:
        shutil.copyfile(tub / "images" / name, folder / "images" / name)
    gone = [line for line, record in enumerate(records(tub)) if record["cam/image_array"] not in set(kept)]
    lines = (tub / "manifest.json").read_text().splitlines()
    lines[4] = json.dumps({**json.loads(lines[4]), "deleted_indexes": gone})
    (folder / "manifest.json").write_text("\n".join(lines) + "\n")
    return folder


def write_long(tub: Path, wanted: int, folder: Path) -> Path:
    """Repeat a tub until ``wanted`` records are there. Each image file is made unlike its twins by a comment in it."""
    found = records(tub)
    for copy in range(-(-wanted // len(found))):
        kept = found[: wanted - copy * len(found)]
        part = write_part(tub, [record["cam/image_array"] for record in kept], folder / f"tub_{copy}")
        for image in (part / "images").iterdir():
            content = image.read_bytes()
            image.write_bytes(content[:2] + b"\xff\xfe\x00\x03" + bytes([copy]) + content[2:])
    return folder
