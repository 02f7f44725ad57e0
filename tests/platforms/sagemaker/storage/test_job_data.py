from pathlib import Path

import pytest

from trainbox.errors import ChannelError, DataError, HyperparameterError
from trainbox.platforms.job import TrainingJob
from trainbox.platforms.sagemaker.asking.plan import volume_for
from trainbox.platforms.sagemaker.storage import job_data
from trainbox.tasks import get


@pytest.fixture(scope="module")
def tub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small tub."""
    folder = tmp_path_factory.mktemp("data") / "tub"
    get("drive").write_demo(folder, seed=1, size=60)
    return folder


def test_data_is_read_as_training_would(tub: Path) -> None:
    said: list[str] = []
    job = TrainingJob("drive", {"train": tub, "pretrained": tub}, {"batch_size": 16})
    found = job_data.read(job, said.append)
    assert found.examples == get("drive").check([tub]).usable
    assert found.bytes == 2 * sum(file.stat().st_size for file in tub.rglob("*") if file.is_file())
    assert any("record is deleted" in line for line in said)
    assert found.workload(job) is not None


def test_data_in_s3_is_not_known(tub: Path) -> None:
    job = TrainingJob("drive", {"train": "s3://laps/tub/", "validation": tub})
    found = job_data.read(job, lambda line: None)
    assert (found.examples, found.bytes) == (None, None)
    assert found.workload(job) is None


def test_a_model_in_s3_leaves_the_data_known(tub: Path) -> None:
    job = TrainingJob("drive", {"train": tub, "pretrained": "s3://laps/model/"}, {"batch_size": 16})
    found = job_data.read(job, lambda line: None)
    assert found.examples
    assert found.bytes is None


def test_what_training_would_refuse_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises((DataError, ChannelError)):
        job_data.read(TrainingJob("drive", {"train": tmp_path / "empty"}), lambda line: None)
    with pytest.raises(ChannelError, match="does not exist"):
        job_data.read(TrainingJob("drive", {"train": tmp_path / "nowhere"}), lambda line: None)


def test_a_batch_that_the_data_cannot_fill_is_refused(tub: Path) -> None:
    usable = get("drive").check([tub]).usable
    job_data.read(TrainingJob("drive", {"train": tub}, {"batch_size": usable}), lambda line: None)
    with pytest.raises(HyperparameterError, match=f"'batch_size' is larger than the data: {usable + 1} > {usable}"):
        job_data.read(TrainingJob("drive", {"train": tub}, {"batch_size": usable + 1}), lambda line: None)


def test_the_volume_grows_with_the_data() -> None:
    assert volume_for(None, "ml.c5.xlarge") == volume_for(0, "ml.c5.xlarge") == 30
    assert volume_for(1_000_000_000, "ml.c5.xlarge") == 43
    # Not more than there is in a machine with a disk of its own.
    assert volume_for(100_000_000_000, "ml.g4dn.xlarge") == 125
