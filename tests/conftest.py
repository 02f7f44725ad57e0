"""What every test may use: a folder laid out as /opt/ml, and one trained bundle per task, made once a session."""

import fcntl
import os
import pickle
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from docker_images import NoEngine, built
from opt_ml import Trained, TrainingFolder, quick, tree_digest
from trainbox.tasks import available, get

if TYPE_CHECKING:
    from amazon.aws import Aws
    from amazon.cloud import Cloud

SMALL_DEMO = 240
ENGINE = {"train_image", "serve_image", "toy_image"}
"""Fixtures that build images."""
Once = Callable[[str, Callable[[Path], Any]], Any]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what asks Docker's engine: of the slow proofs, the Makefile runs those beside the others."""
    if _asks_the_engine(item):
        item.add_marker("engine")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin no slow proof after the moment that TRAINBOX_TEST_UNTIL names (seconds since 1970), and say so."""
    until = float(os.environ.get("TRAINBOX_TEST_UNTIL") or "inf")
    if time.time() > until and item.get_closest_marker("slow"):
        pytest.skip(f"left out, TRAINBOX_TEST_UNTIL is over: {item.nodeid}")


def _asks_the_engine(item: pytest.Item) -> bool:
    """Tell whether a test needs Docker: by its name or room, by what it is given, or by what its module imports."""
    imported = vars(getattr(item, "module", item)).values()
    return (
        "docker" in item.nodeid
        or item.path.parent.name in {"docs", "clients"}
        or bool(ENGINE & set(getattr(item, "fixturenames", ())))
        or any(getattr(one, "__module__", "") == "docker_images" for one in imported)
    )


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
def once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Once:
    """Return what makes a thing once a session, by whichever worker asks first: ``once(name, make)``.

    ``make`` is given a new folder; what it returns is kept for all.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent

    def made(name: str, make: Callable[[Path], Any]) -> Any:
        kept = shared / f"{name}.made"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                shutil.rmtree(shared / name, ignore_errors=True)  # of a worker that failed
                (shared / name).mkdir()
                kept.write_bytes(pickle.dumps(make(shared / name)))
        return pickle.loads(kept.read_bytes())

    return made


@pytest.fixture(scope="session")
def demo_data(once: Once) -> Callable[[str], Path]:
    """Return a task's small synthetic data set: ``demo_data("drive")``."""

    @cache
    def written(task: str) -> Path:
        def write(folder: Path) -> Path:
            get(task).write_demo(folder / "data", seed=1, size=SMALL_DEMO)
            return folder / "data"

        return cast(Path, once(f"demo-{task}", write))

    return written


@pytest.fixture(scope="session")
def trained(once: Once, demo_data: Callable[[str], Path]) -> Callable[[str], Trained]:
    """Return a task's finished training on its demo data: ``trained("drive")``."""

    @cache
    def finished(task: str) -> Trained:
        data = demo_data(task)

        def train(place: Path) -> Trained:
            before = tree_digest(data)
            folder = TrainingFolder(place / "opt-ml")
            process = folder.prepare({"train": data}, quick(task)).run("train")
            assert process.returncode == 0, process.stderr[-3000:]
            return Trained(task, data, folder, process, before)

        return cast(Trained, once(f"trained-{task}", train))

    return finished


@pytest.fixture(scope="session")
def model(trained: Callable[[str], Trained]) -> Callable[[str], Path]:
    """Return a task's finished model folder, or that of TRAINBOX_TEST_BUNDLES (drive=FOLDER:detect=FOLDER)."""
    given = dict(part.split("=", 1) for part in os.environ.get("TRAINBOX_TEST_BUNDLES", "").split(":") if part)
    return lambda task: Path(given[task]) if task in given else trained(task).folder.model


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
