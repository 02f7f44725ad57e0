"""From a path that a user gave to the trees of files it holds."""

from pathlib import Path

from trainbox.data.archives import ArchiveTree
from trainbox.data.files import FileTree, FolderTree, is_archive_name
from trainbox.data.problems import Problems
from trainbox.data.tars import TarTree
from trainbox.data.text import printable
from trainbox.data.zips import ZipTree
from trainbox.errors import DataError

# Archives that cannot be read at random: every image would cost unpacking all before it.
_OTHER_KINDS = {
    "a file compressed with gzip": b"\x1f\x8b",
    "a file compressed with bzip2": b"BZh",
    "a file compressed with xz": b"\xfd7zXZ",
    "a 7z archive": b"7z\xbc\xaf",
    "a RAR archive": b"Rar!",
}


def open_trees(path: Path, problems: Problems) -> list[FileTree]:
    """Open a zip, a tar, or a folder with everything nested in it, archives included.

    What is left out is counted in ``problems``. Raises DataError where there is no such path or it is of no use,
    ArchiveError where an archive is unsafe or broken as a whole.
    """
    name = printable(path.name or str(path))
    if not path.exists():
        raise DataError(f"Path '{printable(str(path))}' does not exist. Check its spelling.")
    if path.is_dir():
        return _open_folder(path, name, problems)
    if not path.is_file():
        raise DataError(f"'{name}' is neither a file nor a folder. Give a folder or a zip.")
    tree = _open_archive(path, name, problems)
    if tree is None:
        raise DataError(f"'{name}' is not read. Received: {_kind(path)}. Give a folder, a zip or a plain tar.")
    return [tree]


def _open_folder(path: Path, label: str, problems: Problems) -> list[FileTree]:
    folder = FolderTree(path, label, problems)
    trees: list[FileTree] = [folder]
    for name in folder.names():
        if is_archive_name(name):
            where = printable(name)
            tree = _open_archive(folder.root / name, where, problems)
            if tree is None:
                problems.skip("archive of a kind that is not read", folder.where(name))
            else:
                trees.append(tree)
    return trees


def _open_archive(path: Path, label: str, problems: Problems) -> ArchiveTree | None:
    """Open an archive by its bytes, or by its name: a ``.zip`` that is none was meant to be one."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise DataError(f"'{label}' cannot be opened. Received: {error.strerror}. Check its permissions.") from None
    suffix = path.suffix.lower()
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")) or suffix == ".zip":
        return ZipTree(path, label, problems)
    if start[257:262] == b"ustar" or suffix == ".tar":
        return TarTree(path, label, problems)
    return None


def _kind(path: Path) -> str:
    """Say what a file is that is neither a zip nor a tar."""
    with path.open("rb") as file:
        start = file.read(8)
    for kind, signature in _OTHER_KINDS.items():
        if start.startswith(signature):
            return kind
    return "another kind of file" if start else "an empty file"
