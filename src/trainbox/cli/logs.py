"""``trainbox logs``: what a training job at SageMaker says, now or until it ends."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from trainbox.cli.aws import JobName, Profile, Region, opened

if TYPE_CHECKING:
    from trainbox.platforms.sagemaker.aws.account import Account


def logs(
    job: JobName,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on until the job ends; how it stands goes to standard error.")
    ] = False,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Print the log of a training job at SageMaker.

    Ctrl-C ends the printing; the job goes on. With --follow the exit status is 1 where the job fails or was stopped.

    \b
    Example: trainbox logs -f drive-20261122-101500
    """
    from trainbox.platforms.sagemaker.aws.logs import Log
    from trainbox.platforms.sagemaker.running.kinds import TRAINING

    account = opened(region, profile)
    if follow:
        _follow(account, job)
        return
    log = Log(account, job)
    lines = log.new()
    if not lines:
        status = TRAINING.describe(account, job)["SecondaryStatus"]
        _say(f"The training job '{job}' has said nothing yet ({status}).")
    for line in lines:
        print(f"[{line.host}] {line.text}" if log.hosts > 1 else line.text)


def _follow(account: "Account", job: str) -> None:
    from trainbox.platforms.sagemaker.running import advice, results
    from trainbox.platforms.sagemaker.running.kinds import TRAINING
    from trainbox.platforms.sagemaker.running.showing import Plain
    from trainbox.platforms.sagemaker.running.watching import Watch

    TRAINING.describe(account, job)
    watch = Watch(account, job, Plain(_print, states=_say), _say)
    description = watch.until_ended()
    for sentence in results.bill_of(description).in_the_end():
        _say(sentence)
    if description["TrainingJobStatus"] == "Failed":
        raise advice.failed(description, list(watch.log.last))
    _say(f"Bring its model here: trainbox fetch {job}")
    if description["TrainingJobStatus"] == "Stopped":
        raise typer.Exit(1)


def _print(line: str) -> None:
    print(line, flush=True)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
