import io
import tarfile
from pathlib import Path

import pytest

from trainbox.errors import ModelFileError
from trainbox.export.tarball import pack, unpack


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


@pytest.mark.parametrize(
    "member",
    [
        _member("../outside"),
        _member("/absolute"),
        _member("model/../../outside"),
        _member("link", tarfile.SYMTYPE, "/etc/passwd"),
        _member("hard", tarfile.LNKTYPE, "manifest.json"),
        _member("pipe", tarfile.FIFOTYPE),
        _member("device", tarfile.CHRTYPE),
        _member("a/" * 9 + "deep"),
        _member(".hidden"),
        _member("line\nbreak"),
        _member("manifest.json"),
    ],
    ids=lambda member: repr(member.name),
)
def test_what_no_bundle_has_is_refused(member: tarfile.TarInfo, tmp_path: Path) -> None:
    path = tmp_path / "model.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(_member("manifest.json"), io.BytesIO())
        archive.addfile(member, io.BytesIO())
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(ModelFileError, match="member"):
        unpack(path, scratch)
    assert {p.name for p in tmp_path.iterdir()} == {"model.tar.gz", "scratch"}


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for number in range(2_001):
            archive.addfile(_member(f"file{number}"), io.BytesIO())
    (tmp_path / "scratch").mkdir()
    with pytest.raises(ModelFileError, match="more than 2000 files"):
        unpack(path, tmp_path / "scratch")


def test_an_announced_size_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    member = _member("model.keras")
    member.size = 5 << 30
    path = tmp_path / "model.tar"
    path.write_bytes(member.tobuf() + bytes(1024))
    (tmp_path / "scratch").mkdir()
    with pytest.raises(ModelFileError, match="more than"):
        unpack(path, tmp_path / "scratch")


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        member = _member("model.keras")
        member.size = 100_000
        archive.addfile(member, io.BytesIO(bytes(range(250)) * 400))
    path.write_bytes(path.read_bytes()[:-200])
    (tmp_path / "scratch").mkdir()
    with pytest.raises(ModelFileError, match=r"is no sound .tar.gz"):
        unpack(path, tmp_path / "scratch")


def test_the_same_files_are_packed_to_the_same_bytes_and_come_out_again(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    (folder / "deep").mkdir(parents=True)
    for name in ("manifest.json", "deep/a.pb", "left.out"):
        (folder / name).write_text(name)
    names = ["manifest.json", "deep/a.pb"]
    pack(folder, names, tmp_path / "one.tar.gz")
    (folder / "deep/a.pb").touch()
    pack(folder, reversed(names), tmp_path / "other.tar.gz")
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "other.tar.gz").read_bytes()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    root = unpack(tmp_path / "one.tar.gz", scratch)
    assert {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()} == {
        name: name for name in names
    }
    with pytest.raises(ModelFileError, match="cannot be packed"):
        pack(folder, ["missing"], tmp_path / "third.tar.gz")
