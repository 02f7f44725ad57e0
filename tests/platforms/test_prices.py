import json
from datetime import date
from importlib.resources import files
from pathlib import Path

import pytest

from trainbox.platforms import prices


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has asked for no prices yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "trainbox/prices.json"


def test_the_table_is_dated_and_names_its_sources() -> None:
    tables = json.loads(files("trainbox.platforms").joinpath("prices.json").read_text())["tables"]
    assert {"us-east-1", "us-west-2", "eu-west-1"} <= {table["region"] for table in tables}
    for table in tables:
        assert date.fromisoformat(table["as_of"]) < date(2026, 12, 1)
        assert "AWS" in table["source"] or "aws" in table["source"]
        assert all(0.01 < one < 200 for one in table["usd_per_hour"].values())


def test_a_price_is_a_regions_own() -> None:
    known = prices.price("ml.m5.xlarge", "eu-west-1")
    assert known is not None
    assert (known.region, known.usd_per_hour, known.as_of) == ("eu-west-1", 0.257, "2023-12-31")
    assert prices.price("ml.c5.2xlarge", "eu-west-1") is None
    assert prices.price("ml.none.large", "us-west-2") is None


def test_elsewhere_is_the_newest_of_all_regions() -> None:
    found = prices.elsewhere("ml.m5.xlarge")
    assert found is not None
    assert found.region == "us-west-2"
    assert prices.elsewhere("ml.none.large") is None


def test_what_aws_said_wins_over_the_table(cache: Path) -> None:
    assert prices.keep("eu-west-1", "2026-11-22", "AWS", {"ml.m5.xlarge": 9.0}) == cache
    prices.keep("us-west-2", "2026-11-22", "AWS", {"ml.m5.xlarge": 8.0})
    found = [prices.price("ml.m5.xlarge", region) for region in ("eu-west-1", "us-west-2")]
    assert [one.usd_per_hour for one in found if one] == [9.0, 8.0]
    # What was not among them is still known from the table.
    assert prices.price("ml.g5.xlarge", "eu-west-1") is not None
    assert list(cache.parent.iterdir()) == [cache]


@pytest.mark.parametrize(
    "text",
    [
        *["", "no json", "[]", '{"tables": 3}', '{"tables": [{"region": "eu-west-1"}]}', "[" * 100_000],
        '{"tables": [{"region": "eu-west-1", "as_of": "x", "source": "y", "usd_per_hour": {"ml.m5.xlarge": -1}}]}',
    ],
)
def test_a_broken_file_of_prices_is_passed_over(cache: Path, text: str) -> None:
    cache.parent.mkdir()
    cache.write_text(text)
    found = prices.price("ml.m5.xlarge", "eu-west-1")
    assert found is not None
    assert found.usd_per_hour == 0.257
    prices.keep("eu-west-1", "2026-11-22", "AWS", {"ml.m5.xlarge": 9.0})
    assert json.loads(cache.read_text())["tables"][0]["usd_per_hour"] == {"ml.m5.xlarge": 9.0}
