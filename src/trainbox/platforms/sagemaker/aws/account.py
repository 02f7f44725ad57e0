"""Whom we are to AWS, and in which region: one session, and the clients made of it."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from trainbox import __version__
from trainbox.errors import UsageError
from trainbox.platforms.sagemaker.aws.failures import said_by_aws

if TYPE_CHECKING:
    import boto3

ATTEMPTS = 8
SECONDS_TO_CONNECT = 10
SECONDS_TO_ANSWER = 70
"""One more than the minute in which an endpoint must answer."""


@dataclass(frozen=True)
class Account:
    """An AWS session. Credentials, profiles, SSO, assumed roles and endpoints are boto3's own affair.

    ``session`` makes the clients; ``region`` is where everything of ours is; ``supposed_number`` stands for the
    account's number where AWS is not to be asked for it.
    """

    session: "boto3.Session"
    region: str
    supposed_number: str = ""

    @classmethod
    def open(cls, region: str | None = None, profile: str | None = None) -> "Account":
        """Open the account that the usual configuration names; raise UsageError where it names no region or profile.

        Nothing is asked of AWS yet.
        """
        session = _session(region, profile)
        if not session.region_name:
            raise UsageError(
                "No AWS region is known. Give --region, or write region into trainbox.toml or the AWS configuration."
            )
        return cls(session, session.region_name)

    def client(self, service: str, region: str | None = None) -> Any:
        """Return a client of a service: it retries what is worth it, with growing pauses."""
        from botocore.config import Config

        config = Config(
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            connect_timeout=SECONDS_TO_CONNECT,
            read_timeout=SECONDS_TO_ANSWER,
            user_agent_extra=f"trainbox/{__version__}",
        )
        with said_by_aws(f"open the service {service}"):
            return self.session.client(service, region_name=region or self.region, config=config)

    @cached_property
    def sagemaker(self) -> Any:
        """The client of SageMaker."""
        return self.client("sagemaker")

    @cached_property
    def s3(self) -> Any:
        """The client of S3."""
        return self.client("s3")

    @cached_property
    def identity(self) -> tuple[str, str]:
        """The account's number and the ARN of whoever asks; raises AwsFailed."""
        with said_by_aws("ask AWS who you are"):
            answer = self.client("sts").get_caller_identity()
        return answer["Account"], answer["Arn"]

    @property
    def number(self) -> str:
        """The account's twelve digits; raises AwsFailed."""
        return self.supposed_number or self.identity[0]

    @property
    def partition(self) -> str:
        """The part of AWS: aws, aws-cn, aws-us-gov."""
        with said_by_aws(f"tell which part of AWS the region {self.region} is in"):
            return str(self.session.get_partition_for_region(self.region))


def _session(region: str | None, profile: str | None) -> "boto3.Session":
    try:
        import boto3
    except ImportError:
        raise UsageError("AWS needs boto3. Install it: pip install 'trainbox[sagemaker]'.") from None
    with said_by_aws("read the AWS configuration"):
        return boto3.Session(region_name=region, profile_name=profile)
