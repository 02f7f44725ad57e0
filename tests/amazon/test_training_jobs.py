"""The fake's training jobs, asked through boto3: they are refused, run, logged and stored as SageMaker's are."""

import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import pytest

from amazon.asking import refusal
from amazon.aws import Aws

Request = Callable[..., dict[str, Any]]


@pytest.mark.slow
def test_a_job_runs_the_container_program_on_what_was_uploaded(aws: Aws, toy_request: Request) -> None:
    sagemaker = aws.client("sagemaker")
    regex = {"Name": "loss", "Regex": r"loss=([0-9.e+-]+)"}
    asked = toy_request(Tags=[{"Key": "trainbox", "Value": "toy"}])
    asked["AlgorithmSpecification"]["MetricDefinitions"] = [regex]
    arn = sagemaker.create_training_job(**asked)["TrainingJobArn"]
    assert sagemaker.describe_training_job(TrainingJobName="toy-1")["TrainingJobStatus"] == "InProgress"
    aws.sagemaker.wait("toy-1")
    job = sagemaker.describe_training_job(TrainingJobName="toy-1")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed"), job.get("FailureReason")
    walked = [transition["Status"] for transition in job["SecondaryStatusTransitions"]]
    assert walked == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"] > 0
    assert job["FinalMetricDataList"][0]["MetricName"] == "loss"
    bucket, key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://").split("/", 1)
    assert key == "jobs/toy-1/output/model.tar.gz"
    packed = io.BytesIO(aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    with tarfile.open(fileobj=packed) as archive:
        manifest = json.loads(archive.extractfile("manifest.json").read())
    assert manifest["task"] == "toy"
    assert any("loss=" in line for line in aws.log_lines("toy-1"))
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "trainbox", "Value": "toy"}]
    listed = sagemaker.list_training_jobs(StatusEquals="Completed")["TrainingJobSummaries"]
    assert [summary["TrainingJobName"] for summary in listed] == ["toy-1"]


def test_requests_are_refused_as_sagemaker_refuses_them(aws: Aws, toy_request: Request) -> None:
    create = aws.client("sagemaker").create_training_job
    code, message = refusal(create, **toy_request("not_a_name"))
    assert code == "ValidationException"
    assert "'trainingJobName'" in message
    assert "regular expression pattern" in message
    assert refusal(create, **toy_request(hyperparameters={"note": "two\nlines"}))[0] == "ValidationException"
    no_role = toy_request(RoleArn=f"arn:aws:iam::{aws.number}:role/nobody")
    assert "Could not assume role" in refusal(create, **no_role)[1]
    no_wait = toy_request(EnableManagedSpotTraining=True)
    assert "MaxWaitTimeInSeconds" in refusal(create, **no_wait)[1]
    no_image = toy_request()
    no_image["AlgorithmSpecification"]["TrainingImage"] = aws.image + "x"
    assert "not found" in refusal(create, **no_image)[1]
    aws.sagemaker.house.quotas["ml.m5.xlarge for training job usage"] = 0
    code, message = refusal(create, **toy_request())
    assert (code, "is 0 Instances" in message) == ("ResourceLimitExceeded", True)
    assert not aws.sagemaker.training.jobs


def test_an_empty_channel_fails_the_job_and_its_name_stays_taken(aws: Aws, toy_request: Request) -> None:
    sagemaker = aws.client("sagemaker")
    asked = toy_request()
    asked["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] = f"s3://{aws.bucket}/nothing"
    sagemaker.create_training_job(**asked)
    aws.sagemaker.wait("toy-1")
    job = sagemaker.describe_training_job(TrainingJobName="toy-1")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: No S3 objects found")
    assert refusal(sagemaker.create_training_job, **toy_request())[0] == "ResourceInUse"
    assert refusal(sagemaker.stop_training_job, TrainingJobName="toy-1")[0] == "ValidationException"
    assert refusal(sagemaker.describe_training_job, TrainingJobName="toy-2")[0] == "ResourceNotFound"


def test_capacity_that_is_not_there_fails_the_job(aws: Aws, toy_request: Request) -> None:
    aws.sagemaker.training.mishap("CapacityError: Unable to provision requested ML compute capacity.")
    aws.client("sagemaker").create_training_job(**toy_request())
    assert aws.sagemaker.wait("toy-1").failure == "CapacityError: Unable to provision requested ML compute capacity."
