from pathlib import Path

import pytest

from trainbox.container.contract import checkpoints
from trainbox.errors import UsageError


def test_no_file_and_no_folder_means_none(tree) -> None:
    assert checkpoints.read(tree.paths) is None


def test_an_existing_folder_is_used(tree) -> None:
    tree.paths.checkpoints.mkdir()
    assert checkpoints.read(tree.paths) == tree.paths.checkpoints


@pytest.mark.parametrize("described", [{}, {"LocalPath": "/opt/ml/checkpoints"}, {"LocalPath": "/opt/ml/checkpoints/"}])
def test_the_usual_place_lies_below_the_base(tree, described: dict) -> None:
    tree.write("checkpointconfig.json", described)
    assert checkpoints.read(tree.paths) == tree.paths.checkpoints


def test_another_place(tree) -> None:
    tree.write("checkpointconfig.json", {"LocalPath": "/somewhere/else", "S3Uri": "s3://b/c"})
    assert checkpoints.read(tree.paths) == Path("/somewhere/else")


def test_a_trial_has_a_folder_of_its_own(tree) -> None:
    assert checkpoints.read(tree.paths, "laps-1-007-abc") is None
    tree.write("checkpointconfig.json", {})
    assert checkpoints.read(tree.paths, "laps-1-007-abc") == tree.paths.checkpoints / "laps-1-007-abc"


@pytest.mark.parametrize("local", ["checkpoints", "/opt/ml/../../etc", 3])
def test_paths_that_lead_elsewhere_are_refused(tree, local: object) -> None:
    tree.write("checkpointconfig.json", {"LocalPath": local})
    with pytest.raises(UsageError, match="LocalPath must be an absolute path"):
        checkpoints.read(tree.paths)
