"""Which images validate."""

import dataclasses

import numpy as np
import pytest

from trainbox.errors import DataError
from trainbox.tasks.detect.dataset import AnnotatedImage
from trainbox.tasks.detect.split import split_images

NOTHING = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0, bool)


class Named:
    def __init__(self, name):
        self.name = name

    def read(self):
        return self.name.encode()


def images(count, splits=(), source=None):
    made = []
    for number in range(count):
        name = f"frame-{number}.jpg"
        split = splits[number] if splits else ""
        source_id = source(number) if source else name
        made.append(AnnotatedImage(Named(name), name, 60, 80, 1, *NOTHING, split, source_id, name.encode()))
    return made


def test_the_datas_own_split_is_kept(problems):
    own = ["train", "validation", "test", "train", ""]
    splits, origin = split_images(images(5, own), 0.2, 0, problems)
    assert splits.tolist() == ["train", "validation", "test", "train", "train"]
    assert origin == "the data's own split"


def test_test_images_validate_where_no_others_do(problems):
    splits, origin = split_images(images(3, ["train", "train", "test"]), 0.5, 0, problems)
    assert splits.tolist() == ["train", "train", "validation"] and "its test images validate" in origin


@pytest.mark.parametrize("only", ["", "train", "validation", "test"])
def test_one_split_alone_is_none(problems, only):
    splits, origin = split_images(images(100, [only] * 100), 0.2, 0, problems)
    assert origin.startswith("contiguous blocks") and (splits == "validation").sum() == 20


def test_blocks_follow_the_numbers_in_the_names_in_whatever_order_the_images_come(problems):
    made = images(200)
    order = np.random.default_rng(0).permutation(200)
    splits, _ = split_images([made[place] for place in order], 0.2, 3, problems)
    validating = np.sort(order[splits == "validation"])
    assert len(validating) == 40
    # Four blocks of ten: 36 neighbours; drawn at random there would be about eight.
    assert (np.diff(validating) == 1).sum() >= 34


def test_images_of_one_source_stay_together(problems):
    made = images(60, source=lambda number: f"film {number // 6}")
    splits, _ = split_images(made, 0.2, 0, problems)
    for film in range(10):
        assert len(set(splits[film * 6 : film * 6 + 6])) == 1
    assert (splits == "validation").sum() == 12


def test_copies_are_moved_to_training_and_counted(problems, warnings):
    made = images(6, ["train", "train", "validation", "validation", "test", "test"])
    made[2] = dataclasses.replace(made[2], digest=made[0].digest)
    made[5] = dataclasses.replace(made[5], digest=made[4].digest)
    splits, _ = split_images(made, 0.2, 0, problems)
    assert splits.tolist() == ["train", "train", "train", "validation", "test", "test"]
    assert warnings() == {
        "image is there more than once": 2,
        "copy of an image of another split is moved to training": 1,
    }


def test_too_few_images_are_refused(problems):
    with pytest.raises(DataError, match="Too few images"):
        split_images(images(1), 0.2, 0, problems)
    copies = [dataclasses.replace(image, digest=b"same") for image in images(4, ["train", "train", "test", "test"])]
    with pytest.raises(DataError, match="all are copies"):
        split_images(copies, 0.2, 0, problems)


def test_the_seed_draws_the_blocks(problems):
    made = images(100)
    first, again, other = (split_images(made, 0.2, seed, problems)[0].tolist() for seed in (1, 1, 2))
    assert first == again != other
