"""What commands that ask AWS have in common: which account and region."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from trainbox.platforms.sagemaker.aws.account import Account

JobName = Annotated[str, typer.Argument(metavar="JOB", help="The training job's name.")]
AnyJobName = Annotated[str, typer.Argument(metavar="JOB", help="The name of a training job, or of a tuning job.")]
Region = Annotated[
    str | None, typer.Option(metavar="REGION", help="AWS region; of trainbox.toml or the AWS configuration if none.")
]
Profile = Annotated[str | None, typer.Option(metavar="NAME", help="Profile of the AWS configuration.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def opened(region: str | None, profile: str | None) -> "Account":
    """Open the account that the options name, else trainbox.toml, else the AWS configuration; raise UsageError."""
    from trainbox.platforms.sagemaker.aws.account import Account
    from trainbox.platforms.settings import Settings

    kept = Settings.read().sagemaker
    return Account.open(region or kept.region, profile or kept.profile)
