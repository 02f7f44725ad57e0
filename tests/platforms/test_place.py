"""Where a model goes, and what it may replace there."""

import errno
from pathlib import Path

import pytest

from trainbox.errors import UsageError
from trainbox.platforms import place
from trainbox.platforms.job import JobFailed

BUNDLE = '{"format": 1, "files": {}, "models": {}}'


def bundle(folder: Path, text: str = BUNDLE) -> Path:
    folder.mkdir()
    (folder / "manifest.json").write_text(text)
    return folder


def test_what_stands_at_out_is_not_replaced_unasked(tmp_path: Path) -> None:
    place.refuse(tmp_path / "new", overwrite=False)
    (tmp_path / "empty").mkdir()
    place.refuse(tmp_path / "empty", overwrite=False)
    out = bundle(tmp_path / "out")
    with pytest.raises(UsageError, match=r"exists already.*--overwrite"):
        place.refuse(out, overwrite=False)
    place.refuse(out, overwrite=True)


def test_what_is_no_model_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.jpg").write_bytes(b"a")
    (tmp_path / "file").write_bytes(b"a")
    # The manifest of a tub v2 is a file of that name as well.
    bundle(tmp_path / "tub", '["cam/image_array"]\n["image_array"]\n{}\n')
    bundle(tmp_path / "list", "[]")
    (tmp_path / "link").symlink_to(bundle(tmp_path / "model"))
    for name in ("photos", "file", "link", "tub", "list"):
        with pytest.raises(UsageError, match="is no model folder"):
            place.refuse(tmp_path / name, overwrite=True)


def test_an_out_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a")
    with pytest.raises(UsageError, match=r"pilot cannot be written: (Not a directory|File exists)"):
        place.refuse(tmp_path / "file" / "pilot", overwrite=False)


def test_the_new_model_takes_the_place_of_the_old(tmp_path: Path) -> None:
    model, out = bundle(tmp_path / "model"), bundle(tmp_path / "out")
    (model / "model.tflite").write_bytes(b"new")
    (out / "model.h5").write_bytes(b"old")
    place.put(model, out)
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "model.tflite"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out"]


def test_a_finished_model_is_kept_where_it_cannot_be_put_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model, out = bundle(tmp_path / "model"), bundle(tmp_path / "out")
    (out / "model.h5").write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(place.shutil, "copytree", full)
    with pytest.raises(JobFailed, match=r"out cannot be written: No space left on device\. The finished model is in"):
        place.put(model, out)
    kept = next(tmp_path.glob("trainbox-model-*/model"))
    assert (kept / "manifest.json").read_text() == BUNDLE
    assert (out / "model.h5").read_bytes() == b"old"
