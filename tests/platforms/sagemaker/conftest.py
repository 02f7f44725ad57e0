"""What the tests of SageMaker share: a plan, a working folder, and what still stands of hosting."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amazon.aws import Aws
from trainbox.platforms.sagemaker.asking.plan import Plan


@pytest.fixture
def plan(aws: Aws) -> Callable[..., Plan]:
    """Return a maker of plans in the account of the test: ``plan(spot=True)``."""

    def make(**further: Any) -> Plan:
        basis = {"region": aws.region, "role": aws.role, "image": aws.image, "bucket": aws.bucket}
        return Plan(**{**basis, "instance_type": "ml.m5.xlarge", "max_runtime_seconds": 600, **further})

    return make


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
