"""``trainbox check``: read a data set as training would, and say what is in it and what is wrong with it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from trainbox import tasks
from trainbox.data.problems import Tally
from trainbox.data.text import printable
from trainbox.errors import ChannelError, DataError, UsageError

EXAMPLES_SHOWN = 3
BAR_WIDTH = 40


def check(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Folders and archives that hold the data.")],
    task: Annotated[str, typer.Option(help="The task, where the data alone does not tell.")] = "",
    data_format: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help="What to read, where the data has several."),
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw some pictures with their boxes into this PNG.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Read a data set as training would; say what is in it and what is wrong with it.

    Exit status 2 where nothing usable is left.

    \b
    Example: trainbox check tub.zip
    """
    if sheet is not None and sheet.exists():
        raise UsageError(f"{sheet} exists already. Give a new file for the sheet: nothing is overwritten.")
    chosen = tasks.get(task) if task else recognised(paths)
    report = chosen.check(paths, data_format=data_format, sheet=sheet)
    if as_json:
        print(json.dumps(as_dict(chosen.name, report), indent=2))
    else:
        Console(highlight=False).print(rendered(report))
    if not report.usable:
        typer.echo("Nothing usable is left of the data. See what was left out, and why, above.", err=True)
        raise typer.Exit(2)


def as_dict(task: str, report: tasks.CheckReport) -> dict[str, object]:
    """Return a report as it is printed by ``--json``."""
    return {"task": task, "usable": report.usable, **report.data, **report.problems.as_dict()}


def rendered(report: tasks.CheckReport) -> RenderableType:
    """Return a report for the terminal: its sections, then the problems with their first examples."""
    parts: list[RenderableType] = []
    for section in report.sections:
        parts += [Text(section.title, style="bold"), *_section(section), Text()]
    for title, tallies in (("Left out", report.problems.skips), ("Warnings", report.problems.warnings)):
        if tallies:
            parts += [Text(title, style="bold"), _problems(tallies), Text()]
    if not report.problems.skips and not report.problems.warnings:
        parts.append(Text("No problems found.", style="green"))
    return Group(*parts)


def _section(section: tasks.Section) -> Sequence[RenderableType]:
    parts: list[RenderableType] = []
    if section.rows:
        table = Table.grid(padding=(0, 2))
        for name, value in section.rows:
            table.add_row(Text("  " + name), Text(value))
        parts.append(table)
    if section.histogram:
        parts.append(_bars(section.histogram))
    return parts


def _bars(histogram: Sequence[tuple[str, int]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(width=BAR_WIDTH)
    most = max(count for _, count in histogram) or 1
    for name, count in histogram:
        table.add_row(Text("  " + name), f"{count:,}", Bar(most, 0, count, width=BAR_WIDTH))
    return table


def _problems(tallies: Mapping[str, Tally]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    for reason, tally in sorted(tallies.items(), key=lambda item: -item[1].count):
        table.add_row(f"{tally.count:,}", Text(reason))
        for example in tally.examples[:EXAMPLES_SHOWN]:
            table.add_row("", Text(example, style="dim", overflow="fold"))
    return table


def recognised(paths: Sequence[Path]) -> tasks.Task:
    """Return the task that the data is of, its paths named as ``trainbox train`` would name them."""
    for path in paths:
        if not path.exists():
            raise DataError(f"Path '{printable(str(path))}' does not exist. Check its spelling.")
    names = ["train", *(f"train-{number}" for number in range(2, len(paths) + 1))]
    try:
        return tasks.recognise(dict(zip(names, paths, strict=True)))
    except ChannelError:
        received = ", ".join(printable(str(path)) for path in paths)
        known = ", ".join(tasks.available())
        raise DataError(f"No task fits this data alone. Received: {received}. Name one with --task: {known}.") from None
