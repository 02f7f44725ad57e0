"""``trainbox jobs``: what was trained at SageMaker, and what is being trained."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from trainbox.cli.aws import AsJson, Profile, Region, opened

if TYPE_CHECKING:
    from trainbox.platforms.sagemaker.running.recent import RecentJob, RecentTuning

Job = TypeVar("Job", "RecentJob", "RecentTuning")

COLUMNS = ("job", "task", "status", "created (UTC)", "took", "billed", "USD")
TUNING_COLUMNS = ("tuning job", "task", "status", "created (UTC)", "trainings", "best")
STATUSES = ("InProgress", "Completed", "Failed", "Stopping", "Stopped")


def jobs(
    status: Annotated[str | None, typer.Option(metavar="STATUS", help=f"Only these: {', '.join(STATUSES)}.")] = None,
    number: Annotated[int, typer.Option("-n", "--number", metavar="N", min=1, help="How many at most.")] = 20,
    tuning: Annotated[bool, typer.Option("--tuning", help="List the tuning jobs instead.")] = False,
    region: Region = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """List the training jobs that Trainbox began at SageMaker.

    From whatever machine they were begun, those of tuning jobs among them; the newest come first.

    \b
    Example: trainbox jobs --status InProgress
    """
    from trainbox.errors import UsageError
    from trainbox.platforms.sagemaker.running.recent import recent, recent_tunings

    if status and status not in STATUSES:
        raise UsageError(f"--status must be one of {', '.join(STATUSES)}. Received: {status!r}.")
    account = opened(region, profile)
    if tuning:
        _show(recent_tunings(account, number, status), TUNING_COLUMNS, _tuning_row, as_json)
    else:
        _show(recent(account, number, status), COLUMNS, _row, as_json)


def _row(job: "RecentJob") -> Sequence[str]:
    from trainbox.platforms.sagemaker.running.bill import duration

    cost = "-" if job.bill.dollars is None else f"{job.bill.dollars:.3f}"
    return (
        job.name,
        job.task,
        job.status,
        _minute(job.created),
        duration(job.bill.elapsed),
        duration(job.bill.seconds),
        cost,
    )


def _tuning_row(job: "RecentTuning") -> Sequence[str]:
    best = "-" if job.best is None else f"{job.objective} {job.best:.5g}"
    return (job.tuning_job, job.task, job.status, _minute(job.created), f"{job.done} of {job.trials}", best)


def _minute(created: datetime) -> str:
    return f"{created.astimezone(UTC):%Y-%m-%d %H:%M}"


def _show(jobs: Sequence[Job], columns: Sequence[str], row: Callable[[Job], Sequence[str]], as_json: bool) -> None:
    """Print jobs, as JSON or as a table."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if as_json:
        print(json.dumps([job.as_dict() for job in jobs], indent=2))
        return
    table = Table(*columns, box=None, pad_edge=False)
    for job in jobs:
        table.add_row(*map(Text, row(job)))
    Console(highlight=False).print(table)
