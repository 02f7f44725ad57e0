"""Where a model goes, and what it may replace there."""

from pathlib import Path

import pytest

from trainbox.errors import UsageError
from trainbox.platforms import folder


def test_what_stands_at_out_is_not_replaced_unasked(tmp_path: Path) -> None:
    folder.refuse_taken(tmp_path / "new", overwrite=False)
    out = tmp_path / "out"
    out.mkdir()
    folder.refuse_taken(out, overwrite=False)
    (out / "manifest.json").write_text("{}")
    with pytest.raises(UsageError, match=r"exists already.*--overwrite"):
        folder.refuse_taken(out, overwrite=False)
    folder.refuse_taken(out, overwrite=True)


def test_what_is_no_model_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.jpg").write_bytes(b"a")
    (tmp_path / "file").write_bytes(b"a")
    (tmp_path / "model").mkdir()
    (tmp_path / "model/manifest.json").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "model")
    for name in ("photos", "file", "link"):
        with pytest.raises(UsageError, match="is no model folder"):
            folder.refuse_taken(tmp_path / name, overwrite=True)
