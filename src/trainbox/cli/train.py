"""``trainbox train``: run a training job on a platform and bring its model back."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from trainbox import tasks
from trainbox.container.contract import channels as contract_channels
from trainbox.container.contract import hyperparameters
from trainbox.errors import ChannelError, UsageError
from trainbox.platforms import docker, local, place
from trainbox.platforms.job import JobFailed, TrainingJob

PLATFORMS = {"local": local.run, "docker": docker.run}


def train(
    task: Annotated[str, typer.Argument(metavar="TASK", help=f"What to train: {', '.join(tasks.available())}.")],
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH|NAME=PATH...", help="Files or folders; NAME is the channel, train where not given."
        ),
    ],
    parameters: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="A hyperparameter; repeatable.")
    ] = None,
    on: Annotated[
        str, typer.Option(help="Where to train: local, a process on this machine; docker, the image on this machine.")
    ] = "local",
    image: Annotated[
        str | None, typer.Option(metavar="IMAGE", help="The image to train in, with --on docker; ours where not given.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the model goes; the job's name where not given.")
    ] = None,
    name: Annotated[str, typer.Option(metavar="JOB", help="Name of the job; task and time where not given.")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model that --out holds.")] = False,
    checkpoints: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep checkpoints here; the same command resumes from them.")
    ] = None,
    logs: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep logs for TensorBoard here.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the job that would run, and run nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a model on your data, and prove the files that come out.

    Ctrl-C ends it early with the best model so far. Nothing stands in DIR before it is whole.

    \b
    Example: trainbox train drive tub.zip -p epochs=20 -p with_slide=true --out pilot
    """
    job = _job(task, data, parameters or [], name)
    out = out or Path(job.name)
    if on not in PLATFORMS:
        raise UsageError(f"Unknown platform '{on}'. Available: {', '.join(PLATFORMS)}.")
    if image and on != "docker":
        raise UsageError(f"--image is for --on docker. Received: --on {on}.")
    if dry_run:
        place.refuse(out, overwrite)
        print(json.dumps(_description(job, on, out), indent=2))
        return
    chosen = {"image": image} if image else {}
    try:
        PLATFORMS[on](job, out, overwrite=overwrite, checkpoints=checkpoints, logs=logs, say=_say, **chosen)
    except JobFailed as problem:
        if not problem.said:
            raise
        raise typer.Exit(problem.exit_status) from problem
    _print_result(job, out, as_json)


def _job(task: str, data: Sequence[str], parameters: Sequence[str], name: str) -> TrainingJob:
    """Build the job, refusing here what the container would refuse later: nothing is started in vain."""
    values = hyperparameters.decode(named_values(parameters))
    tasks.get(task).config.parse({**values, "task": task})
    return TrainingJob(task, named_channels(data), {k: v for k, v in values.items() if k != "task"}, name)


def named_channels(arguments: Sequence[str]) -> dict[str, Path]:
    """Return the channels of PATH and NAME=PATH arguments; those without a name are train, train-2, train-3...

    Raises ChannelError where a path does not exist on this machine, or a name is given twice.
    """
    split = [_split(argument) for argument in arguments]
    channels: dict[str, Path] = {}
    for name, path in split:
        if name in channels:
            raise ChannelError(f"Channel '{name}' is given twice: {channels[name]} and {path}.")
        if name:
            contract_channels.check_name(name)
            channels[name] = path
    for name, path in split:
        if not path.exists():
            raise ChannelError(f"{path} does not exist. Give a file or folder on this machine.")
        if not name:
            channels[_free_name(channels)] = path
    return channels


def _split(argument: str) -> tuple[str, Path]:
    name, separator, path = argument.partition("=")
    if not separator or Path(argument).exists():
        return "", Path(argument)
    if not name or not path:
        raise UsageError(f"Data must be PATH or NAME=PATH. Received: {argument!r}.")
    return name, Path(path)


def _free_name(taken: dict[str, Path]) -> str:
    names = ["train", *(f"train-{number}" for number in range(2, len(taken) + 2))]
    return next(name for name in names if name not in taken)


def named_values(parameters: Sequence[str]) -> dict[str, str]:
    """Return the values of NAME=VALUE arguments, still text; raise UsageError."""
    values: dict[str, str] = {}
    for parameter in parameters:
        name, separator, value = parameter.partition("=")
        name = name.strip()
        if not separator or not name:
            raise UsageError(f"A hyperparameter must be NAME=VALUE. Received: {parameter!r}.")
        if name in values:
            raise UsageError(f"Hyperparameter '{name}' is given twice: {values[name]!r} and {value!r}.")
        values[name] = value
    return values


def _description(job: TrainingJob, platform: str, out: Path) -> dict[str, Any]:
    return {
        "name": job.name,
        "platform": platform,
        "task": job.task,
        "channels": {name: str(path) for name, path in job.channels.items()},
        "hyperparameters": job.encoded,
        "out": str(out),
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print_result(job: TrainingJob, out: Path, as_json: bool) -> None:
    manifest = json.loads((out / place.MANIFEST).read_text(encoding="utf-8"))
    if as_json:
        kept = ("task", "metrics", "models", "history", "problems")
        print(json.dumps({"bundle": str(out), "job": job.name, **{key: manifest.get(key) for key in kept}}, indent=2))
        return
    # Where both go to one terminal, the log has just said it.
    if manifest.get("metrics") and not (sys.stdout.isatty() and sys.stderr.isatty()):
        for line in tasks.get(job.task).summary_lines(manifest["metrics"]):
            print(line)
    print(
        f"Model: {out} ({', '.join(manifest.get('models', {}))}). Score it on other data: trainbox evaluate {out} PATH"
    )
