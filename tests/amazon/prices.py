"""The price list: products of SageMaker as GetProducts gives them, documents in strings, at prices of our own."""

import hashlib
import json
from typing import Any

from amazon.protocol import page
from amazon.refusals import Refusal

REGIONS = {"eu-west-1": ("EU (Ireland)", "EU"), "us-east-1": ("US East (N. Virginia)", "USE1")}
USES = {"Training": "Train", "Hosting": "Host", "BatchTransform": "Tsform", "Notebook": "Notebk"}
DOLLARS = {
    "ml.m5.large": 0.128,
    "ml.m5.xlarge": 0.257,
    "ml.c5.xlarge": 0.231,
    "ml.g4dn.xlarge": 0.821,
    "ml.g5.xlarge": 1.572,
    "ml.p3.2xlarge": 4.131,
}
"""An hour of each; not AWS's prices, so that whoever shows them has asked."""


class Prices:
    """GetProducts."""

    def get_products(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["ServiceCode"] != "AmazonSageMaker":
            raise Refusal("NotFoundException", f"There is no service {asked['ServiceCode']}.")
        wanted = {one["Field"]: one["Value"] for one in asked.get("Filters", ())}
        matching = [product for product in _products() if _matches(product, wanted)]
        found, token = page(matching, asked, 100)
        return {"FormatVersion": "aws_v1", "PriceList": [json.dumps(product) for product in found], "NextToken": token}


def _matches(product: dict[str, Any], wanted: dict[str, str]) -> bool:
    known = {"productFamily": product["product"]["productFamily"], **product["product"]["attributes"]}
    return all(known.get(name) == value for name, value in wanted.items())


def _products() -> list[dict[str, Any]]:
    return [
        _product(region, use, kind, dollars) for region in REGIONS for use in USES for kind, dollars in DOLLARS.items()
    ]


def _product(region: str, use: str, kind: str, dollars: float) -> dict[str, Any]:
    place, short = REGIONS[region]
    usage = f"{short}-{USES[use]}:{kind}"
    sku = hashlib.sha256(usage.encode()).hexdigest()[:16].upper()
    rate = f"{sku}.JRTCKXETXF.6YS6EN2CT7"
    dimension = {
        "unit": "Hrs",
        "endRange": "Inf",
        "description": f"${dollars} per {use} {kind} hour in {place}",
        "appliesTo": [],
        "rateCode": rate,
        "beginRange": "0",
        "pricePerUnit": {"USD": f"{dollars:.10f}"},
    }
    term = {
        "priceDimensions": {rate: dimension},
        "sku": sku,
        "effectiveDate": "2026-11-01T00:00:00Z",
        "offerTermCode": "JRTCKXETXF",
        "termAttributes": {},
    }
    attributes = {
        "regionCode": region,
        "location": place,
        "locationType": "AWS Region",
        "servicecode": "AmazonSageMaker",
        "servicename": "Amazon SageMaker",
        "instanceName": kind,
        "instanceType": f"{kind}-{use}",
        "platoinstancename": kind,
        "platoinstancetype": use,
        "component": use,
        "usagetype": usage,
        "operation": "RunInstance",
    }
    return {
        "product": {"productFamily": "ML Instance", "attributes": attributes, "sku": sku},
        "serviceCode": "AmazonSageMaker",
        "terms": {"OnDemand": {f"{sku}.JRTCKXETXF": term}},
        "version": "20261101000000",
        "publicationDate": "2026-11-01T00:00:00Z",
    }
