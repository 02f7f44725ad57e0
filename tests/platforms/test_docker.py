"""The platform docker: what it asks of the engine. What all platforms do is in test_every_platform.py."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docker_images import call
from trainbox.container.contract.paths import Paths
from trainbox.errors import UsageError
from trainbox.platforms import containers, docker
from trainbox.platforms.containers import About
from trainbox.platforms.job import TrainingJob


def mounted(options: list[str]) -> dict[str, tuple[str, bool]]:
    """Read mount options back as the engine does: {target: (source, whether it is read-only)}."""
    assert options[::2] == ["--mount"] * (len(options) // 2)
    found = {}
    for row in csv.reader(options[1::2]):
        fields = dict(field.partition("=")[::2] for field in row)
        found[fields["target"]] = (fields["source"], "readonly" in fields)
    return found


def test_data_is_mounted_read_only_where_the_contract_has_it(tmp_path: Path) -> None:
    folder, file = tmp_path / 'a, "b": c', tmp_path / "tub.zip"
    folder.mkdir()
    file.write_bytes(b"PK")
    job = TrainingJob("drive", {"train": folder, "train-2": file})
    options = docker.lay_out(job, Paths(tmp_path / "ml"), tmp_path / "kept", tmp_path / "logs")
    assert mounted(options) == {
        "/opt/ml": (str(tmp_path / "ml"), False),
        "/opt/ml/input/data/train": (str(folder), True),
        "/opt/ml/input/data/train-2/tub.zip": (str(file), True),
        "/opt/ml/checkpoints": (str(tmp_path / "kept"), False),
        "/opt/ml/output/data": (str(tmp_path / "logs"), False),
    }
    assert (tmp_path / "ml/input/data/train-2/tub.zip").exists(), "the engine would make it, as root's"
    assert (tmp_path / "ml/input/config/checkpointconfig.json").exists()


@pytest.mark.parametrize(
    ("security", "user", "options"),
    [
        ((), 0, []),
        ((), 1000, ["--user", "1000:1001"]),
        (("name=seccomp,profile=default", "name=rootless"), 1000, []),
        (("name=userns",), 1000, ["--userns", "host", "--user", "1000:1001"]),
        (("name=selinux",), 1000, ["--security-opt", "label=disable", "--user", "1000:1001"]),
    ],
)
def test_what_is_written_belongs_to_the_caller(security: tuple[str, ...], user: int, options: list[str]) -> None:
    assert docker.identity(About(security), user, 1001) == options


def test_gpus_are_passed_through_where_the_engine_has_their_runtime() -> None:
    assert About(runtimes=("runc", "nvidia")).gpus
    assert not About(runtimes=("runc",)).gpus


def test_without_docker_it_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no command 'docker' on this machine"):
        docker.run(TrainingJob("drive", {"train": tmp_path / "a.zip"}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_an_engine_it_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("docker") is None:
        pytest.skip("there is no command 'docker' on this machine")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(UsageError, match=r"Docker does not answer: .*nobody\.sock"):
        containers.about()


def test_the_last_line_is_the_telling_one() -> None:
    said = (
        "Unable to find image\ndocker: Error response from daemon: no such host\n\nRun 'docker run --help' for more.\n"
    )
    assert containers.last_line(said) == "docker: Error response from daemon: no such host."
    assert containers.last_line("") == ""


@pytest.mark.slow
def test_an_image_that_is_not_there_is_refused(train_image: str, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(UsageError, match="no image 'nobody/nothing:1' on this machine"):
        docker.run(TrainingJob("drive", {"train": tmp_path / "a.zip"}), tmp_path / "out", image="nobody/nothing:1")


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root may run a command as another user")
def test_another_user_owns_what_it_gets(toy_image: str, toy: object, tmp_path: Path) -> None:
    """An ordinary user, allowed to talk to the engine, trains: the model, checkpoints and logs are that user's."""
    job = toy()  # type: ignore[operator]
    tmp_path.chmod(0o777)
    program = """
import os, sys
from pathlib import Path
from trainbox.platforms import docker
from trainbox.platforms.job import TrainingJob
data, place, image = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
os.setgroups([int(sys.argv[4])]); os.setgid(1000); os.setuid(1000)
job = TrainingJob("toy", {"train": data}, {"epochs": 1}, "toy-job")
docker.run(job, place / "out", image=image, checkpoints=place / "kept", logs=place / "logs")
"""
    for parent in list(tmp_path.parents)[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    socket = Path("/var/run/docker.sock")
    if not socket.exists():
        pytest.skip("the engine is not asked through /var/run/docker.sock")
    command = [sys.executable, "-c", program, str(job.channels["train"]), str(tmp_path), toy_image]
    done = subprocess.run(
        [*command, str(socket.stat().st_gid)], env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for name in ("out", "kept", "logs"):
        owners = {path.stat().st_uid for path in (tmp_path / name).rglob("*")} | {(tmp_path / name).stat().st_uid}
        assert owners == {1000}, name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "kept", "logs", "out", "site"]
    assert call("ps", "--all", "--quiet", "--filter", "name=trainbox-toy-job") == ""
