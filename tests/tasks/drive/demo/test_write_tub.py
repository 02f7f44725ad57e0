"""The demo tub: laid out as donkeycar does it, the same for the same seed, and worth learning from."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainbox.errors import UsageError
from trainbox.tasks.drive.demo import write_tub

RECORDS = 240


@pytest.fixture(scope="module")
def tub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "tub"
    write_tub(folder, seed=1, records=RECORDS)
    return folder


def lines_of(tub: Path) -> list[str]:
    paths = json.loads((tub / "manifest.json").read_text().splitlines()[4])["paths"]
    return [line for path in paths for line in (tub / path).read_text().splitlines()]


def parsed(line: str) -> dict | None:
    try:
        return json.loads(line)
    except ValueError:
        return None


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    parts = [f"{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files]
    return "\n".join(parts)


def test_manifest_has_the_five_lines_of_a_tub(tub: Path) -> None:
    inputs, types, _, facts, catalogs = map(json.loads, (tub / "manifest.json").read_text().splitlines())
    assert dict(zip(inputs, types, strict=True))["cam/image_array"] == "image_array"
    assert facts["sessions"]["all_full_ids"] == ["24-05-18_0", "24-05-18_1"]
    assert catalogs["current_index"] == RECORDS
    assert catalogs["paths"] == ["catalog_0.catalog", "catalog_1.catalog"]
    assert catalogs["deleted_indexes"]


def test_catalog_manifests_tell_where_lines_begin(tub: Path) -> None:
    for catalog in ("catalog_0", "catalog_1"):
        facts = json.loads((tub / f"{catalog}.catalog_manifest").read_text())
        lines = (tub / f"{catalog}.catalog").read_bytes().splitlines(keepends=True)
        assert facts["line_lengths"] == [len(line) for line in lines]
        assert facts["start_index"] == (0 if catalog == "catalog_0" else RECORDS // 2)


def test_records_are_twenty_a_second_and_bounded(tub: Path) -> None:
    records = [record for record in map(parsed, lines_of(tub)) if record]
    times = {session: [] for session in ("24-05-18_0", "24-05-18_1")}
    for record in records:
        times[record["_session_id"]].append(record["_timestamp_ms"])
        assert -1 <= record["user/angle"] <= 1
        assert -1 <= record["user/throttle"] <= 1
    for session in times.values():
        assert np.median(np.diff(session)) == pytest.approx(50, abs=2)
        assert min(np.diff(session)) > 0


def test_every_scar_of_real_tubs_is_there(tub: Path) -> None:
    records = [parsed(line) for line in lines_of(tub)]
    named = json.loads((tub / "manifest.json").read_text().splitlines()[4])["paths"]
    images = list((tub / "images").glob("[0-9]*_cam_image_array_.jpg"))
    assert len(images) == RECORDS
    assert any(image.stat().st_size == 0 for image in images)
    assert any(record is None for record in records)
    assert {record["user/mode"] for record in records if record} == {"user", "local", "local_angle"}
    assert all(("pilot/angle" in record) == (record["user/mode"] != "user") for record in records if record)
    assert {path.name for path in tub.glob("catalog_*.catalog")} > set(named)
    assert (tub / "._manifest.json").exists()


def test_unscarred_tub_has_nothing_broken(tmp_path: Path) -> None:
    write_tub(tmp_path, seed=1, records=100, scarred=False)
    assert all(parsed(line) for line in lines_of(tmp_path))
    assert json.loads((tmp_path / "manifest.json").read_text().splitlines()[4])["deleted_indexes"] == []
    assert all(path.stat().st_size for path in (tmp_path / "images").iterdir())
    assert not list(tmp_path.rglob("._*"))


def test_frames_are_what_a_car_takes(tub: Path) -> None:
    with Image.open(tub / "images" / "0_cam_image_array_.jpg") as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (160, 120))
        frame = np.asarray(image, float)
    assert 40 < frame.mean() < 215
    assert frame.std() > 15


def test_same_seed_same_bytes(tub: Path, tmp_path: Path) -> None:
    write_tub(tmp_path / "again", seed=1, records=RECORDS)
    write_tub(tmp_path / "other", seed=2, records=RECORDS)
    assert digest(tmp_path / "again") == digest(tub)
    assert digest(tmp_path / "other") != digest(tub)


def test_tub_that_is_there_is_kept(tub: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in tub.rglob("*")}
    assert "already" in write_tub(tub, seed=1, records=RECORDS)
    assert {path: path.stat().st_mtime_ns for path in tub.rglob("*")} == before


@pytest.mark.parametrize("change", [{"seed": 2}, {"records": 300}, {"version": 1}, {"scarred": False}])
def test_another_tub_is_never_overwritten(tub: Path, change: dict) -> None:
    before = digest(tub)
    with pytest.raises(UsageError, match="holds other files"):
        write_tub(tub, **{"seed": 1, "records": RECORDS, **change})
    assert digest(tub) == before


@pytest.mark.parametrize("change", [{"records": 10}, {"version": 3}])
def test_impossible_tubs_are_refused(tmp_path: Path, change: dict) -> None:
    with pytest.raises(UsageError, match="Received"):
        write_tub(tmp_path / "tub", **{"seed": 1, "records": RECORDS, **change})
    assert not (tmp_path / "tub").exists()


def test_version_1_is_laid_out_as_of_old(tmp_path: Path) -> None:
    write_tub(tmp_path, seed=1, records=120, version=1)
    meta = json.loads((tmp_path / "meta.json").read_text())
    assert meta["inputs"][0] == "cam/image_array"
    excluded = json.loads((tmp_path / "exclude.json").read_text())
    numbers = {int(path.stem.split("_")[1]) for path in tmp_path.glob("record_*.json")}
    assert set(excluded) < numbers
    assert numbers < set(range(120)), "some records are deleted, so numbers have gaps"
    whole = [parsed((tmp_path / f"record_{number}.json").read_text()) for number in numbers]
    assert any(record is None for record in whole)
    for record in filter(None, whole):
        assert (tmp_path / record["cam/image_array"]).exists()


def test_steering_can_be_told_from_the_pictures(tmp_path: Path) -> None:
    """A ridge on thumbnails, scored on laps it never saw: nothing learns to drive where this fails."""
    write_tub(tmp_path, seed=3, records=900, scarred=False)
    records = [record for record in map(parsed, lines_of(tmp_path)) if record["user/mode"] == "user"]
    pixels = np.stack([thumbnail(tmp_path / "images" / record["cam/image_array"]) for record in records])
    angles = np.array([record["user/angle"] for record in records])
    held_out = np.arange(len(records)) // 100 % 4 == 2
    middle, level = pixels[~held_out].mean(axis=0), angles[~held_out].mean()
    seen = pixels[~held_out] - middle
    weights = np.linalg.solve(seen.T @ seen + 10 * np.eye(seen.shape[1]), seen.T @ (angles[~held_out] - level))
    wrong = (pixels[held_out] - middle) @ weights + level - angles[held_out]
    assert 1 - wrong.var() / angles[held_out].var() > 0.6


def thumbnail(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.resize((24, 18)), np.float64).ravel() / 255
