"""What the tests of hosting share: models to host, and what of them still stands."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from amazon.aws import Aws
from opt_ml import Trained


@pytest.fixture(scope="session")
def model(trained: Callable[[str], Trained]) -> Callable[[str], Path]:
    """Return a task's model folder, or that of TRAINBOX_TEST_BUNDLES (drive=FOLDER:detect=FOLDER)."""
    given = dict(part.split("=", 1) for part in os.environ.get("TRAINBOX_TEST_BUNDLES", "").split(":") if part)
    return lambda task: Path(given[task]) if task in given else trained(task).folder.model


@pytest.fixture
def desk(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a trainbox.toml that names role, bucket and image."""
    folder = tmp_path / "desk"
    folder.mkdir()
    aws.settings(folder)
    monkeypatch.chdir(folder)
    return folder


def standing(aws: Aws) -> list[str]:
    """Return the names of all that stands: models, configurations, endpoints, what scales."""
    fake = aws.sagemaker
    shelves = (fake.models.models.documents, fake.models.configurations.documents, fake.endpoints.endpoints)
    return sorted([name for shelf in shelves for name in shelf] + [name for name, _ in fake.scaling.targets])
