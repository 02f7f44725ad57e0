import os
import pickle
from pathlib import Path

import pytest

from trainbox.data.files import FileReference, FolderTree, UnreadableFile, is_junk, is_unsafe
from trainbox.data.problems import Problems
from trainbox.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "tub"
    (root / "images").mkdir(parents=True)
    (root / "b.json").write_bytes(b"bb")
    (root / "a.json").write_bytes(b"a")
    (root / "images" / "1.jpg").write_bytes(b"picture")
    return root


def left_out(root: Path) -> tuple[list[str], dict[str, list[str]]]:
    problems = Problems()
    names = list(FolderTree(root, problems=problems).names())
    return names, {reason: tally.examples for reason, tally in problems.skips.items()}


def test_names_are_sorted_and_relative(folder: Path):
    tree = FolderTree(folder)
    assert tree.names() == ["a.json", "b.json", "images/1.jpg"]
    assert tree.size("images/1.jpg") == 7
    assert tree.size("images/2.jpg") is None


def test_a_reference_reads_and_says_where_it_lies(folder: Path):
    reference = FileReference(FolderTree(folder), "images/1.jpg")
    assert reference.read() == b"picture"
    assert str(reference) == "tub/images/1.jpg"


def test_references_travel_light(folder: Path):
    for number in range(500):
        (folder / f"{number}.json").touch()
    reference = FileReference(FolderTree(folder), "images/1.jpg")
    carried = pickle.dumps(reference)
    assert len(carried) < 1000
    copy = pickle.loads(carried)
    assert copy.read() == b"picture"
    assert copy.tree.size("499.json") == 0


@pytest.mark.parametrize("name", ["gone.json", "images", "../outside", "/etc/hostname", "images/../../outside"])
def test_reads_nothing_but_its_own_files(folder: Path, name: str):
    (folder.parent / "outside").write_bytes(b"secret")
    with pytest.raises(UnreadableFile):
        FolderTree(folder).read(name)


def test_reads_no_more_than_the_limit(folder: Path):
    assert FolderTree(folder).read("images/1.jpg", limit=7) == b"picture"
    with pytest.raises(UnreadableFile, match="file is too large"):
        FolderTree(folder).read("images/1.jpg", limit=6)


def test_what_desktops_leave_is_skipped(folder: Path):
    litter = ["._a.json", "__MACOSX/._b.json", "Thumbs.db", ".DS_Store", "images/desktop.ini"]
    (folder / "__MACOSX").mkdir()
    for name in litter:
        (folder / name).touch()
    names, skips = left_out(folder)
    assert names == ["a.json", "b.json", "images/1.jpg"]
    # A litter folder is counted once, not file by file.
    assert set(skips) == {"file left by a desktop"}
    assert len(skips["file left by a desktop"]) == len(litter)


def test_links_are_followed_inside_only(folder: Path):
    (folder.parent / "outside").write_bytes(b"secret")
    (folder / "same.json").symlink_to("a.json")
    (folder / "out.json").symlink_to("../outside")
    (folder / "out").symlink_to("..")
    (folder / "gone").symlink_to("nowhere")
    (folder / "self").symlink_to("self")
    (folder / "images" / "loop").symlink_to("..")
    names, skips = left_out(folder)
    assert names == ["a.json", "b.json", "images/1.jpg", "same.json"]
    assert sorted(skips["link leads out of the folder"]) == ["tub/out", "tub/out.json"]
    assert sorted(skips["link leads nowhere"]) == ["tub/gone", "tub/self"]
    assert skips["link to a folder"] == ["tub/images/loop"]


def test_a_root_that_is_a_link_is_the_users_own_choice(folder: Path):
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert len(FolderTree(link).names()) == 3
    assert FolderTree(link).label == "link"


def test_pipes_and_sockets_are_skipped(folder: Path):
    os.mkfifo(folder / "pipe.jpg")
    names, skips = left_out(folder)
    assert "pipe.jpg" not in names
    assert skips == {"not a regular file": ["tub/pipe.jpg"]}


def test_names_that_are_not_utf8_are_kept_and_escaped_in_text(folder: Path):
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.jpg")).write_bytes(b"x")
    tree = FolderTree(folder)
    (name,) = [name for name in tree.names() if name.startswith("caf")]
    assert tree.read(name) == b"x"
    assert tree.where(name) == "tub/caf\\xe9.jpg"


def test_names_that_differ_only_in_case_are_refused(folder: Path):
    (folder / "A.json").touch()
    with pytest.raises(DataError, match=r"differ only in case\. Received: '[aA].json' and '[aA].json'"):
        FolderTree(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="the super-user may open every folder")
def test_a_folder_that_cannot_be_opened_is_counted(folder: Path):
    (folder / "images").chmod(0)
    _, skips = left_out(folder)
    assert skips == {"folder cannot be opened": ["tub/images/"]}


@pytest.mark.parametrize("name", ["../a", "a/../b", "/a", "\\a", "C:\\a", "c:a", "a\\..\\b", "a\x00b", ""])
def test_unsafe_names(name: str):
    assert is_unsafe(name)


@pytest.mark.parametrize("name", ["a", "a/b", "..a", "a..", "..."])
def test_safe_names(name: str):
    assert not is_unsafe(name)


@pytest.mark.parametrize(
    ("name", "junk"), [("__MACOSX/x", True), ("a/._b", True), ("a/.b", False), ("THUMBS.DB", True)]
)
def test_junk_names(name: str, junk: bool):
    assert is_junk(name) is junk
