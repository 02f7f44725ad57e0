"""Jobs put into SageMaker's books as they stand when another machine asks: no program runs."""

import io
import tarfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from amazon.aws import Aws
from amazon.training import Job, now
from amazon.tuning import TuningJob

LOGS = "/aws/sagemaker/TrainingJobs"


class Books:
    """Writes jobs into the books of an account."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws

    def make(self, name: str, status: str, secondary: str = "", reason: str = "", **further: Any) -> Job:
        """Write a training job, 10 minutes old, 5 of them trained."""
        request = {
            "TrainingJobName": name,
            "RoleArn": self.aws.role,
            "AlgorithmSpecification": {"TrainingImage": self.aws.image, "TrainingInputMode": "File"},
            "HyperParameters": {"task": "drive"},
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.aws.bucket}/jobs"},
            "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            **further,
        }
        training = self.aws.sagemaker.training
        job = Job(request, training.house.arn("training-job", name))
        job.created = now() - timedelta(minutes=10)
        job.started = now() - timedelta(minutes=5)
        job.enter("Starting", "InProgress")
        training.jobs[name] = job
        if status != "InProgress":
            job.finish(secondary or status, status, 0.3, reason)
        return job

    def put_model(self, job: Job, folder: Path) -> None:
        """Store a folder as the job's model artifact."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
            for path in sorted(folder.iterdir()):
                archive.add(path, path.name)
        bucket, _, key = job.model.removeprefix("s3://").partition("/")
        self.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=packed.getvalue())

    def log(self, name: str, *lines: str) -> None:
        """Put lines into the job's log."""
        logs = self.aws.client("logs")
        stream = f"{name}/algo-1-1"
        logs.create_log_group(logGroupName=LOGS)
        logs.create_log_stream(logGroupName=LOGS, logStreamName=stream)
        moment = int(now().timestamp() * 1000)
        events = [{"timestamp": moment, "message": line} for line in lines]
        logs.put_log_events(logGroupName=LOGS, logStreamName=stream, logEvents=events)

    def tuning(self, name: str, status: str, trials: dict[str, tuple[Job, float | None]]) -> TuningJob:
        """Write a tuning job for the least ``angle_mae``: each learning rate's training job, and what it logged."""
        rates = {"Name": "learning_rate", "MinValue": "0", "MaxValue": "1"}
        request = {
            "HyperParameterTuningJobName": name,
            "HyperParameterTuningJobConfig": {
                "Strategy": "Bayesian",
                "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "angle_mae"},
                "ResourceLimits": {"MaxNumberOfTrainingJobs": 5, "MaxParallelTrainingJobs": 2},
                "ParameterRanges": {"ContinuousParameterRanges": [rates]},
            },
            "TrainingJobDefinition": {
                "StaticHyperParameters": {"task": "drive"},
                "AlgorithmSpecification": {"TrainingInputMode": "File"},
                "RoleArn": self.aws.role,
                "OutputDataConfig": {"S3OutputPath": f"s3://{self.aws.bucket}/jobs"},
                "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            },
        }
        house = self.aws.sagemaker.house
        job = TuningJob(request, house.arn("hyper-parameter-tuning-job", name), status)
        house.tag(job.arn, [{"Key": "trainbox", "Value": "drive"}])
        for rate, (child, score) in trials.items():
            child.metrics = [] if score is None else [{"MetricName": "angle_mae", "Value": score, "Timestamp": now()}]
            job.children.append((child, {"learning_rate": rate}))
        self.aws.sagemaker.tunings.jobs[name] = job
        if status in ("Completed", "Failed", "Stopped"):
            job.ended = now()
            job.over.set()
        return job
