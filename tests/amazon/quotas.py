"""Service Quotas: how many instances of a type the account may have for what, as ``House.quotas`` says."""

import hashlib
from typing import Any

from amazon.account import NUMBER, House
from amazon.protocol import page
from amazon.refusals import Refusal

KINDS = (
    *("ml.m5.large", "ml.m5.xlarge", "ml.m5.2xlarge", "ml.m5.4xlarge", "ml.c5.xlarge", "ml.c5.2xlarge"),
    *("ml.c5.4xlarge", "ml.c5.9xlarge", "ml.m6i.xlarge", "ml.c6i.xlarge", "ml.c6i.2xlarge", "ml.c7i.xlarge"),
    *("ml.g4dn.xlarge", "ml.g4dn.2xlarge", "ml.g5.xlarge", "ml.g5.2xlarge", "ml.g6.xlarge", "ml.p3.2xlarge"),
)
USES = (
    "training job usage",
    "spot training job usage",
    "training warm pool usage",
    "endpoint usage",
    "transform job usage",
)


class Quotas:
    """ListServiceQuotas, GetServiceQuota and ListAWSDefaultServiceQuotas."""

    def __init__(self, house: House) -> None:
        self._house = house

    def list_service_quotas(self, asked: dict[str, Any]) -> dict[str, Any]:
        names = {f"{kind} for {use}": self._house.quota for use in USES for kind in KINDS} | self._house.quotas
        return self._listed(names, asked)

    def list_aws_default_service_quotas(self, asked: dict[str, Any]) -> dict[str, Any]:
        return self._listed({f"{kind} for {use}": 0.0 for use in USES for kind in KINDS}, asked)

    def get_service_quota(self, asked: dict[str, Any]) -> dict[str, Any]:
        everything = {**asked, "MaxResults": 1_000_000}
        for quota in self.list_service_quotas(everything)["Quotas"]:
            if quota["QuotaCode"] == asked["QuotaCode"]:
                return {"Quota": quota}
        raise Refusal("NoSuchResourceException", "The request failed because the specified quota does not exist.")

    def _listed(self, values: dict[str, float], asked: dict[str, Any]) -> dict[str, Any]:
        if asked["ServiceCode"] != "sagemaker":
            raise Refusal("NoSuchResourceException", "The request failed because the specified service does not exist.")
        found, token = page(sorted(values.items()), asked, 100)
        return {"Quotas": [self._quota(name, value) for name, value in found], "NextToken": token}

    def _quota(self, name: str, value: float) -> dict[str, Any]:
        code = f"L-{hashlib.sha256(name.encode()).hexdigest()[:8].upper()}"
        return {
            "ServiceCode": "sagemaker",
            "ServiceName": "Amazon SageMaker",
            "QuotaArn": f"arn:aws:servicequotas:{self._house.region}:{NUMBER}:sagemaker/{code}",
            "QuotaCode": code,
            "QuotaName": name,
            "Value": float(value),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }
