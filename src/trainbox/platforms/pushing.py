"""Push an image to a registry with a password that is nowhere else: in no command line, and in no file afterwards."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from trainbox.platforms import containers, program
from trainbox.platforms.containers import AS_SAGEMAKER_TAKES_IT, PLATFORM, DockerFailed

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
"""The one media type of an image that every part of SageMaker takes."""
MANIFESTS = (
    DOCKER_MANIFEST,
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)
"""All that a registry may have under a tag."""
CONFIGURATION = "config.json"


@contextlib.contextmanager
def logged_in(host: str, user: str, password: str) -> Iterator[Mapping[str, str]]:
    """Log Docker in to a registry and hold the environment in which it is; afterwards nothing of it is left.

    The user's own configuration is read for the engine it names, and never written. Raises DockerFailed.
    """
    with _ended_by_sigterm(), tempfile.TemporaryDirectory(prefix="trainbox-login-") as folder:
        _prepare(Path(folder), host)
        environment = {**os.environ, "DOCKER_CONFIG": folder}
        login = ("login", "--username", user, "--password-stdin", host)
        answer = containers.call(*login, environment=environment, given=password)
        if answer.returncode != 0:
            raise DockerFailed(f"Docker cannot log in to {host}: {containers.last_line(answer.stderr)}")
        yield environment


def push(reference: str, environment: Mapping[str, str]) -> None:
    """Push an image that has the tag ``reference``, progress on standard error; raise DockerFailed saying why not."""
    done = subprocess.run(
        ["docker", "push", reference],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=program.stderr(),
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise DockerFailed(f"{reference} could not be pushed: {containers.last_line(done.stderr)}")


def refuse_foreign_platform(name: str, found: Mapping[str, Any]) -> None:
    """Raise UnfitImage where an image is made for other machines than SageMaker's."""
    made_for = f"{found.get('Os', '?')}/{found.get('Architecture', '?')}"
    if made_for != PLATFORM:
        raise UnfitImage(f"{name} is made for {made_for}, SageMaker runs {PLATFORM}. {how_to_build(name)}")


def refuse_foreign_media_type(image: str, media_type: str | None, where: str | None = None) -> None:
    """Raise UnfitImage where the manifest of ``image``, as it is ``where``, is none of Docker's.

    None is an engine that makes those alone.
    """
    if media_type not in (None, DOCKER_MANIFEST):
        what = where or image
        raise UnfitImage(f"{what} has a manifest of type {media_type}, which SageMaker refuses. {how_to_build(image)}")


def how_to_build(name: str) -> str:
    """Say how an image is built that SageMaker takes, whatever way the engine stores images."""
    options = " ".join(AS_SAGEMAKER_TAKES_IT)
    return f"Build it with: docker buildx build --platform {PLATFORM} {options} --tag {name} ."


class UnfitImage(DockerFailed):
    """An image that SageMaker would refuse."""

    exit_status = 2


def _prepare(folder: Path, host: str) -> None:
    """Lay out a configuration of Docker's that talks to the same engine and keeps passwords to itself.

    Without any entry below "auths" Docker would hand the password to the keychain that it finds, to stay there.
    """
    own = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    configuration: dict[str, Any] = {"auths": {host: {}}}
    with contextlib.suppress(OSError, ValueError, AttributeError):
        context = json.loads((own / CONFIGURATION).read_text(encoding="utf-8")).get("currentContext")
        configuration |= {"currentContext": context} if context else {}
    if (own / "contexts").is_dir():
        (folder / "contexts").symlink_to((own / "contexts").absolute(), target_is_directory=True)
    (folder / CONFIGURATION).write_text(json.dumps(configuration), encoding="utf-8")


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end what is held as ctrl-C does, so that it is tidied up."""

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
