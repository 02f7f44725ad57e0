import subprocess
import sys

import pytest

from trainbox.errors import HyperparameterError
from trainbox.tasks.drive.config import AUGMENTATIONS, DriveConfig


@pytest.mark.parametrize(("given", "frames"), [(False, 0), (True, 2), (0, 0), (1, 1), (5, 5)])
def test_with_slide_is_as_of_old_or_a_number(given: object, frames: int) -> None:
    assert DriveConfig.parse({"with_slide": given}).with_slide == frames


@pytest.mark.parametrize(
    ("given", "taken"),
    [(True, AUGMENTATIONS), (False, ()), (None, ()), ("mirror", ("mirror",)), ("blur, shadow", ("blur", "shadow"))],
)
def test_augment_is_a_switch_or_names(given: object, taken: tuple[str, ...]) -> None:
    assert DriveConfig.parse({"augment": given}).augment == taken


def test_a_job_of_old_gets_the_pilot_and_the_throttle_rule_of_old() -> None:
    config = DriveConfig.parse({"sagemaker_region": "eu-west-1", "with_slide": True})
    assert (config.pilot, config.batch_size, config.with_slide) == ("robocars", 32, 2)
    assert (config.minimum_throttle, config.raise_throttle_to) == (0.1, 0.2)


def test_what_a_job_of_old_says_itself_stands() -> None:
    config = DriveConfig.parse({"sagemaker_region": "eu-west-1", "minimum_throttle": 0.3, "batch_size": 64})
    assert (config.pilot, config.minimum_throttle, config.batch_size) == ("robocars", 0.3, 64)
    config = DriveConfig.parse({"sagemaker_region": "eu-west-1", "pilot": "linear"})
    assert (config.pilot, config.minimum_throttle, config.batch_size) == ("linear", None, 128)


def test_any_other_job_gets_the_linear_pilot_and_all_throttles() -> None:
    config = DriveConfig.parse({"with_slide": True})
    assert (config.pilot, config.minimum_throttle, config.raise_throttle_to) == ("linear", None, None)


def test_drive_modes_may_be_all() -> None:
    assert DriveConfig.parse({"drive_modes": None}).drive_modes == ()
    assert DriveConfig.parse({"drive_modes": "user,local_angle"}).drive_modes == ("user", "local_angle")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pilot", "rnn"),
        ("with_slide", -1),
        ("with_slide", 1.5),
        ("throttle_range", 0),
        ("validation", "none"),
        ("validation_fraction", 0),
        ("validation_fraction", float("nan")),
        ("augment", "flip"),
        ("memory_length", 0),
        ("min_records", 0),
        ("filter", "user/throttle >"),
        ("filter", "open('x')"),
        ("transfer", "../other"),
        ("transfer", "/etc/passwd"),
    ],
)
def test_wrong_values_are_refused_by_name_in_one_line(name: str, value: object) -> None:
    with pytest.raises(HyperparameterError) as refusal:
        DriveConfig.parse({name: value})
    assert f"'{name}" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_task_loads_without_anything_heavy() -> None:
    script = (
        "import sys, trainbox.tasks.drive\n"
        "heavy = {'tensorflow', 'keras', 'jax', 'h5py', 'boto3', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert trainbox.tasks.drive.task.name == 'drive'"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["epochs", "batch_size", "learning_rate", "seed", "minimum_throttle"])
def test_true_is_no_number(name: str) -> None:
    with pytest.raises(HyperparameterError, match=rf"'{name}' is wrong: it must be a number. Received: True."):
        DriveConfig.parse({name: True})
