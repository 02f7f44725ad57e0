"""What a test has of AWS: an account with a bucket, a role and an image, and the fake to ask what was asked of it."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from amazon.account import NUMBER
from amazon.cloud import KEY_ID, REGION, SECRET, Cloud
from amazon.faults import Faults
from amazon.sagemaker import SageMaker
from amazon.traffic import Asked
from trainbox.platforms.sagemaker.aws.account import Account

BUCKET, ROLE, REPOSITORY, TAG = "trainbox-tests", "trainbox-tests", "trainbox", "1.0"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
LEFT_OUT = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_REGION")
"""Variables that must not be set beside those of ``environment``."""

SERVICES = ("sagemaker", "sagemaker_runtime", "application_auto_scaling", "service_quotas", "pricing")
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


class Aws:
    """One account. ``bucket``, ``role`` (an ARN) and ``image`` (an address) exist when a test begins.

    ``sagemaker`` is the fake; ``faults`` lets any operation of any service fail; ``traffic`` is every request that was
    made, in order, those of the fake itself left out.
    """

    region = REGION
    number = NUMBER
    bucket = BUCKET
    secrets = (SECRET,)
    key_id = KEY_ID

    def __init__(self, cloud: Cloud, home: Path) -> None:
        self._cloud = cloud
        nowhere = str(home / "no-such-file")
        self.environment = {
            "AWS_ENDPOINT_URL": cloud.address,
            **{f"AWS_ENDPOINT_URL_{service.upper()}": cloud.address for service in SERVICES},
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": nowhere,
            "AWS_SHARED_CREDENTIALS_FILE": nowhere,
        }
        self.role = _make_role(cloud.client("iam"))
        cloud.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.image = _make_image(cloud.client("ecr"))

    @property
    def sagemaker(self) -> SageMaker:
        """The fake in this account's region."""
        return self._cloud.sagemaker()

    @property
    def faults(self) -> Faults:
        """What goes wrong on the way."""
        return self._cloud.faults

    @property
    def traffic(self) -> list[Asked]:
        """Every request that was made."""
        return self._cloud.traffic

    def asked(self, *operations: str) -> list[Asked]:
        """Return the requests of some operations: ``aws.asked("PutObject", "UploadPart")``."""
        return [asked for asked in self.traffic if asked.operation in operations]

    def account(self, region: str | None = None) -> Account:
        """Open the account as the product does."""
        return Account.open(region)

    def client(self, service: str, region: str = REGION) -> Any:
        """Return a client for the test's own questions: what it asks is not counted and does not fail."""
        return self._cloud.client(service, region)

    def keys(self, prefix: str = "", bucket: str = BUCKET) -> list[str]:
        """Return the keys in a bucket."""
        return self.sagemaker.house.storage.keys(bucket, prefix)

    def put(self, folder: Path, prefix: str, bucket: str = BUCKET) -> str:
        """Upload a folder; return its s3:// address."""
        for path in _files(folder):
            self.client("s3").put_object(
                Bucket=bucket, Key=f"{prefix}/{path.relative_to(folder)}", Body=path.read_bytes()
            )
        return f"s3://{bucket}/{prefix}"

    def settings(self, folder: Path, **further: object) -> Path:
        """Write a trainbox.toml that names role, bucket and image; return its path."""
        named = {"role": self.role, "bucket": self.bucket, "image": self.image, "region": self.region, **further}
        path = folder / "trainbox.toml"
        path.write_text("[sagemaker]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in named.items()))
        return path

    def log_lines(self, job: str) -> list[str]:
        """Return what CloudWatch has of a training job's log."""
        logs, group = self.client("logs"), "/aws/sagemaker/TrainingJobs"
        try:
            streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")["logStreams"]
        except logs.exceptions.ResourceNotFoundException:  # no job has said anything yet
            return []
        return [
            event["message"]
            for stream in streams
            for event in logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
            )["events"]
        ]


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _make_role(iam: Any) -> str:
    role = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_role_policy(RoleName=ROLE, PolicyName="all", PolicyDocument=json.dumps(everything))
    return role["Arn"]


def _make_image(ecr: Any) -> str:
    """Put an image's manifest into ECR, as Docker would push it; return the image's address."""
    repository = ecr.create_repository(repositoryName=REPOSITORY)["repository"]
    config = json.dumps({"architecture": "amd64", "os": "linux"}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": len(config),
            "digest": f"sha256:{hashlib.sha256(config).hexdigest()}",
        },
        "layers": [],
    }
    ecr.put_image(
        repositoryName=REPOSITORY,
        imageManifest=json.dumps(manifest),
        imageManifestMediaType=MANIFEST,
        imageTag=TAG,
    )
    return f"{repository['repositoryUri']}:{TAG}"
