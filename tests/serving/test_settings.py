"""What the environment says, and what of it is documented."""

import os
import re
from pathlib import Path

import pytest

import trainbox.serving.settings
from trainbox.errors import UsageError
from trainbox.serving.cores import cores
from trainbox.serving.settings import MEGABYTE, Settings

DOCUMENTATION = Path(__file__).parents[2] / "docs/serving.md"


def test_nothing_set_means_on_your_premises() -> None:
    settings = Settings.from_environment({})
    assert (settings.host, settings.port, settings.page) == ("0.0.0.0", 8080, True)
    assert settings.workers == cores()
    assert settings.largest_body == 32 * MEGABYTE


def test_sagemakers_words_are_heard() -> None:
    settings = Settings.from_environment(
        {
            "MODEL_SERVER_WORKERS": "3",
            "MODEL_SERVER_TIMEOUT": "7.5",
            "SAGEMAKER_BIND_TO_PORT": "9000",
            "SAGEMAKER_BATCH": "True",
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": "20",
            "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "5",
            "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD",
        }
    )
    assert (settings.workers, settings.timeout, settings.port) == (3, 7.5, 9000)
    assert (settings.largest_body, settings.transforms, settings.page) == (20 * MEGABYTE, 5, False)
    assert settings.strategy == "SINGLE_RECORD"


def test_zero_and_nothing_mean_the_default() -> None:
    settings = Settings.from_environment(
        {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "0", "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "0", "MODEL_SERVER_WORKERS": " "}
    )
    assert settings.largest_body == 1024 * MEGABYTE
    assert settings.transforms == 4 * cores()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODEL_SERVER_WORKERS", "0"),
        ("MODEL_SERVER_WORKERS", "1.5"),
        ("MODEL_SERVER_WORKERS", "inf"),
        ("MODEL_SERVER_TIMEOUT", "-1"),
        ("MODEL_SERVER_TIMEOUT", "soon"),
        ("SAGEMAKER_BIND_TO_PORT", "70000"),
        ("SAGEMAKER_MULTI_MODEL", "yes please"),
        ("SAGEMAKER_BATCH_STRATEGY", "all"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"{name} must be .* Received: '{value.lower()}'"):
        Settings.from_environment({name: value})


def test_a_containers_share_counts(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text("100000 100000\n")
    assert cores(quota) == 1
    quota.write_text("150000 100000\n")
    assert cores(quota) == min(2, len(os.sched_getaffinity(0)))
    quota.write_text("max 100000\n")
    everything = len(os.sched_getaffinity(0))
    assert cores(quota, tmp_path) == cores(tmp_path / "nowhere", tmp_path) == everything
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")
    for share, count in (("50000", 1), ("-1", everything), ("none", everything)):
        (tmp_path / "cpu.cfs_quota_us").write_text(f"{share}\n")
        assert cores(tmp_path / "nowhere", tmp_path) == count


def test_every_variable_is_documented() -> None:
    source = Path(trainbox.serving.settings.__file__).read_text()
    read = set(re.findall(r'read\.\w+\("(\w+)"|environment\.get\("(\w+)"', source))
    names = {name for pair in read for name in pair if name} - {"SAGEMAKER_BATCH"}
    assert len(names) > 8
    page = DOCUMENTATION.read_text()
    assert {name for name in names if f"`{name}`" not in page} == set()
