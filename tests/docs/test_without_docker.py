"""Serving without Docker, as docs/on-premises.md has it: packages, the unit under a real systemd, a Pi, a phone."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from docker_images import ROOT, base_image, call, made_from
from docs.conftest import needed, wait_ready
from docs.page import Place
from environments import Environment, Unavailable, environment
from serving.server import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
Places = Callable[..., Place]
MEDIAPIPE = Environment("3.11", ("mediapipe==1.2.2",))
RASPBERRY_PI_OS = {"12": ("3.11", 36), "13": ("3.13", 41)}
"""By Debian's version: its Python, and its glibc's minor version."""
OLDEST_GLIBC = 17

ITS_OWN_SYSTEM = [
    *("--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--cgroupns", "private", "--tmpfs", "/run", "--tmpfs", "/tmp", "--env", "container=docker", "--entrypoint", "sh"),
]
"""What systemd needs in a container; not --privileged, with which it would set up the machine around it."""
START = """
for place in /sys/fs/cgroup /sys/fs/cgroup/systemd; do mount -o remount,rw $place 2>/dev/null; done
exec /lib/systemd/systemd
"""


def test_it_is_installed_and_serves_without_docker(with_model: Places, tmp_path: Path) -> None:
    port, clone = free_port(), tmp_path / "clone"
    local = {"127.0.0.1:8080": f"127.0.0.1:{port}", "--port 8080": f"--port {port}"}
    made = with_model({"/opt/trainbox": str(tmp_path / "opt"), **local}, PYTHONPATH="")
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True, timeout=300)
    made.run("wheel", clone)
    made.run("install", clone / "dist")
    assert not list((tmp_path / "opt").rglob("tensorflow*"))
    with made.started("alone") as process:
        wait_ready(port, process)
        assert set(json.loads(made.run("ask"))) == {"angle", "throttle"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.parametrize("name", ["trainbox.service", "trainbox-alone.service"])
def test_systemd_finds_nothing_wrong_with_the_units(name: str, place: Places) -> None:
    analyze = needed("systemd-analyze")
    made = place({"/usr/bin/docker": "/bin/true", "/opt/trainbox/bin/trainbox": "/bin/true"})
    made.write("trainbox.service"), made.write("trainbox-alone.service")
    (made.folder / "docker.service").write_text("[Service]\nExecStart=/bin/true\n")
    done = subprocess.run(
        [analyze, "verify", "--man=no", made.folder / name], capture_output=True, text=True, timeout=60, check=False
    )
    about_ours = [line for line in done.stderr.splitlines() if "trainbox" in line]
    assert (done.returncode, about_ours) == (0, []), done.stderr
    (made.folder / name).write_text((made.folder / name).read_text().replace("ExecStart=", "ExecSatrt="))
    broken = subprocess.run([analyze, "verify", "--man=no", made.folder / name], capture_output=True, check=False)
    assert b"ExecSatrt" in broken.stderr


@pytest.fixture
def machine(serve_image: str, with_model: Places, tmp_path: Path) -> Iterator[tuple[Place, list[str]]]:
    """Return a place, and how to run commands on a machine of its own that has it as /srv/trainbox: a real systemd."""
    _, network = base_image()
    context = tmp_path / "machine"
    context.mkdir()
    lines = "RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends systemd dbus\n"
    image = made_from(serve_image, context, lines, "systemd", *(["--network", network] if network else []))
    made = with_model({"/srv/trainbox": "/srv/trainbox"})
    unit = made.write("trainbox-alone.service")
    mounts = ["-v", f"{made.folder}:/srv/trainbox", "-v", f"{unit}:/etc/systemd/system/{unit.name}:ro"]
    identifier = call("run", "--detach", *ITS_OWN_SYSTEM, *mounts, image, "-c", START).strip()
    try:
        yield made, ["docker", "exec", identifier]
    finally:
        subprocess.run(["docker", "rm", "--force", identifier], check=False, capture_output=True)


def test_a_real_systemd_starts_it_restarts_it_and_stops_it(machine: tuple[Place, list[str]]) -> None:
    made, there = machine

    def done(*command: str) -> str:
        finished = subprocess.run([*there, *command], capture_output=True, text=True, timeout=90, check=False)
        return finished.stdout + finished.stderr

    def unit(name: str) -> str:
        return done("systemctl", "show", "--value", "--property", name, "trainbox-alone").strip()

    deadline = time.monotonic() + 60
    while "running" not in (state := done("systemctl", "is-system-running")) and "degraded" not in state:
        if time.monotonic() > deadline:
            pytest.skip(f"no systemd in a container of this machine's Docker: {state.strip()}")
        time.sleep(0.5)
    assert "active" in done("bash", "-euc", made.text("enable"))
    ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8080/readyz', timeout=9).status)"

    def ready() -> bool:
        return "200" in done("python", "-c", ask)

    assert within(30, ready), done("journalctl", "-u", "trainbox-alone")
    first = unit("MainPID")
    assert "Uid:\t0\t" not in done("grep", "Uid", f"/proc/{first}/status")
    done("systemctl", "kill", "--kill-whom", "main", "--signal", "KILL", "trainbox-alone")
    assert within(30, lambda: unit("MainPID") not in ("0", first) and ready()), "it is started again"
    shutil.copytree(made.folder / "model", made.folder / "model-2")
    done("bash", "-euc", "cd /srv/trainbox\n" + made.text("update-alone"))
    assert within(30, ready) and (made.folder / "model-1").is_dir()
    done("systemctl", "stop", "trainbox-alone")
    assert (unit("Result"), unit("ExecMainStatus")) == ("success", "0")


def within(seconds: float, true: Callable[[], bool]) -> bool:
    """Wait until ``true()``; return whether that came."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.3)
    return False


