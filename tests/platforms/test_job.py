from pathlib import Path

import pytest

from trainbox.container.contract.hyperparameters import decode
from trainbox.errors import ChannelError, HyperparameterError, RefusedInput, UsageError
from trainbox.platforms.job import TrainingJob

DATA = {"train": Path("tub.zip")}


def test_hyperparameters_travel_as_strings_and_come_back_equal() -> None:
    values = {"epochs": 20, "with_slide": True, "sagemaker_region": "eu-west-1", "filter": None, "modes": ["user"]}
    encoded = TrainingJob("drive", DATA, values).encoded
    assert all(isinstance(value, str) for value in encoded.values())
    assert decode(encoded) == {"task": "drive", **values}


def test_a_job_without_a_name_is_named_for_its_task_and_time() -> None:
    assert TrainingJob("drive", DATA).name.startswith("drive-20")


@pytest.mark.parametrize("name", ["a" * 64, "-a", "a-", "a_b", "a.b", "a b", "é"])
def test_names_that_sagemaker_refuses(name: str) -> None:
    with pytest.raises(UsageError, match="is not allowed"):
        TrainingJob("drive", DATA, name=name)


@pytest.mark.parametrize(
    ("channels", "values", "error"),
    [
        ({}, {}, ChannelError),
        ({f"c{i}": Path("x") for i in range(21)}, {}, ChannelError),
        ({"..": Path("x")}, {}, ChannelError),
        (DATA, {f"h{i}": i for i in range(100)}, HyperparameterError),
        (DATA, {"h" * 257: 1}, HyperparameterError),
        (DATA, {"h": "x" * 2499}, HyperparameterError),
    ],
    ids=["no channel", "21 channels", "channel name", "101 hyperparameters", "long name", "long value"],
)
def test_limits_are_those_of_sagemaker(channels: dict, values: dict, error: type[RefusedInput]) -> None:
    with pytest.raises(error):
        TrainingJob("drive", channels, values)
