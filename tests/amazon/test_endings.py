"""How the fake's training jobs end: stopped, out of time, their spot instance taken away; each really runs the toy."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from amazon.aws import Aws
from amazon.training import Job

pytestmark = pytest.mark.slow
Request = Callable[..., dict[str, Any]]
LINGERING = {"linger": "batch", "epochs": "20", "batch_size": "8"}


def started(aws: Aws, asked: dict[str, Any], seconds: float = 300) -> Job:
    """Start a job and wait until it has a model."""
    aws.client("sagemaker").create_training_job(**asked)
    job, deadline = aws.sagemaker.job(asked["TrainingJobName"]), time.monotonic() + seconds
    while not any("epoch=1" in line for line in aws_lines(aws, job)):
        assert time.monotonic() < deadline, f"{job.secondary}: {job.failure}"
        assert not job.over.is_set(), f"{job.secondary}: {job.failure}"
        time.sleep(0.1)
    return job


def aws_lines(aws: Aws, job: Job) -> list[str]:
    return [] if job.secondary in ("Starting", "Downloading") else aws.log_lines(job.name)


def test_a_stopped_job_keeps_its_model(aws: Aws, toy_request: Request) -> None:
    job = started(aws, toy_request(hyperparameters=LINGERING))
    sagemaker = aws.client("sagemaker")
    sagemaker.stop_training_job(TrainingJobName=job.name)
    assert sagemaker.describe_training_job(TrainingJobName=job.name)["TrainingJobStatus"] == "Stopping"
    aws.sagemaker.wait(job.name)
    assert (job.status, job.secondary) == ("Stopped", "Stopped")
    assert "jobs/toy-1/output/model.tar.gz" in aws.keys("jobs/")


def test_a_job_out_of_time_is_stopped_and_says_so(aws: Aws, toy_request: Request) -> None:
    stopping = {"MaxRuntimeInSeconds": 1}
    aws.client("sagemaker").create_training_job(**toy_request(hyperparameters=LINGERING, StoppingCondition=stopping))
    job = aws.sagemaker.wait("toy-1")
    assert (job.status, job.secondary) == ("Stopped", "MaxRuntimeExceeded")


def test_an_interrupted_job_goes_on_from_its_checkpoints(aws: Aws, toy_request: Request) -> None:
    spot = {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 600},
        "CheckpointConfig": {"S3Uri": f"s3://{aws.bucket}/checkpoints/toy-1"},
    }
    brief = {"linger": "batch", "epochs": "3", "checkpoint_seconds": "0"}
    job = started(aws, toy_request(hyperparameters=brief, **spot))
    deadline = time.monotonic() + 300
    while not any(key.endswith(".json") for key in aws.keys("checkpoints/")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    aws.sagemaker.interrupt(job.name)
    aws.sagemaker.wait(job.name)
    assert (job.status, job.failure) == ("Completed", None)
    walked = [transition["Status"] for transition in job.transitions]
    assert walked.count("Training") == 2
    assert walked[walked.index("Interrupted") + 1] == "Starting"
    assert any("goes on from a checkpoint" in line for line in aws.log_lines(job.name)), aws.log_lines(job.name)
    assert 0 < job.billable_seconds < job.training_seconds


def test_a_job_that_fails_says_why(aws: Aws, toy_request: Request) -> None:
    aws.client("sagemaker").create_training_job(**toy_request(hyperparameters={"fail_in": "recipe"}))
    job = aws.sagemaker.wait("toy-1")
    assert job.status == "Failed"
    assert job.failure.startswith("AlgorithmError: ")
    assert "the toy failed" in job.failure
    assert job.failure.endswith("exit code: 1")


def test_a_tuning_job_tells_the_best_of_its_training_jobs(aws: Aws, toy_request: Request) -> None:
    asked = toy_request()
    definition = {name: asked[name] for name in ("RoleArn", "InputDataConfig", "OutputDataConfig", "ResourceConfig")}
    regex = {"Name": "val_loss", "Regex": r"val_loss=([0-9.e+-]+)"}
    definition |= {
        "AlgorithmSpecification": {**asked["AlgorithmSpecification"], "MetricDefinitions": [regex]},
        "StaticHyperParameters": asked["HyperParameters"],
        "StoppingCondition": asked["StoppingCondition"],
    }
    rate = {"Name": "learning_rate", "MinValue": "0.0001", "MaxValue": "0.1", "ScalingType": "Logarithmic"}
    config = {
        "Strategy": "Random",
        "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "val_loss"},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 2},
        "ParameterRanges": {"ContinuousParameterRanges": [rate]},
    }
    sagemaker = aws.client("sagemaker")
    sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="tune", HyperParameterTuningJobConfig=config, TrainingJobDefinition=definition
    )
    assert aws.sagemaker.tunings.found("tune").over.wait(400)
    told = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="tune")
    assert told["HyperParameterTuningJobStatus"] == "Completed", told.get("FailureReason")
    listed = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(HyperParameterTuningJobName="tune")
    scores = {
        one["TrainingJobName"]: one["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
        for one in listed["TrainingJobSummaries"]
    }
    assert len(scores) == 2
    assert told["BestTrainingJob"]["TrainingJobName"] == min(scores, key=scores.get)
