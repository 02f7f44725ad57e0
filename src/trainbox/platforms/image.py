"""Trainbox's images: build them from a checkout, say how large they are and what they hold."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import trainbox
from trainbox.errors import UsageError
from trainbox.platforms import containers, program
from trainbox.platforms.containers import AS_SAGEMAKER_TAKES_IT, PLATFORM, DockerFailed

TARGETS = ("serve", "base", "train", "train-gpu")
USUAL = ("serve", "train")
BASE_IMAGE = "python:3.12-slim-bookworm"
BILL = "/opt/trainbox/sbom.cdx.json"
PIP_SETTINGS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT")
"""Handed to the build where they are set: how pip reaches packages is this machine's affair, not the image's."""


@dataclass(frozen=True)
class Built:
    """An image that was built, and its size over that of the image it stands on, in bytes."""

    tag: str
    bytes: int
    base_bytes: int

    @property
    def over_base(self) -> int:
        """What the image adds to its base."""
        return self.bytes - self.base_bytes


def build(
    source: Path, target: str, repository: str = "trainbox", base_image: str = BASE_IMAGE, network: str | None = None
) -> Built:
    """Build a target of the Dockerfile in ``source`` as ``repository:target``; the builder's log goes to stderr.

    Raises UsageError where ``source`` is no checkout of Trainbox or there is no Docker, DockerFailed where it fails.
    """
    refuse_no_checkout(source)
    containers.about()
    tag = f"{repository}:{target}"
    # BuildKit keeps the layers that it fetches to itself: there would be nothing to measure against.
    if containers.image(base_image) is None and _status(["docker", "pull", "--platform", PLATFORM, base_image]) != 0:
        raise DockerFailed(f"The base image {base_image} cannot be had: what Docker said stands above.")
    status = _status(build_command(source, target, tag, base_image, network, has_buildx(), os.environ))
    if status != 0:
        raise DockerFailed(f"The image {tag} could not be built (status {status}): what the builder said stands above.")
    return Built(tag, size(tag), size(base_image))


def _status(command: Sequence[str]) -> int:
    """Run a command of Docker's that takes its time, all it says on standard error."""
    log = program.stderr()
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False).returncode


def build_command(
    source: Path,
    target: str,
    tag: str,
    base_image: str,
    network: str | None,
    buildx: bool,
    environment: Mapping[str, str],
) -> list[str]:
    """Return the command that builds ``target``, for builders with and without BuildKit's extensions."""
    begin = ["docker", "buildx", "build", *AS_SAGEMAKER_TAKES_IT] if buildx else ["docker", "build"]
    arguments = [f"BASE_IMAGE={base_image}", *(name for name in PIP_SETTINGS if environment.get(name))]
    labels = {"version": trainbox.__version__, "revision": revision(source), "base.name": base_image}
    return [
        *begin,
        *("--platform", PLATFORM),
        *("--target", target),
        *("--tag", tag),
        *(["--network", network] if network else []),
        *(word for argument in arguments for word in ("--build-arg", argument)),
        *(
            word
            for key, value in labels.items()
            if value
            for word in ("--label", f"org.opencontainers.image.{key}={value}")
        ),
        str(source),
    ]


def has_buildx() -> bool:
    """Tell whether Docker's command has the builder that makes attestations, and can be told not to."""
    return containers.call("buildx", "version").returncode == 0


def refuse_no_checkout(source: Path) -> None:
    """Raise UsageError where there is nothing to build from."""
    if not all((source / name).exists() for name in ("Dockerfile", "requirements", "src/trainbox")):
        raise UsageError(f"{source} is no checkout of Trainbox: images are built from one. Name it with --source.")


def checkout() -> Path:
    """Return the checkout that this package runs from, the working folder where it runs from none."""
    here = Path(trainbox.__file__).parents[2]
    return here if (here / "Dockerfile").is_file() else Path.cwd()


def revision(source: Path) -> str | None:
    """Return the commit of a checkout, None where git cannot tell or something differs from it."""
    try:
        ask = ["git", "-C", str(source), "describe", "--always", "--abbrev=40", "--dirty", "--match="]
        done = subprocess.run(ask, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = done.stdout.strip()
    return said if done.returncode == 0 and not said.endswith("-dirty") else None


def size(name: str) -> int:
    """Return the size of an image on this machine, in bytes, with all that it stands on."""
    return int(containers.require_image(name)["Size"])


def bill_of_materials(tag: str) -> str:
    """Return the CycloneDX document that the image carries; raise DockerFailed where it carries none."""
    text = containers.asked(
        "run", "--rm", "--network", "none", "--platform", PLATFORM, "--entrypoint", "cat", tag, BILL
    )
    try:
        json.loads(text)
    except ValueError:
        raise DockerFailed(f"{tag} has no bill of materials at {BILL}.") from None
    return text + "\n"
