"""``trainbox undeploy``: remove an endpoint and all that was made for it."""

from dataclasses import asdict
from typing import Annotated

import typer

from trainbox.cli import aws, hosting_options
from trainbox.cli.hosting_options import print_json, say


def undeploy(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the endpoint.")],
    force: Annotated[bool, typer.Option("--force", help="Remove it even where Trainbox did not make it.")] = False,
    region: aws.Region = None,
    profile: aws.Profile = None,
    as_json: aws.AsJson = False,
) -> None:
    """Remove a SageMaker endpoint and all that was made for it.

    Its scaling, its configurations and its models go with it. Where nothing stands, nothing is done. The model's file
    in S3, requests that were captured, and configurations and models of your own are yours, and stay.

    \b
    Example: trainbox undeploy my-pilot
    """
    from trainbox.platforms.sagemaker.hosting import endpoints
    from trainbox.platforms.sagemaker.hosting.request import refuse_name

    refuse_name(name)
    account = hosting_options.Given(region, profile).chosen().account()
    done = endpoints.undeploy(account, name, say, force)
    if as_json:
        print_json({**asdict(done), "region": account.region})
        return
    print(f"Removed: {', '.join(done.removed)}." if done.removed else f"Nothing of '{name}' is in {account.region}.")
    for place in done.kept:
        print(f"Kept, for it is yours: {place}")
