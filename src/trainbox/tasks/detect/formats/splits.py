"""Which part of the data a file belongs to, where its name says so."""

import re

TRAIN, VALIDATION, TEST = "train", "validation", "test"

_WORDS = {
    TRAIN: {"train", "training", "trainval"},
    VALIDATION: {"val", "valid", "validation", "dev", "eval", "evaluation"},
    TEST: {"test", "testing"},
}


def split_of_file(name: str) -> str:
    """Return what the name of a file of many images says, or else the folders that it lies in: "" for nothing.

    "data/train_labels.csv" and "annotations/instances_train2017.json" are "train".
    """
    parts = name.split("/")
    return next((split for part in reversed(parts) if (split := _split_of_part(part))), "")


def split_of_folder(name: str) -> str:
    """Return what the folders that a file lies in say, the innermost first; the file's own name says nothing."""
    return split_of_file(name.rpartition("/")[0])


def _split_of_part(part: str) -> str:
    words = set(re.split("[^a-z]+", part.lower()))
    found = [split for split, known in _WORDS.items() if words & known]
    return found[0] if len(found) == 1 else ""
