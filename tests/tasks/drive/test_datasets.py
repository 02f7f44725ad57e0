import json
from pathlib import Path

import numpy as np
import pytest

from trainbox.errors import ChannelError, DataError
from trainbox.tasks.drive.bins import angle_bin
from trainbox.tasks.drive.config import DriveConfig
from trainbox.tasks.drive.datasets import DriveDatasets, read_datasets, read_examples

QUICK = {"min_records": 20, "block_length": 10, "block_gap": 0}


def read(channels: dict[str, Path], scratch: Path, **hyperparameters: object) -> DriveDatasets:
    return read_datasets(DriveConfig.parse({**QUICK, **hyperparameters}), channels, scratch)


def angles(count: int) -> list[float]:
    return np.linspace(-0.9, 0.9, count).round(4).tolist()


def test_channels_named_train_are_trained_on_and_split(write_tub, tmp_path: Path) -> None:
    first, second = write_tub("one", angles(40)), write_tub("two", angles(30), pictures=range(100, 130))
    datasets = read({"train": first, "train-2": second}, tmp_path / "scratch")
    assert (len(datasets.train), len(datasets.validation)) == (56, 14)
    assert [tub["records"] for tub in datasets.facts["tubs"]] == [40, 30]
    assert datasets.facts["sessions"] == 2


def test_a_validation_channel_is_validated_on(write_tub, tmp_path: Path) -> None:
    train, held = write_tub("one", angles(40)), write_tub("two", angles(10), pictures=range(100, 110))
    datasets = read({"train": train, "validation": held}, tmp_path / "scratch")
    assert (len(datasets.train), len(datasets.validation)) == (40, 10)
    np.testing.assert_allclose(datasets.validation.angle, angles(10))


def test_duplicates_of_training_images_are_moved_to_training(write_tub, tmp_path: Path) -> None:
    train, held = write_tub("one", angles(40)), write_tub("two", angles(10), pictures=[5, 7, *range(100, 108)])
    datasets = read({"train": train, "validation": held}, tmp_path / "scratch")
    assert (len(datasets.train), len(datasets.validation)) == (42, 8)
    assert datasets.problems.warnings["image is in training too: moved to training"].count == 2


def test_what_lies_beside_a_duplicate_does_not_validate(write_tub, tmp_path: Path) -> None:
    train = write_tub("one", angles(40))
    held = write_tub("two", angles(20), pictures=[*range(100, 110), 7, *range(200, 209)])
    datasets = read({"train": train, "validation": held}, tmp_path / "scratch", block_gap=2)
    assert (len(datasets.train), len(datasets.validation)) == (41, 15)
    assert datasets.problems.skips["next to an image that is in training too"].count == 4


def test_a_tub_given_twice_is_split_alike_both_times(write_tub, tmp_path: Path) -> None:
    tubs = {"train": write_tub("one", angles(40)), "train-2": write_tub("two", angles(40))}
    datasets = read(tubs, tmp_path / "scratch")
    assert len(datasets.train) + len(datasets.validation) == 80
    trained, held = ({side.cache.digests[row] for row in side.rows} for side in (datasets.train, datasets.validation))
    assert not trained & held
    assert 16 <= len(datasets.validation) <= 32


def test_nothing_new_to_validate_on_is_refused(write_tub, tmp_path: Path) -> None:
    train, held = write_tub("one", angles(40)), write_tub("two", angles(10))
    with pytest.raises(DataError, match=r"Nothing is left on one side: 50 records to train on, 0 to validate on"):
        read({"train": train, "validation": held}, tmp_path / "scratch")


def test_frames_beside_a_block_are_left_out_and_counted(write_tub, tmp_path: Path) -> None:
    datasets = read({"train": write_tub("one", angles(60))}, tmp_path / "scratch", block_gap=2)
    left_out = datasets.problems.skips["next to a validation block"].count
    assert left_out >= 2
    assert len(datasets.train) + len(datasets.validation) + left_out == 60