@pytest.mark.parametrize("debian", RASPBERRY_PI_OS)
def test_every_package_has_a_wheel_for_a_pi(debian: str, tmp_path: Path) -> None:
    python, glibc = RASPBERRY_PI_OS[debian]
    pi = {"python_full_version": f"{python}.2", "sys_platform": "linux", "platform_machine": "aarch64"}
    (tmp_path / "serve.txt").write_text("\n".join(locked_for(pi)))
    tags = [f"manylinux_2_{minor}_aarch64" for minor in range(OLDEST_GLIBC, glibc + 1)]
    platforms = [word for tag in tags for word in ("--platform", tag)]
    target = ["--target", str(tmp_path / "there"), "--python-version", python, "--implementation", "cp", *platforms]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", *target]
    # What a package asks of Python, pip asks of the one that it runs on; the tags of the wheels are those of the Pi.
    locked = ["--ignore-requires-python", "--only-binary", ":all:", "--require-hashes", "-r", f"{tmp_path}/serve.txt"]
    done = subprocess.run([*command, *locked], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert "ai-edge-litert-2" in done.stdout.split("Would install")[1]


def locked_for(machine: dict[str, str]) -> list[str]:
    """Return the lock's requirements for another machine, without their markers, which pip asks of this one."""
    kept = []
    for entry in re.findall(r"^[a-z].*(?:\n    --hash=.*)*", (ROOT / "requirements/serve.txt").read_text(), re.M):
        head, _, hashes = entry.replace("\\\n", " ").partition(" --hash")
        one = Requirement(head.strip())
        if one.marker is None or one.marker.evaluate(machine):
            kept.append(f"{one.name}{one.specifier} --hash{hashes}")
    assert len(kept) > 20
    return kept


def test_mediapipe_finds_things_as_the_page_has_it(with_model: Places) -> None:
    try:
        python = environment(MEDIAPIPE)
    except Unavailable as reason:
        pytest.skip(str(reason))
    made = with_model({"score_threshold=0.5": "score_threshold=0.01"}, task="detect")  # it was trained for seconds
    done = subprocess.run(
        [python, made.write("phone.py")], cwd=made.folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    labels = (made.folder / "model/labels.txt").read_text().split()
    found = re.findall(r"^(\w+) (0\.\d+) BoundingBox", done.stdout, re.M)
    assert found and {label for label, _ in found} <= set(labels), done.stdout
