"""The robocars image's job as its users wrote it: zipped tubs in, a pilot for Donkeycar 2 out. It runs unchanged.

Command: python examples/robocars-of-old.py
Cost:    the original's claim was 0.50 EUR a training (August 2018, ml.p2.xlarge, at most 30 minutes). Not measured
         since: SageMaker has that machine no more, so another is named below.
Score:   the original told none. Of this network not measured; README.md tells what a pilot of today reaches.

ROLE, IMAGE and BUCKET name what is yours; the image is the one that trainbox image push printed, everything else is as
it was. Better today, and with a score: examples/pilot-at-sagemaker.sh
"""

import os
import time

import boto3

sagemaker = boto3.client("sagemaker")
bucket = os.environ["BUCKET"]
name = os.environ.get("JOB", f"robocar-{time.strftime('%Y-%m-%d-%H-%M-%S', time.gmtime())}")

sagemaker.create_training_job(
    TrainingJobName=name,
    HyperParameters={"sagemaker_region": '"eu-west-1"', "with_slide": "true"},
    AlgorithmSpecification={"TrainingImage": os.environ["IMAGE"], "TrainingInputMode": "File"},
    RoleArn=os.environ["ROLE"],
    InputDataConfig=[
        {
            "ChannelName": "train",
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": f"s3://{bucket}/tubs",
                    "S3DataDistributionType": "FullyReplicated",
                }
            },
            "CompressionType": "None",
            "RecordWrapperType": "None",
        }
    ],
    OutputDataConfig={"S3OutputPath": f"s3://{bucket}/models"},
    ResourceConfig={"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
    StoppingCondition={"MaxRuntimeInSeconds": 30 * 60},
)
print(name)
