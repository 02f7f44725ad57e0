"""Docker Engine, through its own command: what it can do, what images it has, and ends of containers."""

import csv
import io
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainbox.errors import TrainboxError, UsageError

PLATFORM = "linux/amd64"
"""What SageMaker runs, and what all packages are made for: also asked for on other machines, which emulate it."""
AS_SAGEMAKER_TAKES_IT = ("--provenance=false", "--sbom=false", "--output", "type=docker,oci-mediatypes=false")
"""How buildx is told to make an image of Docker's media types, and to hand it to the engine.

Attestations would make an index of it, and an engine that stores images as containerd does, OCI's types.
"""
SECONDS_TO_ANSWER = 60


class DockerFailed(TrainboxError):
    """Docker did not do what was asked of it."""


@dataclass(frozen=True)
class About:
    """What an engine says of itself."""

    security: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()

    @property
    def gpus(self) -> bool:
        """Tell whether containers can be given the machine's GPUs."""
        return "nvidia" in self.runtimes

    def has(self, security: str) -> bool:
        """Tell whether a security option is in force: "rootless", "userns", "selinux"."""
        return any(option == f"name={security}" or option.startswith(f"name={security},") for option in self.security)


def about() -> About:
    """Ask the engine what it is; raise UsageError where there is none."""
    answer = call("info", "--format", "{{json .SecurityOptions}}\n{{json .Runtimes}}")
    try:
        # Without an engine the command prints nulls, and fails.
        security, runtimes = (json.loads(line) for line in answer.stdout.splitlines() if answer.returncode == 0)
    except ValueError:
        said = last_line(answer.stderr) or last_line(answer.stdout) or "nothing"
        raise UsageError(f"Docker does not answer: {said} Start Docker, or see whether you may use it.") from None
    return About(tuple(security or ()), tuple(runtimes or ()))


def call(
    *arguments: str,
    seconds: float = SECONDS_TO_ANSWER,
    environment: Mapping[str, str] | None = None,
    given: str | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run one command of Docker's, ``given`` on its standard input.

    Raises UsageError where there is no Docker, DockerFailed where it hangs.
    """
    try:
        return subprocess.run(
            ["docker", *arguments],
            env=environment,
            input=given,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        raise UsageError("There is no command 'docker' on this machine. Install Docker Engine.") from None
    except subprocess.TimeoutExpired:
        raise DockerFailed(f"Docker did not answer 'docker {arguments[0]}' within {seconds:g} s.") from None


def asked(*arguments: str, seconds: float = SECONDS_TO_ANSWER) -> str:
    """Run one command of Docker's and return what it printed; raise DockerFailed where it fails."""
    answer = call(*arguments, seconds=seconds)
    if answer.returncode != 0:
        raise DockerFailed(f"'docker {' '.join(arguments[:2])}' failed: {last_line(answer.stderr)}")
    return answer.stdout.strip()


def image(name: str) -> dict[str, Any] | None:
    """Return what Docker knows of an image on this machine, None where it has none of that name."""
    answer = call("image", "inspect", name)
    return json.loads(answer.stdout)[0] if answer.returncode == 0 else None


def require_image(name: str) -> dict[str, Any]:
    """Return what Docker knows of an image; raise UsageError where it is not on this machine."""
    found = image(name)
    if found is None:
        raise UsageError(
            f"There is no image '{name}' on this machine. Build it: trainbox image build; or: docker pull {name}"
        )
    return found


def mount(source: Path, target: str, *, read_only: bool = False) -> list[str]:
    """Return the options that show ``source`` in a container, whatever commas, quotes or colons are in its name."""
    row = ["type=bind", f"source={source.absolute()}", f"target={target}", *(["readonly"] if read_only else [])]
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(row)
    return ["--mount", text.getvalue()]


def remove(container: str) -> None:
    """End a container and all that is of it; nothing happens where it is gone."""
    call("rm", "--force", "--volumes", container)


def last_line(text: str | None) -> str:
    """Return the last line that says something, with a full stop."""
    lines: Sequence[str] = [line.strip() for line in (text or "").splitlines() if line.strip()]
    # Docker's command ends some errors with where to read on.
    telling = [line for line in lines if not line.startswith("Run 'docker")] or lines
    return telling[-1].rstrip(".") + "." if telling else ""
