"""What the tests of hosting share: a model to be hosted, and signals that come between."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from amazon.aws import Aws
from platforms.sagemaker.small_bundle import write_small_bundle


@pytest.fixture
def pilot(aws: Aws, desk: Path) -> Path:
    """A model, and a SageMaker whose endpoints are in service at once."""
    aws.sagemaker.house.bare = True
    return write_small_bundle(desk / "pilot")


@pytest.fixture
def told() -> Iterator[Callable[[int], Callable[[], None]]]:
    """Return what makes a sender of a signal to this process, which outlives one that nobody waits for."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    yield lambda number: lambda: os.kill(os.getpid(), number)
    signal.signal(signal.SIGTERM, before)
