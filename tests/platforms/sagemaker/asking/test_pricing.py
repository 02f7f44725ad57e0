from pathlib import Path

import pytest

from amazon.aws import Aws
from trainbox.errors import UsageError
from trainbox.platforms import prices
from trainbox.platforms.sagemaker.asking import pricing
from trainbox.platforms.sagemaker.aws.failures import AwsFailed


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_prices_of_training_are_asked_for_and_kept(aws: Aws) -> None:
    assert prices.price("ml.c5.xlarge", aws.region) is None
    assert pricing.refresh(aws.account()) > 3
    known = prices.price("ml.c5.xlarge", aws.region)
    assert known is not None
    assert known.usd_per_hour == 0.231
    assert "asked by Trainbox" in known.source
    assert [name for name, _ in aws.sagemaker.received] == ["GetProducts"]


def test_only_training_is_what_a_job_costs() -> None:
    def product(usage: str, **dimension: object) -> dict[str, object]:
        rate = {"unit": "Hrs", "pricePerUnit": {"USD": "0.5000000000"}, **dimension}
        return {
            "product": {"attributes": {"usagetype": usage}},
            "terms": {"OnDemand": {"a": {"priceDimensions": {"b": rate}}}},
        }

    assert list(pricing.training_prices(product("USE1-Train:ml.g5.xlarge"))) == [("ml.g5.xlarge", 0.5)]
    assert list(pricing.training_prices(product("Train:ml.g5.xlarge"))) == [("ml.g5.xlarge", 0.5)]
    for usage in ("USE1-Host:ml.g5.xlarge", "USE1-TrainWarmPool:ml.g5.xlarge", "USE1-Train:VolumeUsage.gp2", ""):
        assert list(pricing.training_prices(product(usage))) == []
    assert list(pricing.training_prices(product("Train:ml.x", pricePerUnit={"USD": "0"}))) == []
    assert list(pricing.training_prices(product("Train:ml.x", unit="GB-Mo"))) == []
    assert list(pricing.training_prices({})) == []


def test_a_region_without_prices_is_said(aws: Aws) -> None:
    with pytest.raises(AwsFailed, match="AWS names no prices of training in ap-south-2"):
        pricing.refresh(aws.account("ap-south-2"))


@pytest.mark.parametrize(
    ("region", "why"),
    [
        ("cn-north-1", "AWS in China names them in yuan"),
        ("us-gov-west-1", "AWS GovCloud has no Pricing API"),
        ("us-iso-east-1", "its accounts cannot ask"),
    ],
)
def test_other_parts_of_aws_are_not_asked(aws: Aws, region: str, why: str) -> None:
    with pytest.raises(UsageError, match=f"--refresh-prices finds no prices for {region}: {why}"):
        pricing.refresh(aws.account(region))
    assert aws.traffic == []


def test_no_right_to_ask_is_one_line_and_keeps_nothing(aws: Aws) -> None:
    aws.faults.fail("GetProducts", "AccessDeniedException", 1, "not for you", 400)
    with pytest.raises(AwsFailed, match="Cannot ask what SageMaker costs: not for you"):
        pricing.refresh(aws.account())
    assert not prices.kept().exists()
