"""The detectors' image's job as its users wrote it: TFRecords, a pipeline.config and a checkpoint. It runs unchanged.

Command: python examples/detector-of-old.py
Cost:    not measured. At most an hour of ml.m5.xlarge: 0.26 USD in eu-west-1 (a bill of December 2023).
Score:   not measured for the 100 steps that the original trained. Better: examples/detector-at-sagemaker.sh

ROLE, IMAGE and BUCKET name what is yours. The hyperparameters are quoted as SageMaker's Python SDK quotes them. Channel
testing holds the TFRecords, label_map.pbtxt and pipeline.config, channel checkpoint the model to start from.
"""

import json
import os
import time

import boto3

sagemaker = boto3.client("sagemaker")
bucket = os.environ["BUCKET"]
name = os.environ.get("JOB", f"detector-{time.strftime('%Y-%m-%d-%H-%M-%S', time.gmtime())}")
hyperparameters = {"num_steps": 100, "quantize": True, "image_size": 300, "inference_type": "QUANTIZED_UINT8"}


def channel(of: str) -> dict[str, object]:
    """Return a channel below the bucket."""
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/detector/{of}"}
    return {"ChannelName": of, "DataSource": {"S3DataSource": {**source, "S3DataDistributionType": "FullyReplicated"}}}


sagemaker.create_training_job(
    TrainingJobName=name,
    HyperParameters={key: json.dumps(value) for key, value in hyperparameters.items()},
    AlgorithmSpecification={"TrainingImage": os.environ["IMAGE"], "TrainingInputMode": "File"},
    RoleArn=os.environ["ROLE"],
    InputDataConfig=[channel("testing"), channel("checkpoint")],
    OutputDataConfig={"S3OutputPath": f"s3://{bucket}/models"},
    ResourceConfig={"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
    StoppingCondition={"MaxRuntimeInSeconds": 60 * 60},
)
print(name)
