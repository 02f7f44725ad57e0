"""What the commands that host a model are told: by options, else by trainbox.toml, else by the training job."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trainbox.cli.sagemaker_options import pairs
from trainbox.errors import UsageError
from trainbox.platforms.settings import SageMakerSettings, Settings

if TYPE_CHECKING:
    from trainbox.platforms.sagemaker.aws.account import Account
    from trainbox.platforms.sagemaker.storage.artifact import Artifact

PREFIX = "trainbox"

Image = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="The image in ECR; trainbox.toml's, then the job's own.")
]
Role = Annotated[
    str | None, typer.Option(metavar="ARN", help="What SageMaker runs it as; trainbox.toml's, then the job's own.")
]
Bucket = Annotated[str | None, typer.Option(metavar="NAME", help="Where the model goes; trainbox.toml's.")]
KmsKey = Annotated[str | None, typer.Option("--kms-key", metavar="KEY", help="KMS key that encrypts all of it.")]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="A tag on all that is made; repeatable.")
]


@dataclass(frozen=True)
class Chosen:
    """The options, with what was not given taken from trainbox.toml. ``subnets`` and such come from there alone."""

    region: str | None
    profile: str | None
    image: str | None
    role: str | None
    bucket: str | None
    kms_key: str | None
    tags: Mapping[str, str]
    settings: SageMakerSettings

    def account(self) -> "Account":
        """Return the AWS account, opened once: a session of its own would ask for the MFA code again."""
        return self._account

    @cached_property
    def _account(self) -> "Account":
        from trainbox.platforms.sagemaker.aws.account import Account

        return Account.open(self.region, self.profile)

    def role_and_image(self, artifact: "Artifact") -> tuple[str, str]:
        """Return both, a training job's own where none are named; raise UsageError where there is none."""
        role, image = self.role or artifact.role, self.image or artifact.image
        if not role:
            raise UsageError("No role is known. Give --role, or have trainbox init write one into trainbox.toml.")
        if not image:
            raise UsageError("No image is known. Give --image, as trainbox image push printed it.")
        return role, image


@dataclass(frozen=True)
class Given:
    """The options as they were given: ``tags`` are NAME=VALUE."""

    region: str | None = None
    profile: str | None = None
    image: str | None = None
    role: str | None = None
    bucket: str | None = None
    kms_key: str | None = None
    tags: Sequence[str] = ()

    def chosen(self) -> Chosen:
        """Return them with those that were not given filled in; raise UsageError."""
        settings = Settings.read().sagemaker
        return Chosen(
            self.region or settings.region,
            self.profile or settings.profile,
            self.image or settings.image,
            self.role or settings.role,
            self.bucket or settings.bucket,
            self.kms_key or settings.kms_key,
            {**settings.tags, **pairs("--tag", self.tags)},
            settings,
        )


def say(line: str) -> None:
    """Say a line of progress."""
    print(line, file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """Print a result for programs."""
    print(json.dumps(value, indent=2))
