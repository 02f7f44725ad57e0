"""``trainbox tune``: search the hyperparameters with which a model gets best."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from trainbox import tasks
from trainbox.cli import sagemaker_options as sagemaker
from trainbox.cli.train import named_sources, named_values
from trainbox.container.contract import hyperparameters
from trainbox.errors import UsageError
from trainbox.platforms import folder, tuning
from trainbox.platforms import search as searching
from trainbox.platforms.settings import Settings
from trainbox.platforms.study import Record

PLATFORMS = ("local", "docker", "sagemaker")


def tune(
    context: typer.Context,
    task: Annotated[str, typer.Argument(metavar="TASK", help=f"What to train: {', '.join(tasks.available())}.")],
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH|NAME=PATH...", help="Files or folders; NAME is the channel, train where not given."
        ),
    ],
    parameters: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="A hyperparameter that stays as it is."),
    ] = None,
    over: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=LOW:HIGH[:log]|=A,B]",
            help="A hyperparameter to search, in the task's range where none is given; all of the task's if left out.",
        ),
    ] = None,
    trials: Annotated[int, typer.Option(metavar="N", help="Trainings at most.")] = searching.DEFAULT_TRIALS,
    parallel: Annotated[int, typer.Option(metavar="N", help="Trainings at once.")] = 1,
    on: Annotated[str, typer.Option(help="Where to train: local, docker or sagemaker, as trainbox train does.")] = (
        "local"
    ),
    image: Annotated[
        str | None, typer.Option(metavar="IMAGE", help="The image to train in; not for --on local.")
    ] = None,
    objective: Annotated[
        str | None, typer.Option(metavar="METRIC", help="What to be best in; the task's first score where not given.")
    ] = None,
    max_runtime: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Longest training, such as 90m; it then ends with the best it has."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed proposes the same.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the search is kept, its best model as DIR/best.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the search that --out holds.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be searched, and run nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    instance_type: sagemaker.InstanceType = None,
    spot: sagemaker.Spot = False,
    max_wait: sagemaker.MaxWait = None,
    max_cost: Annotated[
        float | None, typer.Option(metavar="USD", help="SageMaker: what all trainings together may cost at most.")
    ] = None,
    volume: sagemaker.Volume = None,
    role: sagemaker.Role = None,
    bucket: sagemaker.Bucket = None,
    region: sagemaker.Region = None,
    profile: sagemaker.Profile = None,
    subnet: sagemaker.Subnet = None,
    security_group: sagemaker.SecurityGroup = None,
    kms_key: sagemaker.KmsKey = None,
    tag: sagemaker.Tag = None,
    env: sagemaker.Env = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="SageMaker: return when the search runs; --resume goes on with it.")
    ] = False,
) -> None:
    """Search the hyperparameters with which a model gets best.

    Each trial is a training job as trainbox train runs it, scored by the files that come out. Ctrl-C ends the search
    with the best so far; --resume goes on with it.

    \b
    Example: trainbox tune drive tub.zip --over learning_rate=3e-4:3e-3:log --over dropout --trials 12 --out search
    """
    # All of SageMaker's at once: their names are those of the parameters above.
    options = sagemaker.SageMakerOptions.given(context.params)
    if on not in PLATFORMS:
        raise UsageError(f"Unknown platform '{on}'. Available: {', '.join(PLATFORMS)}.")
    if on != "sagemaker":
        options.refuse_elsewhere(on, allowed=("max_runtime", "image") if on == "docker" else ("max_runtime",))
    chosen, direction = searching.objective(tasks.get(task), objective)
    fixed, space = _space(task, parameters or [], over or [])
    limit = sagemaker.seconds("--max-runtime", max_runtime) if max_runtime is not None else None
    wanted = searching.Search(task, named_sources(data), fixed, space, chosen, direction, trials, parallel, seed, limit)
    out = out or Path(f"{task}-search")
    if on == "sagemaker":
        # Only this platform wants boto3.
        from trainbox.cli import tune_on_sagemaker

        given = options.over(Settings.read().sagemaker)
        found = tune_on_sagemaker.run(wanted, out, given, resume=resume, dry_run=dry_run)
    else:
        found = _run_here(wanted, on, out, image, resume, dry_run)
    if found:
        _print_result(found, wanted, on, out, as_json)


def _run_here(
    wanted: searching.Search, on: str, out: Path, image: str | None, resume: bool, dry_run: bool
) -> tuning.Found | None:
    """Search on this machine, or print what would be searched."""
    for name, source in wanted.job({}, "").on_this_machine.items():
        folder.refuse_missing_source(name, source)
    if dry_run:
        tuning.refuse(out, resume)
        print(json.dumps(_description(wanted, on, out), indent=2))
        return None
    return tuning.run(wanted, out, on=on, image=image, resume=resume, say=_say)


def _space(task: str, parameters: list[str], over: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fixed values and the space to search; refuse here what the container would refuse later."""
    config = tasks.get(task).config
    fixed = {name: value for name, value in hyperparameters.decode(named_values(parameters)).items() if name != "task"}
    config.parse(fixed)
    return fixed, searching.space(config, over, fixed)


def _description(wanted: searching.Search, on: str, out: Path) -> dict[str, Any]:
    trials = int(min(wanted.trials, searching.combinations(wanted.space)))
    return {"platform": on, **wanted.description(), "trials": trials, "parallel": wanted.parallel, "out": str(out)}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print_result(found: tuning.Found, wanted: searching.Search, on: str, out: Path, as_json: bool) -> None:
    if as_json:
        kept = json.loads((out / tuning.TABLE).read_text(encoding="utf-8"))
        print(json.dumps({"bundle": str(found.bundle), "stopped": found.stopped, **kept}, indent=2))
        return
    _print_table(found, wanted)
    if found.stopped and on == "sagemaker":
        print(f"Stopped after {len(found.records)} trials. A tuning job does not go on: search on with another --out.")
    elif found.stopped:
        print(f"Stopped after {len(found.records)} of {wanted.trials} trials. Go on with --resume --out {out}.")
    # There may have been no time to score a model that was stopped.
    reached = "not scored" if found.best.score is None else f"{found.best.score:.5g}"
    print(f"Best: {wanted.objective} {reached} with {tuning.said(found.best.hyperparameters)}. Model: {found.bundle}")


def _print_table(found: tuning.Found, wanted: searching.Search) -> None:
    """Print a row per trial, the best first and the failed last."""
    from rich.console import Console
    from rich.table import Table

    table = Table("trial", wanted.objective, *wanted.space, "seconds", box=None, pad_edge=False)
    sign = 1 if wanted.direction == "minimize" else -1

    def rank(one: Record) -> tuple[bool, bool, float, int]:
        return bool(one.failed), one.score is None, sign * (one.score or 0.0), one.number

    for record in sorted(found.records, key=rank):
        score = "failed" if record.failed else "not scored" if record.score is None else f"{record.score:.5g}"
        values = (tuning.said({name: record.hyperparameters[name]}).partition("=")[2] for name in wanted.space)
        table.add_row(str(record.number), score, *values, f"{record.seconds:.0f}")
    Console(highlight=False).print(table)
