"""What the fake has around training and hosting: models, quotas, prices, faults on the way; nothing runs here."""

import json
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from amazon.asking import refusal
from amazon.aws import Aws


def impatient(service: str) -> Any:
    """Return a client that finds AWS as the product does, and never tries again."""
    return boto3.client(service, config=Config(retries={"total_max_attempts": 1}))


def test_models_and_configurations_are_made_once_and_only_of_what_is_there(aws: Aws) -> None:
    sagemaker = aws.client("sagemaker")
    inside = {"Image": aws.image, "ModelDataUrl": f"s3://{aws.bucket}/model.tar.gz"}
    asked = {"ModelName": "m", "ExecutionRoleArn": aws.role, "PrimaryContainer": inside}
    assert "Could not find model data" in refusal(sagemaker.create_model, **asked)[1]
    aws.client("s3").put_object(Bucket=aws.bucket, Key="model.tar.gz", Body=b"")
    sagemaker.create_model(**asked)
    assert "already existing model" in refusal(sagemaker.create_model, **asked)[1]
    serverless = {"MemorySizeInMB": 1500, "MaxConcurrency": 1}
    variant = {"VariantName": "v", "ModelName": "m", "ServerlessConfig": serverless}
    odd = refusal(sagemaker.create_endpoint_config, EndpointConfigName="c", ProductionVariants=[variant])
    assert "MemorySizeInMB" in odd[1]
    serverless["MemorySizeInMB"] = 2048
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    assert [one["ModelName"] for one in sagemaker.list_models()["Models"]] == ["m"]
    sagemaker.delete_model(ModelName="m")
    assert "Could not find model" in refusal(sagemaker.describe_model, ModelName="m")[1]
    assert "Could not find endpoint" in refusal(sagemaker.describe_endpoint, EndpointName="e")[1]


def test_quotas_and_prices_are_listed_in_pages(aws: Aws) -> None:
    aws.sagemaker.house.quotas["ml.p4d.24xlarge for training job usage"] = 0
    quotas = aws.client("service-quotas")
    pages = quotas.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker", PaginationConfig={})
    found = {one["QuotaName"]: one for page in pages for one in page["Quotas"]}
    assert found["ml.p4d.24xlarge for training job usage"]["Value"] == 0
    code = found["ml.m5.xlarge for training job usage"]["QuotaCode"]
    assert quotas.get_service_quota(ServiceCode="sagemaker", QuotaCode=code)["Quota"]["Value"] == 4
    filters = [{"Type": "TERM_MATCH", "Field": "regionCode", "Value": aws.region}]
    pricing = aws.client("pricing", "us-east-1").get_paginator("get_products")
    listed = [
        json.loads(one)["product"]["attributes"]
        for page in pricing.paginate(ServiceCode="AmazonSageMaker", Filters=filters)
        for one in page["PriceList"]
    ]
    assert {one["regionCode"] for one in listed} == {aws.region}
    assert "EU-Train:ml.m5.xlarge" in {one["usagetype"] for one in listed}


@pytest.mark.parametrize(
    ("service", "operation", "call"),
    [
        ("sagemaker", "ListTrainingJobs", lambda client: client.list_training_jobs()),
        ("s3", "ListBuckets", lambda client: client.list_buckets()),
        ("sts", "GetCallerIdentity", lambda client: client.get_caller_identity()),
        ("logs", "DescribeLogGroups", lambda client: client.describe_log_groups()),
    ],
)
def test_any_operation_fails_as_often_as_it_should(aws: Aws, service: str, operation: str, call: Any) -> None:
    aws.faults.fail(operation, "ExpiredToken", times=1, message="The security token is expired", after=1)
    aws.faults.drop(operation)
    client = impatient(service)
    with pytest.raises(ConnectionClosedError):
        call(client)
    call(client)
    with pytest.raises(ClientError, match=r"ExpiredToken.*security token is expired"):
        call(client)
    assert call(client)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert len(aws.asked(operation)) == 4
    assert not aws.faults.left


def test_nobody_without_a_signature_is_answered(aws: Aws) -> None:
    from botocore import UNSIGNED

    client = boto3.client("sagemaker", config=Config(signature_version=UNSIGNED))
    assert refusal(client.list_training_jobs)[0] == "MissingAuthenticationTokenException"
