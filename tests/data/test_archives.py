"""Every rule for archives, each on an archive made to break it."""

import io
import multiprocessing
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from trainbox.data.archives import ArchiveTree, Limits
from trainbox.data.files import FileReference, UnreadableFile
from trainbox.data.problems import Problems
from trainbox.data.tars import TarTree
from trainbox.data.zips import ZipTree
from trainbox.errors import ArchiveError

Zipped = Callable[..., Path]
FILES = {"record_1.json": b'{"angle": 1}' * 20, "images/1.jpg": bytes(range(256)), "empty.jpg": b""}
UNIX_LINK, UNIX_DEVICE, UNIX_FILE = 0o120777, 0o020666, 0o100644


def written(path: Path, entries: list[tuple[zipfile.ZipInfo, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in entries:
            archive.writestr(entry, content)
    return path


def entry(name: str, mode: int = UNIX_FILE, system: int = 3) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    # ZipInfo cleans names on its way in; a hostile archive would not.
    info.filename = info.orig_filename = name
    info.create_system = system
    info.external_attr = mode << 16
    return info


def tarred(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def tar_member(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    return info


def skips(tree: type[ArchiveTree], path: Path) -> tuple[list[str], dict[str, list[str]]]:
    problems = Problems()
    names = list(tree(path, problems=problems).names())
    return names, {reason: tally.examples for reason, tally in problems.skips.items()}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_reads_members_at_random(zipped: Zipped, method: int):
    tree = ZipTree(zipped(FILES, method=method))
    assert tree.names() == sorted(FILES)
    for name in sorted(FILES, reverse=True):
        assert tree.read(name) == FILES[name]
        assert tree.size(name) == len(FILES[name])
    assert tree.where("images/1.jpg") == "data.zip: images/1.jpg"


def test_an_archive_of_nothing_is_whole(zipped: Zipped):
    assert ZipTree(zipped({})).names() == []


def test_names_with_backslashes_and_dots_are_made_plain(tmp_path: Path):
    path = written(tmp_path / "a.zip", [(entry("tub\\images\\1.jpg"), b"1"), (entry("./tub/2.jpg"), b"2")])
    tree = ZipTree(path)
    assert tree.names() == ["tub/2.jpg", "tub/images/1.jpg"]
    assert tree.read("tub/images/1.jpg") == b"1"


@pytest.mark.parametrize(
    "name", ["../a", "a/../../b", "/etc/passwd", "C:\\a.json", "c:a.json", "\\\\host\\a", "a\\..\\..\\b", "..", "a/../"]
)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str):
    path = written(tmp_path / "a.zip", [(entry("good.json"), b"1"), (entry(name), b"2")])
    with pytest.raises(ArchiveError, match=r"'a\.zip' would write outside its folder\. Received: '"):
        ZipTree(path).names()


def test_links_and_devices_are_skipped(tmp_path: Path):
    members = [(entry("link", UNIX_LINK), b"/etc/passwd"), (entry("disk", UNIX_DEVICE), b""), (entry("a"), b"1")]
    names, skipped = skips(ZipTree, written(tmp_path / "a.zip", members))
    assert names == ["a"]
    assert skipped == {"archive member is a link or a device": ["a.zip: link", "a.zip: disk"]}


def test_attributes_of_other_systems_are_not_taken_for_links(tmp_path: Path):
    names, skipped = skips(ZipTree, written(tmp_path / "a.zip", [(entry("a", UNIX_LINK, system=0), b"1")]))
    assert (names, skipped) == (["a"], {})


def test_litter_nested_archives_and_strange_compression_are_skipped(zipped: Zipped):
    files = {"__MACOSX/._a": b"", "._b": b"", "inner.zip": b"PK", "sub/inner.tar.gz": b"", "a": b"1"}
    names, skipped = skips(ZipTree, zipped(files))
    assert names == ["a"]
    assert len(skipped["file left by a desktop"]) == 2
    assert skipped["archive inside an archive"] == ["data.zip: inner.zip", "data.zip: sub/inner.tar.gz"]
    _, skipped = skips(ZipTree, zipped({"b": b"1"}, "other.zip", zipfile.ZIP_LZMA))
    assert skipped == {"archive member has an unsupported compression": ["other.zip: b"]}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_refused(tmp_path: Path):
    path = written(tmp_path / "a.zip", [(entry("a"), b"1"), (entry("a"), b"2")])
    with pytest.raises(ArchiveError, match=r"holds a name twice. Received: 'a'"):
        ZipTree(path).names()


def test_names_that_differ_in_case_are_refused(zipped: Zipped):
    with pytest.raises(ArchiveError, match=r"differ only in case. Received: 'A.jpg', 'a.jpg'"):
        ZipTree(zipped({"A.jpg": b"1", "a.jpg": b"2"})).names()


def test_an_encrypted_archive_is_refused(zipped: Zipped):
    path = zipped(FILES)
    content = bytearray(path.read_bytes())
    listed = content.index(b"PK\x01\x02")
    content[listed + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"is encrypted. Received: .* without a password"):
        ZipTree(path).names()


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_archive_is_refused(zipped: Zipped, share: float):
    path = zipped(FILES)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ArchiveError, match=r"is not a whole zip. Received: "):
        ZipTree(path).names()


def test_an_archive_without_its_beginning_is_refused(zipped: Zipped):
    path = zipped(FILES)
    path.write_bytes(path.read_bytes()[100:])
    with pytest.raises(ArchiveError):
        ZipTree(path).names()


def test_bytes_before_the_archive_do_not_matter(zipped: Zipped):
    path = zipped(FILES)
    path.write_bytes(b"#!/bin/sh\n" * 10 + path.read_bytes())
    assert ZipTree(path).read("images/1.jpg") == FILES["images/1.jpg"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_damaged_member_costs_only_itself(zipped: Zipped, method: int):
    path = zipped(FILES, method=method)
    content = bytearray(path.read_bytes())
    place = content.index(b"images/1.jpg") + len("images/1.jpg") + 40
    content[place] ^= 0xFF
    path.write_bytes(content)
    tree = ZipTree(path)
    with pytest.raises(UnreadableFile) as caught:
        tree.read("images/1.jpg")
    assert caught.value.reason == "archive member is damaged"
    assert tree.read("record_1.json") == FILES["record_1.json"]


def test_a_member_that_lies_about_its_size_is_damaged(zipped: Zipped):
    path = zipped({"a": b"x" * 5000})
    content = bytearray(path.read_bytes())
    listed = content.index(b"PK\x01\x02")
    struct.pack_into("<L", content, listed + 24, 100)
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match="archive member is damaged"):
        ZipTree(path).read("a")


def test_members_that_overlap_are_refused(zipped: Zipped):
    path = zipped({"a": b"1" * 50, "b": b"2" * 50}, method=zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    first = content.index(b"PK\x01\x02")
    second = content.index(b"PK\x01\x02", first + 4)
    # The second entry of the list now points at the first one's bytes: how bombs say the same thing many times.
    struct.pack_into("<L", content, second + 42, 0)
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="members that overlap"):
        ZipTree(path).names()


def test_a_member_that_reaches_into_the_list_is_refused(zipped: Zipped):
    path = zipped({"a": b"1" * 50}, method=zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    struct.pack_into("<L", content, content.index(b"PK\x01\x02") + 20, 500)
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="members that overlap"):
        ZipTree(path).names()


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(), "a decompression bomb"),
        (Limits(ratio=10_000, total_bytes=1 << 20), "too large unpacked"),
        (Limits(ratio=10_000, members=1), "too many files"),
        (Limits(list_bytes=50), "too many files"),
    ],
    ids=["ratio", "total", "count", "list"],
)
def test_bombs_are_refused(zipped: Zipped, limits: Limits, message: str):
    path = zipped({"a.json": bytes(3 << 20), "b.json": b"1"})
    with pytest.raises(ArchiveError, match=message):
        ZipTree(path, limits=limits).names()


