"""The platform local: what it gives the container program. What all platforms do is in test_every_platform.py."""

import os
from pathlib import Path

import pytest

from trainbox.container.contract import channels, checkpoints, cluster, hyperparameters
from trainbox.container.contract.paths import Paths
from trainbox.errors import ChannelError
from trainbox.platforms import local
from trainbox.platforms.job import TrainingJob


def test_the_tree_is_what_the_contract_reads(tmp_path: Path) -> None:
    (tmp_path / "tub").mkdir()
    (tmp_path / "tub/a.jpg").write_bytes(b"a")
    (tmp_path / "tub.zip").write_bytes(b"PK")
    job = TrainingJob("drive", {"train": tmp_path / "tub", "train-2": tmp_path / "tub.zip"}, {"with_slide": True})
    paths = Paths(tmp_path / "ml")
    local.lay_out(job, paths, checkpoints=tmp_path / "kept", logs=tmp_path / "logs")
    assert channels.read(paths) == {"train": tmp_path / "tub", "train-2": tmp_path / "tub.zip"}
    assert hyperparameters.read(paths) == {"task": "drive", "with_slide": True}
    assert cluster.read(paths).hosts == ("algo-1",)
    assert checkpoints.read(paths) == paths.checkpoints
    assert paths.checkpoints.resolve() == tmp_path / "kept"
    assert paths.output.resolve() == tmp_path / "logs"


def test_without_checkpoints_the_job_keeps_none(tmp_path: Path) -> None:
    (tmp_path / "tub.zip").write_bytes(b"PK")
    paths = Paths(tmp_path / "ml")
    local.lay_out(TrainingJob("drive", {"train": tmp_path / "tub.zip"}), paths)
    assert checkpoints.read(paths) is None


def test_data_that_is_no_file_or_folder_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, says in (("pipe", "neither a file nor a folder"), ("nothing", "does not exist")):
        with pytest.raises(ChannelError, match=says):
            local.lay_out(TrainingJob("drive", {"train": tmp_path / name}), Paths(tmp_path / f"ml-{name}"))
