"""The jobs of old, and tubs with scars, trained to the end by the container program on real tubs."""

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from opt_ml import TrainingFolder, tree_digest

DATA = os.environ.get("TRAINBOX_TEST_DATA", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA, reason="TRAINBOX_TEST_DATA does not name a folder of real tubs"),
]

OF_OLD = {"sagemaker_region": '"eu-west-1"', "with_slide": "true"}
PART = 300


def trained(base: Path, data: Path, hyperparameters: Mapping[str, str]) -> dict[str, Any]:
    """Run a job of one epoch to its end, with its data as the channel ``train``; return its manifest."""
    folder = TrainingFolder(base).prepare({"train": data}, {**hyperparameters, "epochs": "1"})
    done = folder.run("train")
    assert done.returncode == 0, done.stderr[-2000:]
    manifest: dict[str, Any] = json.loads((folder.model / "manifest.json").read_text())
    assert all("proof" in model for model in manifest["models"].values())
    return manifest


def accounted(manifest: Mapping[str, Any]) -> int:
    """Return how many records were used or left out with a reason."""
    skipped = sum(tally["count"] for tally in manifest["problems"]["skipped"].values())
    return int(manifest["data"]["records_used"]) + skipped


def test_the_robocars_job_of_old_uses_or_explains_every_record(tmp_path: Path) -> None:
    channel = tmp_path / "channel"
    channel.mkdir()
    tub = channel / "tub_v1_austin.zip"
    tub.write_bytes(Path(DATA, tub.name).read_bytes())
    before = hashlib.sha256(tub.read_bytes()).hexdigest()
    manifest = trained(tmp_path / "ml", channel, OF_OLD)
    assert (manifest["task"], manifest["hyperparameters"]["pilot"]) == ("drive", "robocars")
    assert manifest["data"]["records_found"] == accounted(manifest) == 3983
    assert hashlib.sha256(tub.read_bytes()).hexdigest() == before


def test_two_zips_with_records_of_the_same_names_are_both_used(tmp_path: Path) -> None:
    channel = tmp_path / "channel"
    channel.mkdir()
    with zipfile.ZipFile(Path(DATA, "tub_v1_austin.zip")) as whole:
        numbers = sorted(int(n[7:-5]) for n in whole.namelist() if n.startswith("record_"))
        for part in range(2):
            with zipfile.ZipFile(channel / f"tub_{part}.zip", "w") as tub:
                for name, number in enumerate(numbers[part * PART : (part + 1) * PART], start=1):
                    record = json.loads(whole.read(f"record_{number}.json"))
                    image, renamed = record["cam/image_array"], f"{name}_cam-image_array_.jpg"
                    tub.writestr(f"record_{name}.json", json.dumps({**record, "cam/image_array": renamed}))
                    tub.writestr(renamed, whole.read(image))
    before = tree_digest(channel)
    manifest = trained(tmp_path / "ml", channel, OF_OLD)
    assert manifest["data"]["records_found"] == accounted(manifest) == 2 * PART
    assert [tub["records"] for tub in manifest["data"]["tubs"]] == [PART, PART]
    assert tree_digest(channel) == before


@pytest.mark.parametrize(("name", "found"), [("v2_fpineau_zerobyte", 2415), ("v2_tdchen_imu", 2391)])
def test_tubs_with_scars_train_to_the_end(name: str, found: int, tmp_path: Path) -> None:
    before = tree_digest(Path(DATA, name))
    manifest = trained(tmp_path / "ml", Path(DATA, name), {})
    assert manifest["data"]["records_found"] == accounted(manifest) == found
    skipped = {reason: tally["count"] for reason, tally in manifest["problems"]["skipped"].items()}
    if name == "v2_fpineau_zerobyte":
        odd = manifest["problems"]["warnings"]["image of a record left out: image is empty"]["count"]
        assert (skipped["record is deleted"], skipped["image is empty"] + odd) == (300, 289)
    assert tree_digest(Path(DATA, name)) == before
