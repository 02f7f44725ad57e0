"""From a path that a user gave to the trees of files it holds."""

from pathlib import Path

from trainbox.data.archives import ArchiveTree
from trainbox.data.files import ARCHIVE_SUFFIXES, FileTree, FolderTree, is_archive_name
from trainbox.data.problems import Problems
from trainbox.data.tars import TarTree
from trainbox.data.text import printable
from trainbox.data.zips import ZipTree
from trainbox.errors import ArchiveError, DataError


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
        raise DataError(
            f"'{name}' is no archive that can be read. Received: {_first_bytes(path)}. Give a folder or a zip."
        )
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
    """Open by the bytes, or refuse by the name: a ``.zip`` that is none was meant to be one."""
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return ZipTree(path, label, problems)
    if start[257:262] == b"ustar":
        return TarTree(path, label, problems)
    if path.name.lower().endswith((".zip", ".tar")):
        # Opened all the same: the archive's own reader says best what is wrong, and finds a zip behind other bytes.
        return ZipTree(path, label, problems) if path.name.lower().endswith(".zip") else TarTree(path, label, problems)
    if path.name.lower().endswith(ARCHIVE_SUFFIXES) and not start:
        raise ArchiveError(f"'{label}' is empty. Received: 0 bytes. Copy or make it again.")
    return None


def _first_bytes(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(8)
    return f"a file that begins with {start!r}" if start else "an empty file"
