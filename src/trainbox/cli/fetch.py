"""``trainbox fetch``: bring here what a training job at SageMaker made."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trainbox.cli.aws import AnyJobName, AsJson, Profile, Region, opened

if TYPE_CHECKING:
    from trainbox.platforms.sagemaker.aws.account import Account


def fetch(
    job: AnyJobName,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the model goes; the job's name where not given.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model that --out holds.")] = False,
    region: Region = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Bring the model of a training job at SageMaker here, or the best one of a tuning job.

    It is verified against its manifest; nothing stands in DIR before it is whole. A job that was stopped early has the
    best model that it had; one that failed says why, with exit status 1, or 2 where it refused its data.

    \b
    Example: trainbox fetch drive-20261122-101500 --out pilot
    """
    from trainbox.platforms import place
    from trainbox.platforms.sagemaker.running import kinds, results, trials

    out = out or Path(job)
    place.refuse(out, overwrite)
    account = opened(region, profile)
    kind, description = kinds.found(account, job)
    if kind is kinds.TUNING:
        _, description = trials.read(account, description, _say).best_job(account)
        job = description["TrainingJobName"]
    last = _last_lines(account, job) if description["TrainingJobStatus"] == "Failed" else []
    results.fetch(account, description, out, _say, last)
    _print_result(job, out, results.bill_of(description).as_dict(), as_json)


def _last_lines(account: "Account", job: str) -> Sequence[str]:
    """Say what a failed job said last; whoever fetches it did not watch it."""
    from trainbox.platforms.sagemaker.aws.failures import AwsFailed
    from trainbox.platforms.sagemaker.aws.logs import Log

    log = Log(account, job)
    try:
        log.new()
    except AwsFailed as problem:
        _say(str(problem))
    for line in log.last:
        _say(line)
    return list(log.last)


def _print_result(job: str, out: Path, bill: Mapping[str, Any], as_json: bool) -> None:
    from trainbox import tasks
    from trainbox.platforms.place import MANIFEST

    manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    if as_json:
        kept = ("task", "metrics", "models", "history", "problems")
        result = {"bundle": str(out), "job": job, "bill": bill, **{key: manifest.get(key) for key in kept}}
        print(json.dumps(result, indent=2))
        return
    if manifest.get("metrics"):
        for line in tasks.get(manifest["task"]).summary_lines(manifest["metrics"]):
            print(line)
    print(f"Model: {out} ({', '.join(manifest['models'])}). Score it on other data: trainbox evaluate {out} PATH")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
