from pathlib import Path
from typing import Any

import pytest

from trainbox.errors import UsageError
from trainbox.platforms import prices
from trainbox.platforms.sagemaker.asking.estimate import (
    LEAST_SECONDS,
    SECONDS_TO_STOP,
    START_UP,
    estimate,
    expected_seconds,
    processors_of,
    seconds_for,
)
from trainbox.platforms.sagemaker.asking.plan import Plan
from trainbox.tasks import Workload, available, get

WORK = Workload((50_000, 100_000), (60, 240), (30, 90))


@pytest.fixture(autouse=True)
def _a_dollar_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    prices.keep("eu-west-1", "2026-11-22", "AWS", {"ml.c5.2xlarge": 1.0, "ml.c5.4xlarge": 2.0, "ml.g5.xlarge": 1.5})


def plan(**changes: Any) -> Plan:
    given = {
        "region": "eu-west-1",
        "role": "arn:aws:iam::123456789012:role/trainbox",
        "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/trainbox:train",
        "bucket": "trainbox-123456789012",
        "instance_type": "ml.c5.2xlarge",
    }
    return Plan(**{**given, **changes})


@pytest.mark.parametrize(
    ("instance_type", "processors"),
    [("ml.m5.large", 2), ("ml.c5.xlarge", 4), ("ml.c5.2xlarge", 8), ("ml.m5.24xlarge", 96), ("ml.x.metal", None)],
)
def test_processors_are_read_from_the_name_of_the_size(instance_type: str, processors: int | None) -> None:
    assert processors_of(instance_type) == processors


def test_the_range_holds_what_was_measured() -> None:
    # benchmarks/RESULTS.md: 9 epochs of 4,683 records on two processors, 215.7 s with all around them.
    task = get("drive")
    found = expected_seconds(plan(instance_type="ml.m5.large"), task.workload(task.config.parse({}), 5854), 30_000_000)
    assert found[0] - START_UP[0] < 215.7 < found[1] - START_UP[1]


def test_start_up_is_always_in_it() -> None:
    assert expected_seconds(plan(), Workload((1, 1), (1e9, 1e9), (0, 0)), 0) == pytest.approx(START_UP, abs=0.1)


@pytest.mark.parametrize("task", available())
def test_more_data_takes_longer_and_a_larger_machine_is_quicker(task: str) -> None:
    def most(instance_type: str, examples: int) -> float:
        workload = get(task).workload(get(task).config.parse({}), examples)
        return expected_seconds(plan(instance_type=instance_type), workload, 0)[1]

    assert most("ml.c5.2xlarge", 5_000) < most("ml.c5.2xlarge", 20_000)
    assert most("ml.c5.4xlarge", 5_000) < most("ml.c5.2xlarge", 5_000)


def test_steps_that_were_asked_for_are_counted_exactly() -> None:
    task = get("detect")
    assert task.workload(task.config.parse({"num_steps": 100, "batch_size": 8}), 5_000).images == (800, 800)


def test_the_time_limit_ends_the_range() -> None:
    assert expected_seconds(plan(max_runtime_seconds=600), WORK, 10**13)[1] == 600 + START_UP[1] + SECONDS_TO_STOP


def test_money_is_time_times_price() -> None:
    found = estimate(plan(), WORK, 0)
    assert found.seconds is not None
    assert found.usd == pytest.approx((found.seconds[0] / 3600, found.seconds[1] / 3600))
    assert found.most_usd == pytest.approx((86400 + START_UP[1] + SECONDS_TO_STOP) / 3600)
    assert "by prices of 2026-11-22" in found.say()


def test_spot_is_cheaper_and_says_what_is_assumed() -> None:
    spot, full = estimate(plan(spot=True), WORK, 0), estimate(plan(), WORK, 0)
    assert spot.usd is not None
    assert full.usd is not None
    assert spot.usd[1] < full.usd[1]
    assert any("Spot is counted as 10% to 70%" in note for note in spot.notes)


def test_a_gpu_says_that_it_was_not_measured() -> None:
    assert any("not measured" in note for note in estimate(plan(instance_type="ml.g5.xlarge"), WORK, 0).notes)


def test_an_unknown_price_says_how_to_ask_for_it() -> None:
    found = estimate(plan(instance_type="ml.m5.4xlarge"), WORK, 0)
    assert found.usd is None
    assert found.most_usd is None
    assert "price not known, --refresh-prices" in found.say()
    assert any("In us-west-2 it was 0.922 USD an hour" in note for note in found.notes)


def test_data_that_was_not_read_gives_no_time() -> None:
    found = estimate(plan(), None, None)
    assert found.seconds is None
    assert found.usd is None
    assert "an unknown time, 1 USD an hour" in found.say()


def test_max_cost_is_never_passed() -> None:
    limit = seconds_for(plan(), 0.50)
    assert limit == 1800 - START_UP[1] - SECONDS_TO_STOP
    most = estimate(plan(max_runtime_seconds=limit), WORK, 0).most_usd
    assert most is not None
    assert most <= 0.50


def test_a_warm_machine_is_paid_out_of_it_too() -> None:
    warm = seconds_for(plan(keep_alive_seconds=600), 0.50)
    assert warm == seconds_for(plan(), 0.50) - 600


def test_max_runtime_is_kept_where_it_is_the_less() -> None:
    assert seconds_for(plan(max_runtime_seconds=300), 0.50) == 300


@pytest.mark.parametrize(
    ("usd", "expected", "says"),
    [
        (0.10, None, f"--max-cost 0.1 pays for 360 s of ml.c5.2xlarge, and this job needs at least {LEAST_SECONDS} s"),
        (0.50, (2000.0, 9000.0), "this job needs at least 2000 s (0.56 USD)"),
    ],
)
def test_what_cannot_fit_is_refused(usd: float, expected: tuple[float, float] | None, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        seconds_for(plan(), usd, expected)
    assert says in str(refused.value)


def test_max_cost_without_a_price_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--max-cost needs a price.*--refresh-prices"):
        seconds_for(plan(instance_type="ml.m5.4xlarge"), 0.50)
