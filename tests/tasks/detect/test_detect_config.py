"""The hyperparameters of detectors, as jobs write them."""

import pytest

from trainbox.container.contract.hyperparameters import decode
from trainbox.errors import HyperparameterError
from trainbox.tasks.detect.config import DetectConfig


@pytest.mark.parametrize("written", ["none", "None", '"none"', "null"])
def test_a_word_that_is_pythons_none_too_means_what_it_says(written: str) -> None:
    assert DetectConfig.parse(decode({"freeze": written})).freeze == "none"


def test_a_part_that_there_is_not_is_refused() -> None:
    with pytest.raises(HyperparameterError, match=r"'freeze' is wrong.*Received: 'head'"):
        DetectConfig.parse(decode({"freeze": "head"}))
