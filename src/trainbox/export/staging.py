"""A folder is filled all or nothing: written aside on the same disk, then moved into place by renaming.

Until the folder aside is sealed with its manifest it is worth nothing and is thrown away; from then on it is
complete, and an interrupted move is finished by whoever writes next. So a kill at any instant leaves the old files
or the new ones, never a manifest beside files that are not its own.
"""

import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trainbox.errors import ExportError

MANIFEST = "manifest.json"
INCOMING, RETIRED = ".incoming-", ".retired"


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Yield an empty folder inside ``folder``; when the block ends, move its content into place, manifest last.

    The block ends with ``seal``. Files of the previous manifest, and files in the way, are removed once the new ones
    stand. Where the block or the move fails, what stood before stands as before. Raise ExportError where the disk is
    full, the folder cannot be written or another process is writing it.
    """
    created = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            recover(folder)
            incoming = Path(tempfile.mkdtemp(prefix=INCOMING, dir=folder))
            try:
                yield incoming
                _install(incoming, folder)
            except BaseException:
                _restore(incoming, folder)
                raise
    except OSError as error:
        hint = "Free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Give a folder to write to"
        raise ExportError(f"Model folder {folder}: {error}. {hint}; what stood there is kept.") from error
    finally:
        if created and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def seal(incoming: Path, manifest: str) -> None:
    """Write the manifest of a folder that ``staged`` gave, once everything else in it has reached the disk."""
    for path in sorted(incoming.rglob("*")):
        _flush(path)
    with (incoming / f"{MANIFEST}.partial").open("w", encoding="utf-8") as file:
        file.write(manifest)
        file.flush()
        os.fsync(file.fileno())
    (incoming / f"{MANIFEST}.partial").rename(incoming / MANIFEST)
    _flush(incoming)


def recover(folder: Path) -> None:
    """Finish or throw away what an interrupted process left in ``folder``."""
    for incoming in sorted(folder.glob(f"{INCOMING}*")):
        if (incoming / MANIFEST).is_file():
            _install(incoming, folder)
        else:  # never sealed, or moved completely and only not yet cleared
            shutil.rmtree(incoming)


def _install(incoming: Path, folder: Path) -> None:
    """Move a sealed folder's content into place. Starting again after an interruption at any line finishes it."""
    retired = incoming / RETIRED
    retired.mkdir(exist_ok=True)
    new = _listed(incoming / MANIFEST)
    _rename(folder / MANIFEST, retired / MANIFEST)
    for name in sorted(_listed(retired / MANIFEST) - new):
        _rename(folder / name, retired / name)
    for name in sorted(new):
        if (incoming / name).exists():  # else it was moved before the interruption, and what stands there is new
            _rename(folder / name, retired / name)
            (incoming / name).rename(folder / name)
    _flush(folder)
    (incoming / MANIFEST).rename(folder / MANIFEST)
    _flush(folder)
    shutil.rmtree(incoming, ignore_errors=True)  # the new files stand; what cannot be cleared now is the next writer's


def _restore(incoming: Path, folder: Path) -> None:
    """Undo a move that failed, as far as it came, and throw the new files away."""
    retired = incoming / RETIRED
    if retired.is_dir() and (incoming / MANIFEST).is_file():
        for name in sorted(_listed(incoming / MANIFEST)):
            if not (incoming / name).exists():
                _rename(folder / name, incoming / name)
        for name in [*sorted(_listed(retired / MANIFEST)), MANIFEST]:
            _rename(retired / name, folder / name)
        for path in retired.iterdir():  # files of no manifest that were in the way
            path.rename(folder / path.name)
    shutil.rmtree(incoming, ignore_errors=True)


def _listed(manifest: Path) -> set[str]:
    """Return the names directly below the folder that a manifest lists; nothing where there is no sound manifest."""
    try:
        files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        return {str(name).split("/")[0] for name in files} - {"", ".", "..", MANIFEST}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _rename(source: Path, target: Path) -> None:
    if source.exists() or source.is_symlink():
        source.rename(target)


def _flush(path: Path) -> None:
    """Have the disk hold a file, or a folder's list of names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder against other processes; where the file system knows no locks, go without."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ExportError(f"Model folder {folder} is being written by another process. Wait.") from error
        yield
    finally:
        os.close(descriptor)
