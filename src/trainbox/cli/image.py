"""``trainbox image``: build the container image, push it to ECR, and check any image against the contract."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trainbox.cli.train import named_channels, named_values
from trainbox.errors import UsageError
from trainbox.platforms import docker, settings
from trainbox.platforms import image as images
from trainbox.platforms.conformance import check
from trainbox.platforms.conformance.findings import Finding
from trainbox.platforms.conformance.trials import Trial, a_picture
from trainbox.platforms.image import Built
from trainbox.platforms.settings import Settings

group = typer.Typer(rich_markup_mode=None)


@group.callback()
def image() -> None:
    """Build the container image, push it to ECR, and check any image against the contract.

    Example: trainbox image build
    """


@group.command()
def build(
    target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TARGET", help=f"One of {', '.join(images.TARGETS)}; repeatable. serve and train where none."
        ),
    ] = None,
    gpu: Annotated[bool, typer.Option("--gpu", help="Build train-gpu: JAX with CUDA.")] = False,
    base_image: Annotated[
        str, typer.Option(metavar="IMAGE", help="What to build on: a Debian with Python 3.11 to 3.13.")
    ] = images.BASE_IMAGE,
    repository: Annotated[str, typer.Option(metavar="NAME", help="Images become NAME:TARGET.")] = "trainbox",
    source: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A checkout of Trainbox; the one this runs from where not given.")
    ] = None,
    network: Annotated[
        str | None, typer.Option(metavar="MODE", help="Docker's network for the build, such as host.")
    ] = None,
    sbom: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write what each image holds here, as CycloneDX JSON.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Build the image from a checkout, for linux/amd64, and say its size.

    pip's settings reach the build where they are set here: PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_TRUSTED_HOST.

    \b
    Example: trainbox image build --target train --base-image python:3.12-slim-bookworm
    """
    chosen = _targets(target or [], gpu)
    place = (source or images.checkout()).absolute()
    built = [images.build(place, name, repository, base_image, network) for name in chosen]
    if sbom:
        _write_bills(built, sbom)
    if as_json:
        rows = [{"image": one.tag, "bytes": one.bytes, "bytes_over_base": one.over_base} for one in built]
        print(json.dumps({"base_image": base_image, "images": rows}, indent=2))
    else:
        Console(highlight=False).print(_sizes(built, base_image))


@group.command()
def push(
    name: Annotated[str, typer.Argument(metavar="IMAGE", help="An image on this machine.")] = docker.IMAGE,
    repository: Annotated[
        str | None, typer.Option(metavar="NAME", help="Repository in ECR; the image's own name where not given.")
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option(metavar="TAG", help="Its tag there; its tag here, version and revision where not given."),
    ] = None,
    save: Annotated[bool, typer.Option("--save", help="Write the address into trainbox.toml.")] = False,
    region: Annotated[str | None, typer.Option(metavar="REGION", help="AWS region.")] = None,
    profile: Annotated[str | None, typer.Option(metavar="NAME", help="Profile of the AWS configuration.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Push an image to Amazon ECR, for SageMaker, and print its address there, by digest.

    The repository is made where it is missing. Docker is logged in for the push alone; its own configuration is not
    touched. Region and profile are those of trainbox.toml, then of the AWS configuration, where not given.

    \b
    Example: trainbox image push trainbox:train --save
    """
    from trainbox.platforms.sagemaker.aws.account import Account
    from trainbox.platforms.sagemaker.setup import registry

    kept = Settings.read().sagemaker
    account = Account.open(region or kept.region, profile or kept.profile)
    pushed = registry.push(account, name, repository, tag, say=_tell)
    if save:
        settings.keep({"image": pushed.address})
        _tell(f"Wrote it into {settings.FILE} as image.")
    print(json.dumps(asdict(pushed), indent=2) if as_json else pushed.address)


@group.command()
def test(
    name: Annotated[str, typer.Argument(metavar="IMAGE", help="An image on this machine: ours, or anyone's.")],
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH|NAME=PATH", help="What to train on; repeatable. A demonstration of each task where none."
        ),
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="A hyperparameter of that training; repeatable."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The model to serve; what was trained where not given.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(metavar="FILE", help="What to ask that model about.")] = None,
    only: Annotated[str | None, typer.Option(metavar="PART", help="train or serve: check that alone.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check an image against SageMaker's contract, point by point; exit status 1 where something does not hold.

    It is trained and served in containers on this machine, as SageMaker would.

    \b
    Example: trainbox image test trainbox:train
    """
    trials = [_trial(data, parameters or [])] if data else []
    findings = check(name, trials=trials, model=model, picture=picture, only=only, say=_say)
    if as_json:
        print(json.dumps({"image": name, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        Console(highlight=False).print(_table(findings))
    if not all(finding.holds for finding in findings):
        raise typer.Exit(1)


def _trial(data: Sequence[str], parameters: Sequence[str]) -> Trial:
    channels = named_channels(data)
    first = next(iter(channels.values()))
    return Trial("data", channels, named_values(parameters), a_picture(first) if first.is_dir() else None)


def _say(finding: Finding) -> None:
    print(f"{'holds' if finding.holds else 'FAILS'}  {finding.point}", file=sys.stderr, flush=True)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _table(findings: Sequence[Finding]) -> Table:
    table = Table("", "point", "seen", box=None, pad_edge=False)
    for finding in findings:
        mark = Text("holds", "green") if finding.holds else Text("FAILS", "bold red")
        table.add_row(mark, Text(finding.point), Text(finding.seen, overflow="fold"))
    return table


def _targets(named: Sequence[str], gpu: bool) -> list[str]:
    for name in named:
        if name not in images.TARGETS:
            raise UsageError(f"Unknown target '{name}'. Available: {', '.join(images.TARGETS)}.")
    return list(dict.fromkeys([*named, *(["train-gpu"] if gpu else [])])) or list(images.USUAL)


def _write_bills(built: Sequence[Built], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for one in built:
        name = one.tag.rpartition("/")[2].replace(":", "-")
        (folder / f"{name}.cdx.json").write_text(images.bill_of_materials(one.tag), encoding="utf-8")


def _sizes(built: Sequence[Built], base_image: str) -> Table:
    table = Table("image", box=None, pad_edge=False)
    for column in ("MB", "over its base"):
        table.add_column(column, justify="right")
    table.add_row(base_image, _megabytes(built[0].base_bytes), "")
    for one in built:
        table.add_row(one.tag, _megabytes(one.bytes), _megabytes(one.over_base))
    return table


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f}"
