"""``trainbox jobs``: what was trained at SageMaker, and what is being trained."""

import json
from collections.abc import Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Annotated

import typer

from trainbox.cli.aws import AsJson, Profile, Region, opened

if TYPE_CHECKING:
    from trainbox.platforms.sagemaker.running.recent import RecentJob

STATUSES = ("InProgress", "Completed", "Failed", "Stopping", "Stopped")


def jobs(
    status: Annotated[str | None, typer.Option(metavar="STATUS", help=f"Only these: {', '.join(STATUSES)}.")] = None,
    number: Annotated[int, typer.Option("-n", "--number", metavar="N", min=1, help="How many at most.")] = 20,
    region: Region = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """List the training jobs that Trainbox began at SageMaker.

    From whatever machine they were begun; the newest come first.

    \b
    Example: trainbox jobs --status InProgress
    """
    from trainbox.errors import UsageError
    from trainbox.platforms.sagemaker.running.recent import recent

    if status and status not in STATUSES:
        raise UsageError(f"--status must be one of {', '.join(STATUSES)}. Received: {status!r}.")
    found = recent(opened(region, profile), number, status)
    if as_json:
        print(json.dumps([job.as_dict() for job in found], indent=2))
    else:
        _print_table(found)


def _print_table(found: "Sequence[RecentJob]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from trainbox.platforms.sagemaker.running.bill import duration

    table = Table("job", "task", "status", "created (UTC)", "took", "billed", "USD", box=None, pad_edge=False)
    for job in found:
        cost = "-" if job.bill.dollars is None else f"{job.bill.dollars:.3f}"
        took, billed = duration(job.bill.elapsed), duration(job.bill.seconds)
        created = f"{job.created.astimezone(UTC):%Y-%m-%d %H:%M}"
        table.add_row(*(Text(cell) for cell in (job.name, job.task, job.status, created, took, billed, cost)))
    Console(highlight=False).print(table)