def test_random_split_is_for_comparison(write_tub, tmp_path: Path) -> None:
    datasets = read({"train": write_tub("one", angles(60))}, tmp_path / "scratch", validation="random", block_gap=5)
    assert (len(datasets.train), len(datasets.validation)) == (48, 12)
    assert np.diff(datasets.validation.rows).max() > 1


def test_unreadable_images_are_counted_and_passed_over(write_tub, tmp_path: Path) -> None:
    tub = write_tub("one", angles(40))
    (tub / "7_cam-image_array_.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    datasets = read({"train": tub}, tmp_path / "scratch")
    assert len(datasets.train) + len(datasets.validation) == 39
    assert datasets.problems.skipped == 1


def test_a_tub_of_which_more_is_damaged_than_whole_is_refused(write_tub, tmp_path: Path) -> None:
    tub = write_tub("one", angles(60))
    for number in range(1, 32):
        (tub / f"{number}_cam-image_array_.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    with pytest.raises(DataError, match=r"^Too many records cannot be read: 31 of 60\. Left out: .* \(31\)\.$"):
        read({"train": tub}, tmp_path / "scratch")


def test_deleted_records_are_not_damaged_ones(write_tub, tmp_path: Path) -> None:
    tub = write_tub("one", angles(60))
    (tub / "exclude.json").write_text(json.dumps(list(range(1, 36))))
    datasets = read({"train": tub}, tmp_path / "scratch")
    assert len(datasets.train) + len(datasets.validation) == 25


def test_too_few_records_are_refused_with_counts(write_tub, tmp_path: Path) -> None:
    tub = write_tub("one", angles(30), throttles=[0.05] * 15 + [0.5] * 15)
    with pytest.raises(DataError) as refusal:
        read({"train": tub}, tmp_path / "scratch", minimum_throttle=0.1)
    assert "15 of 30" in str(refusal.value)
    assert "min_records is 20" in str(refusal.value)
    assert "throttle is not above minimum_throttle (15)" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_missing_train_channel_is_refused_naming_those_there_are(write_tub, tmp_path: Path) -> None:
    with pytest.raises(ChannelError, match=r"Channel 'train' is missing\. Received: images\."):
        read({"images": write_tub("one", angles(40))}, tmp_path / "scratch")


def test_a_channel_without_a_tub_is_refused_by_name(write_tub, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"Channel 'train-2': "):
        read({"train": write_tub("one", angles(40)), "train-2": tmp_path / "empty"}, tmp_path / "scratch")


def test_other_channels_are_said_to_be_unused(write_tub, tmp_path: Path) -> None:
    datasets = read({"train": write_tub("one", angles(40)), "extra": tmp_path}, tmp_path / "scratch")
    assert datasets.problems.warnings["channel is not used"].examples == ["extra"]


def test_fingerprint_follows_the_data_and_the_split(write_tub, tmp_path: Path) -> None:
    tub, other = write_tub("one", angles(40)), write_tub("two", angles(40)[::-1])
    first = read({"train": tub}, tmp_path / "a").fingerprint
    assert read({"train": tub}, tmp_path / "b").fingerprint == first
    assert read({"train": other}, tmp_path / "c").fingerprint != first
    assert read({"train": tub}, tmp_path / "d", seed=1).fingerprint != first


def test_validation_batches_are_as_they_are(write_tub, tmp_path: Path) -> None:
    datasets = read({"train": write_tub("one", angles(40))}, tmp_path / "scratch")
    inputs, targets, weights = datasets.validation.batch(np.arange(4), None)
    assert inputs["image"].shape == (4, 120, 160, 3)
    assert inputs["image"].dtype == np.uint8
    assert not inputs["augmentation"].any()
    assert weights is None
    np.testing.assert_allclose(targets["n_outputs0"][:, 0], datasets.validation.angle[:4])
    np.testing.assert_allclose(targets["n_outputs1"], 0.3)


def test_same_generator_same_batch(write_tub, tmp_path: Path) -> None:
    train = read({"train": write_tub("one", angles(40))}, tmp_path / "scratch").train
    first, second = (train.batch(np.arange(8), np.random.default_rng(3)) for _ in range(2))
    for before, after in zip(first[:2], second[:2], strict=True):
        for name in before:
            np.testing.assert_array_equal(before[name], after[name])


def test_commands_of_mirrored_frames_are_mirrored(write_tub, tmp_path: Path) -> None:
    datasets = read({"train": write_tub("one", angles(40))}, tmp_path / "scratch", pilot="memory", augment="mirror")
    inputs, targets, _ = datasets.train.batch(np.arange(24), np.random.default_rng(0))
    side = 1 - 2 * inputs["augmentation"][:, 0]
    assert set(side) == {-1, 1}
    np.testing.assert_allclose(targets["n_outputs0"][:, 0], datasets.train.angle[:24] * side)
    np.testing.assert_allclose(targets["n_outputs1"], 0.3)
    np.testing.assert_allclose(inputs["mem_in"][:, 0::2], datasets.train.memory[:24, 0::2] * side[:, None])
    np.testing.assert_allclose(inputs["mem_in"][:, 1::2], 0.3)


def test_categorical_targets_are_bins_of_the_mirrored_angle(write_tub, tmp_path: Path) -> None:
    datasets = read({"train": write_tub("one", angles(40))}, tmp_path / "scratch", pilot="categorical")
    inputs, targets, _ = datasets.train.batch(np.arange(24), np.random.default_rng(0))
    side = 1 - 2 * inputs["augmentation"][:, 0]
    np.testing.assert_array_equal(targets["angle_out"].argmax(axis=1), angle_bin(datasets.train.angle[:24] * side))
    assert targets["angle_out"].shape == (24, 15)
    assert targets["throttle_out"].shape == (24, 20)
    np.testing.assert_array_equal(targets["throttle_out"].sum(axis=1), 1)


def test_balance_weighs_training_and_not_validation(write_tub, tmp_path: Path) -> None:
    tub = write_tub("one", [0.0] * 36 + [0.9] * 4)
    datasets = read({"train": tub}, tmp_path / "scratch", balance=True, validation="random", smooth_steering=0)
    _, targets, weights = datasets.train.batch(np.arange(len(datasets.train)), None)
    assert weights is not None
    assert set(weights) == set(targets)
    bends = datasets.train.angle > 0.5
    assert weights["n_outputs0"][bends].min() > weights["n_outputs0"][~bends].max()
    assert datasets.validation.batch(np.arange(2), None)[2] is None


@pytest.mark.parametrize(("pilot", "largest"), [("linear", 1.0), ("robocars", 255.0)])
def test_car_inputs_are_what_the_car_feeds(write_tub, tmp_path: Path, pilot: str, largest: float) -> None:
    examples = read({"train": write_tub("one", angles(40))}, tmp_path / "scratch", pilot=pilot).validation
    fed = examples.car_inputs(np.arange(3))["img_in"]
    assert fed.dtype == np.float32
    np.testing.assert_allclose(fed, examples.pixels(np.arange(3)) * (largest / 255), rtol=1e-5)


def test_scoring_reads_every_usable_record(write_tub, tmp_path: Path) -> None:
    from trainbox.data.problems import Problems

    config = DriveConfig.parse({"minimum_throttle": 0.1})
    tub = write_tub("one", angles(5), throttles=[0.0, 0.2, 0.3, 0.4, 0.5])
    assert len(read_examples(config, [tub], tmp_path / "scratch", Problems())) == 4


def test_steering_that_never_changes_is_warned_of(write_tub, tmp_path: Path) -> None:
    reason = "the steering never changes in what is trained on: there is nothing to learn"
    steady = read({"train": write_tub("one", [0.2] * 40)}, tmp_path / "a")
    assert steady.problems.warnings[reason].count == 1
    assert reason not in read({"train": write_tub("two", angles(40))}, tmp_path / "b").problems.warnings
