"""What ``trainbox.toml`` in the working folder says: what need not be given with every command."""

import contextlib
import difflib
import os
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainbox.errors import UsageError

FILE = Path("trainbox.toml")


class SageMakerSettings(BaseModel):
    """The table ``[sagemaker]``: each is also an option of the commands, which wins."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    region: str | None = Field(None, description="AWS region; that of the AWS configuration where not given.")
    profile: str | None = Field(None, description="Profile of the AWS configuration.")
    role: str | None = Field(None, description="ARN of the role that SageMaker runs jobs and endpoints as.")
    bucket: str | None = Field(None, description="Bucket for data, models and checkpoints.")
    image: str | None = Field(None, description="Address of the image in ECR, as trainbox image push printed it.")
    instance_type: str | None = Field(None, description="Instance type for training, such as ml.g5.xlarge.")
    kms_key: str | None = Field(None, description="KMS key that encrypts volumes and results.")
    subnets: tuple[str, ...] = Field((), description="Subnets of the VPC that jobs run in.")
    security_groups: tuple[str, ...] = Field((), description="Security groups of the VPC that jobs run in.")
    tags: dict[str, str] = Field({}, description="Tags on all that is made.")


class Settings(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sagemaker: SageMakerSettings = Field(default_factory=lambda: SageMakerSettings.model_validate({}))

    @classmethod
    def read(cls, path: Path = FILE) -> Self:
        """Read the file, all defaults where there is none; raise UsageError naming what is wrong in it."""
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls()
        except (OSError, UnicodeDecodeError) as problem:
            raise UsageError(f"{path} cannot be read: {problem}.") from problem
        try:
            return cls.model_validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as problem:
            raise UsageError(f"{path} is no TOML: {problem}.") from problem
        except ValidationError as problem:
            raise UsageError(f"{path}: {_first(problem)}") from problem


def keep(values: Mapping[str, Any], path: Path = FILE) -> None:
    """Write settings of ``[sagemaker]`` into the file; what else stands in it, comments too, stays as it is.

    Raises UsageError where the file cannot be read or written, or tomlkit is missing.
    """
    try:
        import tomlkit
    except ImportError:
        raise UsageError("Settings are written by tomlkit. Install it: pip install 'trainbox[sagemaker]'.") from None
    Settings.read(path)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    document = tomlkit.parse(text)
    table = document.setdefault("sagemaker", tomlkit.table())
    for name, value in values.items():
        plain = list(value) if isinstance(value, tuple) else value
        if table.get(name) != plain:
            table[name] = plain
    _replace(path, tomlkit.dumps(document))


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all, through a link where it is one."""
    target = path.resolve()
    try:
        number, name = tempfile.mkstemp(prefix=".trainbox-", dir=target.parent)
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).chmod(target.stat().st_mode & 0o777 if target.exists() else 0o644)
            Path(name).replace(target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
    except OSError as problem:
        raise UsageError(f"{path} cannot be written: {problem.strerror or problem}.") from problem


def _first(problem: ValidationError) -> str:
    error = problem.errors()[0]
    name = str(error["loc"][-1])
    if error["type"] != "extra_forbidden":
        return f"'{'.'.join(map(str, error['loc']))}' is wrong: {error['msg']}. Received: {error['input']!r}."
    known = list((Settings if len(error["loc"]) == 1 else SageMakerSettings).model_fields)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(known)}."
    return f"unknown setting '{name}'. {hint}"
