"""``trainbox train``: run a training job on a platform and bring its model back."""

import json
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from trainbox import tasks
from trainbox.cli import sagemaker_options as sagemaker
from trainbox.container.contract import channels as contract_channels
from trainbox.container.contract import hyperparameters
from trainbox.errors import ChannelError, UsageError
from trainbox.platforms import docker, folder, local, place
from trainbox.platforms.job import JobFailed, TrainingJob
from trainbox.platforms.settings import Settings

IN_S3 = "s3://"
PLATFORMS = ("local", "docker", "sagemaker")


def train(
    context: typer.Context,
    task: Annotated[str, typer.Argument(metavar="TASK", help=f"What to train: {', '.join(tasks.available())}.")],
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH|NAME=PATH...",
            help="Files or folders, for SageMaker also s3://...; NAME is the channel, train where not given.",
        ),
    ],
    parameters: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="A hyperparameter; repeatable.")
    ] = None,
    on: Annotated[
        str, typer.Option(help="Where to train: local, a process on this machine; docker, the image here; sagemaker.")
    ] = "local",
    image: Annotated[
        str | None,
        typer.Option(metavar="IMAGE", help="The image to train in; for docker ours, for SageMaker one in ECR."),
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
    instance_type: sagemaker.InstanceType = None,
    instances: sagemaker.Instances = None,
    spot: sagemaker.Spot = False,
    max_runtime: sagemaker.MaxRuntime = None,
    max_wait: sagemaker.MaxWait = None,
    max_cost: sagemaker.MaxCost = None,
    keep_alive: sagemaker.KeepAlive = None,
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
    detach: sagemaker.Detach = False,
    refresh_prices: sagemaker.RefreshPrices = False,
) -> None:
    """Train a model on your data, and prove the files that come out.

    Ctrl-C ends it early with the best model so far. Nothing stands in DIR before it is whole.

    \b
    Example: trainbox train drive tub.zip -p epochs=20 -p with_slide=true --out pilot
    """
    # All of SageMaker's at once: their names are those of the parameters above.
    options = sagemaker.SageMakerOptions.given(context.params)
    _refuse_foreign(on, options, checkpoints or logs)
    job = _job(task, data, parameters or [], name)
    out = out or Path(job.name)
    try:
        if on == "sagemaker":
            # Only this platform wants boto3.
            from trainbox.cli import train_on_sagemaker

            chosen = options.over(Settings.read().sagemaker)
            stands = train_on_sagemaker.run(job, out, chosen, overwrite=overwrite, dry_run=dry_run)
        else:
            stands = _run_here(job, on, out, image, overwrite, checkpoints, logs, dry_run)
    except JobFailed as problem:
        if not problem.said:
            raise
        raise typer.Exit(problem.exit_status) from problem
    if stands:
        _print_result(job, out, as_json)
    elif not dry_run:
        # It was left running: its name is what logs, stop and fetch want.
        print(json.dumps({"bundle": None, "job": job.name}, indent=2) if as_json else job.name)


def _refuse_foreign(on: str, options: sagemaker.SageMakerOptions, kept_here: Path | None) -> None:
    """Raise UsageError where there is no such platform, or an option is another's."""
    if on not in PLATFORMS:
        raise UsageError(f"Unknown platform '{on}'. Available: {', '.join(PLATFORMS)}.")
    if on != "sagemaker":
        options.refuse_elsewhere(on, allowed=("image",) if on == "docker" else ())
    elif kept_here:
        raise UsageError(
            "--checkpoints and --logs are folders here, for --on local and --on docker. Leave them out: SageMaker "
            "keeps what a spot job needs in the bucket."
        )


def _run_here(
    job: TrainingJob,
    on: str,
    out: Path,
    image: str | None,
    overwrite: bool,
    checkpoints: Path | None,
    logs: Path | None,
    dry_run: bool,
) -> bool:
    """Run the job on this machine, or print it; tell whether a model stands at ``out`` now."""
    if dry_run:
        place.refuse(out, overwrite)
        for name, source in job.on_this_machine.items():
            folder.refuse_missing_source(name, source)
        print(json.dumps(_description(job, on, out), indent=2))
        return False
    if on == "docker":
        docker.run(job, out, image=image, overwrite=overwrite, checkpoints=checkpoints, logs=logs, say=_say)
    else:
        local.run(job, out, overwrite=overwrite, checkpoints=checkpoints, logs=logs, say=_say)
    return True


def _job(task: str, data: Sequence[str], parameters: Sequence[str], name: str) -> TrainingJob:
    """Build the job, refusing here what the container would refuse later: nothing is started in vain."""
    values = hyperparameters.decode(named_values(parameters))
    tasks.get(task).config.parse({**values, "task": task})
    return TrainingJob(task, named_sources(data), {k: v for k, v in values.items() if k != "task"}, name)


def named_channels(arguments: Sequence[str]) -> dict[str, Path]:
    """Return the channels of PATH and NAME=PATH arguments, all on this machine, as ``named_sources`` does."""
    channels = {}
    for name, source in named_sources(arguments).items():
        if isinstance(source, str):
            raise ChannelError(f"{source} does not exist. Give a file or folder on this machine.")
        channels[name] = source
    return channels


def named_sources(arguments: Sequence[str]) -> dict[str, Path | str]:
    """Return the channels of PATH and NAME=PATH arguments; those without a name are train, train-2, train-3...

    Addresses in S3 stay text. Raises ChannelError where a path does not exist here, or a name is given twice.
    """
    split = [_split(argument) for argument in arguments]
    channels: dict[str, Path | str] = {}
    for name, source in split:
        if name in channels:
            raise ChannelError(f"Channel '{name}' is given twice: {channels[name]} and {source}.")
        if name:
            contract_channels.check_name(name)
            channels[name] = source
    for name, source in split:
        if isinstance(source, Path) and not source.exists():
            raise ChannelError(f"{source} does not exist. Give a file or folder on this machine.")
        if not name:
            channels[_free_name(channels)] = source
    return channels


def _split(argument: str) -> tuple[str, Path | str]:
    name, separator, path = argument.partition("=")
    if argument.startswith(IN_S3):
        # A key may hold a "=".
        return "", argument
    if not separator or Path(argument).exists():
        return "", Path(argument)
    if not name or not path:
        raise UsageError(f"Data must be PATH or NAME=PATH. Received: {argument!r}.")
    return name, path if path.startswith(IN_S3) else Path(path)


def _free_name(taken: Collection[str]) -> str:
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
