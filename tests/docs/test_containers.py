"""The containers of docs/on-premises.md, as its commands start them."""

import json
import secrets
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from docker_images import ROOT, base_image, call
from docs.conftest import needed, wait_ready
from docs.page import Place, held
from serving.server import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
Places = Callable[..., Place]
Published = Callable[[int], int]


def test_the_image_is_built_and_carried(serve_image: str, place: Places, tmp_path: Path) -> None:
    base, network = base_image()
    options = ["--build-arg", f"BASE_IMAGE={base}", *(["--network", network] if network else [])]
    carried = f"{serve_image}-carried"
    made = place({"docker build": f"docker build {' '.join(options)}", "trainbox:serve": carried})
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True, timeout=300)
    try:
        made.run("image", clone)
        built = call("image", "inspect", "--format", "{{.Id}}", carried)
        assert made.run("carry").strip().endswith(carried)
        assert call("image", "inspect", "--format", "{{.Id}}", carried) == built
        assert (made.folder / "trainbox-serve.tar").stat().st_size > 100e6
    finally:
        subprocess.run(["docker", "image", "rm", "--force", carried], check=False, capture_output=True)


@pytest.mark.parametrize("name", ["run", "hardened"])
def test_it_serves_what_was_fetched(name: str, serve_image: str, with_model: Places, published: Published) -> None:
    needed("curl")
    port = published(free_port())
    local = f"127.0.0.1:{port}"
    words = {"trainbox:serve": serve_image, "-p 8080:8080": f"-p {local}:8080", "127.0.0.1:8080": local}
    made = with_model(words)
    with made.started("run") if name == "run" else made.started("hardened") as process:
        wait_ready(port, process)
        assert set(json.loads(made.run("ask"))) == {"angle", "throttle"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_the_unit_s_commands_serve(serve_image: str, with_model: Places, published: Published) -> None:
    port, name = published(free_port()), f"trainbox-test-{secrets.token_hex(4)}"
    words = {
        "/usr/bin/docker": needed("docker"),
        "trainbox:serve": serve_image,
        "127.0.0.1:8080": f"127.0.0.1:{port}",
        "--name trainbox": f"--name {name}",
        "--force trainbox": f"--force {name}",
        "-t 30 trainbox": f"-t 30 {name}",
    }
    made = with_model(words)
    unit = commands(made.text("trainbox.service"))
    assert unit["ExecStartPre"].startswith("-"), "there may be nothing to remove"
    subprocess.run(unit["ExecStartPre"][1:].split(), check=True, capture_output=True, timeout=60)
    with held(unit["ExecStart"], made.folder, made.variables) as process:
        wait_ready(port, process)
        subprocess.run(unit["ExecStop"].split(), check=True, capture_output=True, timeout=60)
        assert process.wait(30) == 0
    (made.folder / "model/model.tflite").write_bytes(b"damaged")
    with held(unit["ExecStart"], made.folder, made.variables) as process:
        assert process.wait(60) == 2, "not to be started again: RestartPreventExitStatus"


def commands(unit: str) -> dict[str, str]:
    """Return what a unit runs, by its setting."""
    lines = unit.replace("\\\n", " ").splitlines()
    return dict(line.split("=", 1) for line in lines if line.startswith("Exec"))
