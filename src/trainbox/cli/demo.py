"""``trainbox demo``: write a small synthetic data set."""

import json
from pathlib import Path
from typing import Annotated

import typer

from trainbox import tasks


def demo(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help=f"What to write data for: {', '.join(tasks.available())}.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    size: Annotated[int | None, typer.Option(min=1, help="Number of records; the task's own where not given.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed writes the same data.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write a small synthetic data set.

    Its blemishes are those of real data, so that check and train have something to say. A folder that holds the very
    same data already is left as it is.

    Example: trainbox demo drive demo/tub
    """
    chosen = tasks.get(task)
    written = chosen.write_demo(folder, seed, size)
    print(json.dumps({"folder": str(folder), "written": written}) if as_json else written)
