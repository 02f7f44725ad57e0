"""What the tests of platforms share: the toy task installed, jobs of it, and each platform that there is."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import toy_task
from docker_images import call, made_from
from toy_job import ended
from toy_task import register, write_data
from trainbox import tasks
from trainbox.platforms import docker, local
from trainbox.platforms.job import TrainingJob

if TYPE_CHECKING:
    from amazon.aws import Aws

RUN = """
import sys
from pathlib import Path
from trainbox.platforms import docker, local
from trainbox.platforms.job import JobFailed, TrainingJob
platform, image, data, out, linger, seconds = sys.argv[1:]
values = {"linger": linger, "linger_seconds": float(seconds), "epochs": 2}
try:
    job = TrainingJob("toy", {"train": Path(data)}, values, "toy-job")
    say = lambda line: print("SAYS", line)
    if platform == "docker":
        docker.run(job, Path(out), image=image, say=say)
    elif platform == "sagemaker":
        import json
        from trainbox.platforms.sagemaker.running import training
        from trainbox.platforms.sagemaker.asking.plan import Plan
        log = lambda line: print("SAYS", line, file=sys.stderr if "lingering" in line else sys.stdout, flush=True)
        training.run(job, Path(out), plan=Plan(**json.loads(image)), say=log)
    else:
        local.run(job, Path(out), say=say)
except JobFailed as failed:
    sys.exit(f"{failed} ({failed.exit_status}, {failed.said})")
"""


class Platform:
    """One platform, as a test uses it: ``here`` tells whether it is on this machine, and ends with us."""

    here = True

    def __init__(self, name: str, image: str = "") -> None:
        self.name, self.image = name, image

    def run(self, job: TrainingJob, out: Path, **options: Any) -> Path | None:
        """Run a job to its end in this process."""
        if self.name == "docker":
            return docker.run(job, out, image=self.image, **options)
        return local.run(job, out, **options)

    @contextlib.contextmanager
    def lingering(self, data: Path, out: Path, stage: str, seconds: float) -> Iterator["subprocess.Popen[str]"]:
        """Run a job in a process of its own, and hold it from when the job lingers in ``stage``."""
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, self.name, self.image, str(data), str(out), stage, str(seconds)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with ended(process):
            assert process.stderr
            said = []
            for line in process.stderr:
                said.append(line)
                if f"lingering in {stage}" in line:
                    break
            else:
                pytest.fail(f"ended before it lingered: {''.join(said)}")
            yield process

    def running(self, process: "subprocess.Popen[str]") -> list[str]:
        """Return what runs the job: processes that ``process`` started, or containers."""
        if self.name == "docker":
            return call("ps", "--all", "--quiet", "--filter", "name=trainbox-toy-job").split()
        return [str(pid) for pid in descendants(process.pid)]

    def wait_until_gone(self, found: list[str], seconds: float) -> None:
        """Wait until nothing of it runs any more."""
        end = time.monotonic() + seconds
        while any(self._lives(one) for one in found):
            assert time.monotonic() < end, f"{found} live on"
            time.sleep(0.1)

    def _lives(self, one: str) -> bool:
        if self.name == "docker":
            return bool(call("ps", "--all", "--quiet", "--filter", f"id={one}").strip())
        return Path(f"/proc/{one}").exists() and not is_zombie(one)


class AtSageMaker(Platform):
    """The platform sagemaker, against the SageMaker of the tests, which runs the program on this machine."""

    here = False

    def __init__(self, aws: "Aws") -> None:
        plan = {"region": aws.region, "role": aws.role, "image": aws.image, "bucket": aws.bucket}
        plan |= {"instance_type": "ml.m5.xlarge", "max_runtime_seconds": 600}
        super().__init__("sagemaker", json.dumps(plan))
        self._aws = aws

    def run(self, job: TrainingJob, out: Path, **options: Any) -> Path | None:
        """Run a job to its end; what it and the platform say goes to standard error, as the command line has it."""
        from trainbox.platforms.sagemaker.asking.plan import Plan
        from trainbox.platforms.sagemaker.running import training

        # A job's name is never free again.
        self._aws.sagemaker.training.jobs.pop(job.name, None)
        say = lambda line: print(line, file=sys.stderr)  # noqa: E731
        return training.run(job, out, plan=Plan(**json.loads(self.image)), say=say, **options)

    def running(self, process: "subprocess.Popen[str]") -> list[str]:
        """Return the containers that run a job."""
        return [str(pid) for pid in self._aws.sagemaker.containers()]


def descendants(pid: int) -> list[int]:
    """Return the processes that a process started, and theirs."""
    found, wanted = [], [pid]
    while wanted:
        parent = wanted.pop()
        children = [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
        found += children
        wanted += children
    return found


def is_zombie(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture(scope="session")
def toy_image(train_image: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make the image with the toy task installed in it."""
    context = tmp_path_factory.mktemp("toy-image")
    register(context / "toy")
    shutil.copy(str(toy_task.__file__), context / "toy")
    return made_from(train_image, context, "COPY toy /opt/toy\nENV PYTHONPATH=/opt/toy\n", "toy")


@pytest.fixture(params=["local", *(pytest.param(name, marks=pytest.mark.slow) for name in ("docker", "sagemaker"))])
def platform(request: pytest.FixtureRequest) -> Platform:
    """Every platform in turn."""
    if request.param == "sagemaker":
        request.getfixturevalue("toy_here")
        return AtSageMaker(request.getfixturevalue("aws"))
    if request.param == "docker":
        return Platform("docker", request.getfixturevalue("toy_image"))
    if not Path("/proc/self/task").exists():
        pytest.skip("looks processes up in /proc")
    return Platform(request.param)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., TrainingJob]]:
    """Install the toy task for the processes that a test starts; return a maker of jobs."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([register(tmp_path / "site"), *_given()]))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    data = write_data(tmp_path / "data")

    def job(**hyperparameters: object) -> TrainingJob:
        return TrainingJob("toy", {"train": data}, {"epochs": 2, **hyperparameters}, "toy-job")

    return job


@pytest.fixture
def toy_here(
    toy: Callable[..., TrainingJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., TrainingJob]]:
    """Install the toy task for this process too, which words requests for it; return a maker of jobs."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    tasks.places.cache_clear()
    yield toy
    tasks.places.cache_clear()


def _given() -> list[str]:
    return list(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
