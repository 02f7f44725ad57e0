"""``trainbox evaluate``: score the exported files of a model on data."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from trainbox import tasks
from trainbox.container import packages


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder, or its model.tar.gz.")],
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files and folders that hold the data.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Score the exported files of a model on data.

    Each file answers in the runtime that it is meant for, so the scores are those of the device.

    Example: trainbox evaluate pilot other-tub.zip
    """
    packages.require_training()
    from trainbox.export.bundle import Bundle

    with Bundle.open(model) as bundle:
        task = tasks.get(str(bundle.manifest["task"]))
        scores = task.evaluate(bundle, paths, lambda line: print(line, file=sys.stderr))
    if as_json:
        print(json.dumps(scores, indent=2, default=float))
    else:
        _print_table(scores)


def _print_table(scores: Mapping[str, Any]) -> None:
    """Print a row per score and a column per file."""
    from rich.console import Console
    from rich.table import Table

    flat = {file: dict(_flat(values)) for file, values in scores.items()}
    table = Table("score", *flat, box=None, pad_edge=False)
    for name in dict.fromkeys(name for values in flat.values() for name in values):
        table.add_row(name, *(_shown(values.get(name)) for values in flat.values()))
    Console(highlight=False).print(table)


def _flat(values: Any, name: str = "") -> list[tuple[str, Any]]:
    if isinstance(values, Mapping):
        return [pair for key, value in values.items() for pair in _flat(value, f"{name} {key}".strip())]
    if isinstance(values, list | tuple):
        return []  # Tables within a score are for --json and for the report.
    return [(name, values)]


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
