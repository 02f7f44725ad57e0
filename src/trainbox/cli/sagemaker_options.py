"""The options of a command that runs a job at SageMaker: each with its default in trainbox.toml, where that has one."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any

import typer

from trainbox import tasks
from trainbox.errors import UsageError
from trainbox.platforms.settings import SageMakerSettings

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}

InstanceType = Annotated[
    str | None, typer.Option(metavar="TYPE", help="SageMaker: the kind of machine, such as ml.g5.xlarge.")
]
Instances = Annotated[int | None, typer.Option(metavar="N", help="SageMaker: how many machines.")]
Spot = Annotated[bool, typer.Option("--spot", help="SageMaker: cheaper machines that can be taken away and come back.")]
MaxRuntime = Annotated[
    str | None, typer.Option(metavar="TIME", help="SageMaker: stop the job after this, such as 90m or 2h.")
]
MaxWait = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="SageMaker: with --spot, the longest from start to end, waits included."),
]
MaxCost = Annotated[float | None, typer.Option(metavar="USD", help="SageMaker: what the job may cost at most.")]
KeepAlive = Annotated[
    str | None, typer.Option(metavar="TIME", help="SageMaker: keep the machine for the next job, and pay for it.")
]
Volume = Annotated[int | None, typer.Option(metavar="GB", help="SageMaker: disk; sized from the data where not given.")]
Role = Annotated[str | None, typer.Option(metavar="ARN", help="SageMaker: the role that the job runs as.")]
Bucket = Annotated[str | None, typer.Option(metavar="NAME", help="SageMaker: where data and models are kept.")]
Region = Annotated[str | None, typer.Option(metavar="NAME", help="SageMaker: the AWS region.")]
Profile = Annotated[str | None, typer.Option(metavar="NAME", help="SageMaker: the profile of the AWS configuration.")]
Subnet = Annotated[list[str] | None, typer.Option(metavar="ID", help="SageMaker: a subnet of your VPC; repeatable.")]
SecurityGroup = Annotated[
    list[str] | None, typer.Option(metavar="ID", help="SageMaker: a security group of your VPC; repeatable.")
]
KmsKey = Annotated[str | None, typer.Option(metavar="KEY", help="SageMaker: the KMS key that encrypts disk and model.")]
Tag = Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="SageMaker: a tag on the job; repeatable.")]
Env = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="SageMaker: a variable of the job, no secret; repeatable."),
]
Detach = Annotated[bool, typer.Option("--detach", help="SageMaker: return when the job runs; trainbox fetch gets it.")]
RefreshPrices = Annotated[bool, typer.Option("--refresh-prices", help="SageMaker: ask AWS what machines cost now.")]


@dataclass(frozen=True)
class SageMakerOptions:
    """What was given of them, as it was given; None, False and empty where it was not."""

    instance_type: str | None = None
    instances: int | None = None
    spot: bool = False
    max_runtime: str | None = None
    max_wait: str | None = None
    max_cost: float | None = None
    keep_alive: str | None = None
    volume: int | None = None
    role: str | None = None
    bucket: str | None = None
    region: str | None = None
    profile: str | None = None
    image: str | None = None
    subnet: Sequence[str] = ()
    security_group: Sequence[str] = ()
    kms_key: str | None = None
    tag: Sequence[str] = ()
    env: Sequence[str] = ()
    detach: bool = False
    refresh_prices: bool = False

    @classmethod
    def given(cls, arguments: Mapping[str, Any]) -> "SageMakerOptions":
        """Return those of a command's arguments that these are, by their names."""
        found: dict[str, Any] = {}
        for name in {one.name for one in fields(cls)} & arguments.keys():
            if (value := arguments[name]) is not None:
                found[name] = tuple(value) if isinstance(value, list) else value
        return cls(**found)

    def refuse_elsewhere(self, on: str, allowed: Sequence[str] = ()) -> None:
        """Raise UsageError where any was given for another platform."""
        for one in fields(self):
            value = getattr(self, one.name)
            # Nought was given; False and an empty list were not.
            if one.name not in allowed and value is not None and value is not False and value != ():
                platforms = "--on docker and --on sagemaker" if one.name == "image" else "--on sagemaker"
                option = f"--{one.name.replace('_', '-')}"
                raise UsageError(f"{option} is for {platforms}. Received: --on {on}.")

    def over(self, settings: SageMakerSettings) -> "SageMakerOptions":
        """Return the options with those that were not given taken from trainbox.toml; tags of both are joined."""
        return replace(
            self,
            instance_type=self.instance_type or settings.instance_type,
            role=self.role or settings.role,
            bucket=self.bucket or settings.bucket,
            region=self.region or settings.region,
            profile=self.profile or settings.profile,
            image=self.image or settings.image,
            subnet=self.subnet or settings.subnets,
            security_group=self.security_group or settings.security_groups,
            kms_key=self.kms_key or settings.kms_key,
            tag=(*(f"{key}={value}" for key, value in settings.tags.items()), *self.tag),
        )

    def required(self, name: str) -> str:
        """Return an option that a job cannot do without; raise UsageError where nothing names it."""
        value: str | None = getattr(self, name)
        if value:
            return value
        how = {
            "image": "push one: trainbox image push",
            "role": "make one: trainbox init",
            "bucket": "make one: trainbox init",
        }
        raise UsageError(f"No {name} is known. Give --{name}, write {name} into trainbox.toml, or {how[name]}.")

    def machine_for(self, task: str) -> str:
        """Return the instance type: the one given, else the one that suits the task."""
        return self.instance_type or tasks.get(task).instance_type


def seconds(option: str, text: str | None, default: int = 0) -> int:
    """Return the seconds that 90, 90s, 90m, 2h or 1d mean, ``default`` where None; raise UsageError."""
    if text is None:
        return default
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    if not found:
        raise UsageError(f"{option} is a time such as 90s, 30m, 2h or 1d. Received: {text!r}.")
    return round(float(found[1]) * UNITS[found[2]])


def pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    """Return NAME=VALUE arguments by name, the last of a name; raise UsageError."""
    found = {}
    for one in given:
        name, separator, value = one.partition("=")
        if not separator or not name:
            # What was meant as a value may be a secret: it is not repeated.
            raise UsageError(f"{option} must be NAME=VALUE. Received: {name!r} and no '='.")
        found[name] = value
    return found
