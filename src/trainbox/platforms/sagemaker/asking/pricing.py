"""Prices asked of AWS: its Pricing API, which answers for all regions in one of them."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from trainbox.errors import UsageError
from trainbox.platforms import prices
from trainbox.platforms.prices import CURRENCY
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import AwsFailed, said_by_aws

PARTITION, REGION = "aws", "us-east-1"
NO_PRICES = {
    "aws-cn": "AWS in China names them in yuan, and Trainbox counts in dollars",
    "aws-us-gov": "AWS GovCloud has no Pricing API, and its accounts cannot ask the one in us-east-1",
}
SERVICE = "AmazonSageMaker"
# "USE1-Train:ml.m5.large"; warm pools, hosting and notebooks have other words before the colon.
_TRAINING = re.compile(r"(?:[A-Z0-9]+-)?Train:(ml\.[a-z0-9.-]+)")


def refresh(account: Account) -> int:
    """Ask what training costs in the account's region, and keep it for this user; return how many prices came.

    Raises UsageError where AWS names no prices in dollars to its accounts, AwsFailed where it does not answer, or
    knows no price for the region.
    """
    _refuse_other_partition(account)
    found = {name: usd for product in _products(account) for name, usd in training_prices(product)}
    if not found:
        raise AwsFailed(f"AWS names no prices of training in {account.region}. Check --region.")
    prices.keep(account.region, f"{datetime.now(UTC):%Y-%m-%d}", "AWS Price List API, asked by Trainbox", found)
    return len(found)


def _refuse_other_partition(account: Account) -> None:
    """Raise UsageError outside of the partition aws: its Pricing API knows no credentials of other partitions."""
    if account.partition != PARTITION:
        why = NO_PRICES.get(account.partition, "its accounts cannot ask the Pricing API of the others")
        raise UsageError(f"--refresh-prices finds no prices for {account.region}: {why}. Leave it out.")


def training_prices(product: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the instance type and dollars an hour of a product of the price list, where it is one of training."""
    kind = _TRAINING.fullmatch(product.get("product", {}).get("attributes", {}).get("usagetype", ""))
    if not kind:
        return
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term.get("priceDimensions", {}).values():
            usd = float(dimension.get("pricePerUnit", {}).get(CURRENCY, 0))
            if usd > 0 and dimension.get("unit", "Hrs").lower() in {"hrs", "hours"}:
                yield kind[1], usd


def _products(account: Account) -> Iterator[dict[str, Any]]:
    conditions = {"regionCode": account.region, "productFamily": "ML Instance"}
    asked = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in conditions.items()]
    with said_by_aws("ask what SageMaker costs"):
        pages = account.client("pricing", REGION).get_paginator("get_products")
        for page in pages.paginate(ServiceCode=SERVICE, Filters=asked):
            yield from map(json.loads, page["PriceList"])
