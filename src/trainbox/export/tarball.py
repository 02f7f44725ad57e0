"""A bundle's .tar.gz, as SageMaker stores it: packed the same each time, unpacked without trusting anything in it."""

import gzip
import re
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from zlib import error as ZlibError

from trainbox.errors import ModelFileError

MOST_FILES = 2_000
LARGEST_SUM = 4 << 30
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@ -]*")


def unpack(path: Path, scratch: Path) -> Path:
    """Unpack a bundle's archive below ``scratch`` and return the folder that holds its manifest.

    Only regular files of plain names are taken. Raise ModelFileError at a link, a device, a name that leads outside,
    a name that comes twice, more than 2,000 files or 4 GiB, or a damaged archive.
    """
    left, count = LARGEST_SUM, 0
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                if member.isdir():
                    continue
                count += 1
                left -= member.size
                if count > MOST_FILES or left < 0:
                    raise ModelFileError(f"Bundle {path} has more than {MOST_FILES} files or {LARGEST_SUM} bytes.")
                _extract(archive, member, scratch, path)
    except (tarfile.TarError, EOFError, OSError, ZlibError) as error:
        raise ModelFileError(f"Bundle {path} is no sound .tar.gz: {error}. Fetch it again.") from error
    return _root(scratch)


def pack(folder: Path, names: Iterable[str], target: Path) -> None:
    """Write the files of these names (with slashes) below ``folder`` as the new archive ``target``.

    The same files give the same bytes. Raise ModelFileError where one cannot be read, or the archive not be written.
    """
    try:
        with (
            target.open("xb") as raw,
            # Neither a name nor a time in its header.
            gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
        ):
            for name in sorted(names):
                member = tarfile.TarInfo(name)
                member.size = (folder / name).stat().st_size
                with (folder / name).open("rb") as file:
                    archive.addfile(member, file)
    except OSError as error:
        raise ModelFileError(f"Bundle {folder} cannot be packed: {error}.") from error


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, scratch: Path, path: Path) -> None:
    parts = [part for part in member.name.split("/") if part not in ("", ".")]
    if not member.isreg() or member.issparse() or PurePosixPath(member.name).is_absolute():
        raise ModelFileError(f"Bundle {path}: member {member.name!r} is no regular file below it. Do not use it.")
    if not parts or len(parts) > 8 or not all(_NAME.fullmatch(part) for part in parts):
        raise ModelFileError(f"Bundle {path}: member {member.name!r} has a name that no bundle has. Do not use it.")
    target = scratch.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    source = archive.extractfile(member)
    if source is None or target.exists():
        raise ModelFileError(f"Bundle {path}: member {member.name!r} comes twice or cannot be read. Fetch it again.")
    with source, target.open("xb") as file:
        shutil.copyfileobj(source, file)


def _root(scratch: Path) -> Path:
    """Return the folder of the manifest: the top, or the one folder that is all there is at the top."""
    inside = list(scratch.iterdir())
    if len(inside) == 1 and inside[0].is_dir():
        return inside[0]
    return scratch
