import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from trainbox.data.problems import Problems
from trainbox.data.trees import open_trees
from trainbox.errors import ArchiveError, DataError

Zipped = Callable[..., Path]


def test_a_zip_is_known_by_its_bytes(zipped: Zipped):
    path = zipped({"a": b"1"}, "upload.bin")
    (tree,) = open_trees(path, Problems())
    assert tree.label == "upload.bin"
    assert tree.read("a") == b"1"


def test_a_tar_is_known_by_its_bytes(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"1")
    with tarfile.open(tmp_path / "upload", "w") as archive:
        archive.add(tmp_path / "a", "a")
    (tree,) = open_trees(tmp_path / "upload", Problems())
    assert tree.read("a") == b"1"


def test_archives_in_a_folder_are_found_at_any_depth(zipped: Zipped, tmp_path: Path):
    root = tmp_path / "channel"
    (root / "deep" / "er").mkdir(parents=True)
    (root / "plain.json").write_bytes(b"{}")
    zipped({"same": b"1"}).rename(root / "one.ZIP")
    zipped({"same": b"2"}).rename(root / "deep" / "er" / "two.zip")
    folder, two, one = open_trees(root, Problems())
    assert "plain.json" in folder.names()
    assert (two.where("same"), one.where("same")) == ("deep/er/two.zip: same", "one.ZIP: same")
    assert (one.read("same"), two.read("same")) == (b"1", b"2")


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>not found", b"version https://git-lfs.github.com/spec/v1"])
def test_a_zip_that_is_none_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "tub.zip").write_bytes(content)
    for path in (tmp_path, tmp_path / "tub.zip"):
        with pytest.raises(ArchiveError, match=r"'tub\.zip' is not a whole zip\. Received: "):
            open_trees(path, Problems())


def test_archives_that_cannot_be_read_at_random_are_refused_or_skipped(tmp_path: Path):
    path = tmp_path / "tub.tar.gz"
    with tarfile.open(path, "w:gz"):
        pass
    with pytest.raises(DataError, match=r"'tub\.tar\.gz' is not read\. Received: a file compressed with gzip\. Give"):
        open_trees(path, Problems())
    problems = Problems()
    open_trees(tmp_path, problems)
    assert problems.skips["archive of a kind that is not read"].examples == [f"{tmp_path.name}/tub.tar.gz"]


def test_what_is_no_data_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="does not exist"):
        open_trees(tmp_path / "gone", Problems())
    (tmp_path / "notes.txt").write_bytes(b"hello")
    with pytest.raises(DataError, match=r"'notes.txt' is not read. Received: another kind"):
        open_trees(tmp_path / "notes.txt", Problems())
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        open_trees(tmp_path / "pipe", Problems())


def test_one_name_is_one_line_of_text(tmp_path: Path):
    (tmp_path / "a\nb").write_bytes(b"hello")
    with pytest.raises(DataError) as caught:
        open_trees(tmp_path / "a\nb", Problems())
    assert "\n" not in str(caught.value)
