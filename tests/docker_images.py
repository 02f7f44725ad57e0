"""Docker for tests: an engine where there can be one, our images built from a clean clone, others made of them."""

import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from trainbox.errors import UsageError
from trainbox.platforms import containers, image
from trainbox.platforms.containers import DockerFailed

ROOT = Path(__file__).parents[1]
REPOSITORY = "trainbox-test"
TOOL = "TRAINBOX_TEST_DOCKER_BASE"
"""Names a program that makes an engine and a base image available, and prints the image's name."""
SECONDS_TO_MAKE = 900


class NoEngine(Exception):
    """No engine can be had on this machine, or no image to build on."""


def call(*arguments: str) -> str:
    """Run one command of Docker's and return what it prints; it must succeed."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=SECONDS_TO_MAKE, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr[-2000:]}"
    return done.stdout


@cache
def base_image() -> tuple[str, str | None]:
    """Return what to build on, and the network to build in; raise NoEngine, saying why.

    A program that makes both stands beside the checkout where it is developed; anywhere else it is Docker as it is,
    with the image that the Dockerfile names.
    """
    beside = ROOT.parent / "shared/tools/docker-base"
    tool = os.environ.get(TOOL) or (str(beside) if os.access(beside, os.X_OK) else "")
    if tool:
        done = subprocess.run([tool], capture_output=True, text=True, timeout=SECONDS_TO_MAKE, check=False)
        if done.returncode != 0:
            raise NoEngine(f"{Path(tool).name} made no engine available: {done.stderr[-500:]}")
        return done.stdout.strip().splitlines()[-1], "host"
    try:
        containers.about()
        if containers.image(image.BASE_IMAGE) is None:
            containers.asked("pull", "--platform", containers.PLATFORM, image.BASE_IMAGE, seconds=SECONDS_TO_MAKE)
    except (UsageError, DockerFailed) as problem:
        raise NoEngine(str(problem)) from problem
    return image.BASE_IMAGE, None


@cache
def built(target: str) -> image.Built:
    """Build a target from a clean clone of what is committed here; raise NoEngine."""
    base, network = base_image()
    if not (ROOT / ".git").exists():
        raise NoEngine("this is no clone, so there is nothing to build a clean clone's image from")
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True, timeout=300)
        return image.build(clone, target, REPOSITORY, base, network)


def made_from(base: str, context: Path, lines: str, name: str, *options: str) -> str:
    """Make an image of ``lines`` of a Dockerfile on ``base``, with the files in ``context``."""
    (context / "Dockerfile").write_text(f"FROM {base}\n{lines}")
    call("build", "--quiet", *options, "--tag", f"{REPOSITORY}:{name}", str(context))
    return f"{REPOSITORY}:{name}"