def test_a_bomb_among_honest_files_is_refused(tmp_path: Path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("honest.bin", bytes(range(256)) * (1 << 14), zipfile.ZIP_STORED)
        archive.writestr("bomb.json", bytes(3 << 20))
    with pytest.raises(ArchiveError, match="unpacks to 3145728 bytes"):
        ZipTree(path).names()


def test_reads_no_more_than_the_limit(zipped: Zipped):
    tree = ZipTree(zipped(FILES))
    assert tree.read("images/1.jpg", limit=256) == FILES["images/1.jpg"]
    with pytest.raises(UnreadableFile, match="file is too large"):
        tree.read("images/1.jpg", limit=255)
    with pytest.raises(UnreadableFile, match="file is missing"):
        tree.read("images/2.jpg")


def test_an_archive_is_not_written_to(zipped: Zipped):
    path = zipped(FILES)
    before = path.read_bytes(), path.stat().st_mtime_ns
    tree = ZipTree(path)
    for name in tree.names():
        tree.read(name)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [*path.parent.iterdir()] == [path]


def test_an_archive_written_anew_is_read_anew(zipped: Zipped):
    assert ZipTree(zipped({"a": b"1"})).names() == ["a"]
    assert ZipTree(zipped({"b": b"22"})).names() == ["b"]


def test_problems_are_told_each_time_an_archive_is_opened(tmp_path: Path):
    path = written(tmp_path / "a.zip", [(entry("link", UNIX_LINK), b"x"), (entry("a"), b"1")])
    assert skips(ZipTree, path) == skips(ZipTree, path)


def test_references_travel_light_to_other_processes(zipped: Zipped):
    tree = ZipTree(zipped({f"{number}.json": b"%d" % number for number in range(500)}))
    tree.names()
    references = [FileReference(tree, f"{number}.json") for number in (3, 499)]
    assert len(pickle.dumps(references[0])) < 1000
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(FileReference.read, references) == [b"3", b"499"]
        pool.close()
        pool.join()


def test_reads_tars_at_random(tmp_path: Path):
    members = [(tar_member("./" + name), content) for name, content in FILES.items()]
    tree = TarTree(tarred(tmp_path / "a.tar", members))
    assert tree.names() == sorted(FILES)
    for name in sorted(FILES, reverse=True):
        assert tree.read(name) == FILES[name]


def test_links_devices_and_archives_in_tars_are_skipped(tmp_path: Path):
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
    members = [(tar_member(f"m{number}", kind), b"") for number, kind in enumerate(kinds)]
    members += [(tar_member("folder", tarfile.DIRTYPE), b""), (tar_member("b.zip"), b"PK"), (tar_member("a"), b"1")]
    names, skipped = skips(TarTree, tarred(tmp_path / "a.tar", members))
    assert names == ["a"]
    assert len(skipped["archive member is a link or a device"]) == len(kinds)
    assert skipped["archive inside an archive"] == ["a.tar: b.zip"]


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a/../../b"])
def test_names_in_tars_that_lead_out_are_refused(tmp_path: Path, name: str):
    path = tarred(tmp_path / "a.tar", [(tar_member(name), b"1")])
    with pytest.raises(ArchiveError, match="outside its folder"):
        TarTree(path).names()


def test_a_name_twice_in_a_tar_is_refused(tmp_path: Path):
    path = tarred(tmp_path / "a.tar", [(tar_member("a"), b"1"), (tar_member("a"), b"2")])
    with pytest.raises(ArchiveError, match="holds a name twice"):
        TarTree(path).names()


def test_a_truncated_tar_is_refused(tmp_path: Path):
    path = tarred(tmp_path / "a.tar", [(tar_member("a"), b"1" * 3000), (tar_member("b"), b"2" * 3000)])
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ArchiveError, match="is not a whole tar"):
        TarTree(path).names()


def test_a_tar_of_too_many_files_is_refused(tmp_path: Path):
    path = tarred(tmp_path / "a.tar", [(tar_member(f"{number}"), b"") for number in range(20)])
    with pytest.raises(ArchiveError, match="too many files"):
        TarTree(path, limits=Limits(members=10)).names()
