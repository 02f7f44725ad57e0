"""What every test may use: a folder laid out as /opt/ml, and one trained bundle per task, made once a session."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from docker_images import NoEngine, built
from opt_ml import Trained, TrainingFolder, quick, tree_digest
from trainbox.tasks import available, get

if TYPE_CHECKING:
    from amazon.aws import Aws
    from amazon.cloud import Cloud

SMALL_DEMO = 240


@pytest.fixture
def training_folder(tmp_path: Path) -> Callable[..., TrainingFolder]:
    """Lay out folders as /opt/ml: ``training_folder(channels, hyperparameters)``."""
    made = 0

    def lay_out(channels: Mapping[str, Path], hyperparameters: Mapping[str, str]) -> TrainingFolder:
        nonlocal made
        made += 1
        return TrainingFolder(tmp_path / f"opt-ml-{made}").prepare(channels, hyperparameters)

    return lay_out


@pytest.fixture(scope="session")
def demo_data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a task's small synthetic data set, written once: ``demo_data("drive")``."""
    written: dict[str, Path] = {}

    def write(task: str) -> Path:
        if task not in written:
            written[task] = tmp_path_factory.mktemp(f"demo-{task}") / "data"
            get(task).write_demo(written[task], seed=1, size=SMALL_DEMO)
        return written[task]

    return write


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, demo_data: Callable[[str], Path]) -> Callable[[str], Trained]:
    """Return a task's finished training on its demo data, run once: ``trained("drive")``."""
    finished: dict[str, Trained] = {}

    def train(task: str) -> Trained:
        if task not in finished:
            data = demo_data(task)
            before = tree_digest(data)
            folder = TrainingFolder(tmp_path_factory.mktemp(f"trained-{task}") / "opt-ml")
            process = folder.prepare({"train": data}, quick(task)).run("train")
            assert process.returncode == 0, process.stderr[-3000:]
            finished[task] = Trained(task, data, folder, process, before)
        return finished[task]

    return train


@pytest.fixture(scope="session")
def train_image() -> str:
    """Return the image that trains and serves, built from a clean clone; skip where no engine can be had."""
    return _image("train")


@pytest.fixture(scope="session")
def serve_image() -> str:
    """Return the image that only serves, built from a clean clone; skip where no engine can be had."""
    return _image("serve")


def _image(target: str) -> str:
    try:
        return built(target).tag
    except NoEngine as reason:
        pytest.skip(f"no Docker engine: {reason}")


@pytest.fixture(params=available())
def task_name(request: pytest.FixtureRequest) -> str:
    """Every task in turn."""
    return request.param


@pytest.fixture(scope="session")
def cloud() -> "Iterator[Cloud]":
    """Start the AWS of the tests, once a session: see ``amazon/cloud.py``."""
    from amazon.cloud import Cloud

    started = Cloud()
    yield started
    started.close()


@pytest.fixture
def aws(cloud: "Cloud", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[Aws]":
    """Return a fresh AWS account on this machine: see ``amazon/aws.py``. boto3 finds it through the environment."""
    from amazon.aws import LEFT_OUT, Aws

    cloud.reset()
    account = Aws(cloud, tmp_path)
    for name in LEFT_OUT:
        monkeypatch.delenv(name, raising=False)
    for name, value in account.environment.items():
        monkeypatch.setenv(name, value)
    yield account
    assert not cloud.reset(), "the fake itself went wrong"
