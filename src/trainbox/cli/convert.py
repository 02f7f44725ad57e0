"""``trainbox convert``: write a data set as TFRecords."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from trainbox import tasks
from trainbox.cli.check import recognised
from trainbox.data.problems import Problems


def convert(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Folders and archives that hold the data.")],
    folder: Annotated[Path, typer.Argument(metavar="TFRECORD_DIR", help="A new or empty folder.")],
    task: Annotated[str, typer.Option(help="The task, where the data alone does not tell.")] = "",
    data_format: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help="What to read, where the data has several."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write a data set as TFRecords.

    They are those that the TensorFlow Object Detection API reads, a label map beside them. The data itself stays as
    it is; what is left out is said.

    \b
    Example: trainbox convert annotated-photos.zip records
    """
    chosen = tasks.get(task) if task else recognised(paths)
    problems = Problems()
    written = chosen.convert(paths, folder, problems, data_format)
    if as_json:
        print(json.dumps({"folder": str(folder), "written": written, **problems.as_dict()}, indent=2))
        return
    for verb, tallies in (("Left out", problems.skips), ("Warning", problems.warnings)):
        for reason, tally in tallies.items():
            first = f", first: {tally.examples[0]}" if tally.examples else ""
            print(f"{verb}: {reason} ({tally.count}{first})", file=sys.stderr)
    print(written)
