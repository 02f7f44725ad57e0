"""What the tests of platforms share: the toy task installed, and jobs of it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from toy_task import register, write_data
from trainbox.platforms.job import TrainingJob


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., TrainingJob]]:
    """Install the toy task for the processes that a test starts; return a maker of jobs."""
    monkeypatch.setenv("PYTHONPATH", register(tmp_path / "site"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    data = write_data(tmp_path / "data")

    def job(**hyperparameters: object) -> TrainingJob:
        return TrainingJob("toy", {"train": data}, {"epochs": 2, **hyperparameters}, "toy-job")

    return job
