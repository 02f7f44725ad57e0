"""What the tests of training at SageMaker share: a plan, and the toy task known to this process too."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from amazon.aws import Aws
from trainbox import tasks
from trainbox.platforms.job import TrainingJob
from trainbox.platforms.sagemaker.plan import Plan


@pytest.fixture
def plan(aws: Aws) -> Callable[..., Plan]:
    """Return a maker of plans in the account of the test: ``plan(spot=True)``."""

    def make(**further: Any) -> Plan:
        basis = {"region": aws.region, "role": aws.role, "image": aws.image, "bucket": aws.bucket}
        return Plan(**{**basis, "instance_type": "ml.m5.xlarge", "max_runtime_seconds": 600, **further})

    return make


@pytest.fixture
def toy_here(
    toy: Callable[..., TrainingJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., TrainingJob]]:
    """Install the toy task for this process too, which words requests for it; return a maker of jobs."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    tasks.places.cache_clear()
    yield toy
    tasks.places.cache_clear()
