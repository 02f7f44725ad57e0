"""Images decoded once, in parallel, into one file of raw pixels that training reads from in any order."""

import hashlib
import mmap
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from trainbox.data.files import UnreadableFile
from trainbox.data.images import decode_rgb
from trainbox.data.problems import Problems
from trainbox.data.workers import in_processes
from trainbox.errors import DataError

CHUNK_IMAGES = 64
DIGEST_BYTES = 16


class ImageSource(Protocol):
    """Where the bytes of one image file come from. Picklable; ``str`` of it says where it lies."""

    def read(self) -> bytes:
        """Return the file's bytes; raise UnreadableFile."""


class ImageCache:
    """Decoded images in a file, read through a memory map: uint8 RGB, all of one size.

    ``usable`` (bool, shape (n,)) says which could be decoded, the others are black. ``digests`` (n entries of
    ``DIGEST_BYTES`` bytes, empty where unusable) are equal where two image files are.
    """

    def __init__(self, path: Path, size: tuple[int, int], usable: np.ndarray, digests: Sequence[bytes]) -> None:
        self.path = path
        self.size = size
        self.usable = usable
        self.digests = digests
        self._map = _map(path)
        self._pixels = np.frombuffer(self._map or b"", np.uint8).reshape(len(usable), *size, 3)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as the path of the file, which is mapped there again."""
        return ImageCache, (self.path, self.size, self.usable, self.digests)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.usable)

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Return the images at ``indices`` (int, shape (n,)) as uint8, shape (n, height, width, 3)."""
        images = self._pixels[indices]
        self._drop_pages()
        return images

    def _drop_pages(self) -> None:
        # Mapped pages count as this process's memory for as long as they stay mapped. The system keeps them anyway,
        # as cache that it can take back, so letting go of them costs little and holds the memory flat.
        if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


def build_cache(
    images: Sequence[ImageSource],
    size: tuple[int, int],
    folder: Path,
    problems: Problems,
    workers: int | None = None,
    expected: Collection[str] = (),
) -> ImageCache:
    """Decode every image to ``size`` (height, width) into one file in ``folder``, and return it for reading.

    Images that cannot be read are skipped in ``problems``, odd ones warned of, each with where it lies, but for what
    is ``expected``. ``workers`` is the number of processes, by default one a processor. Raises DataError where the disk
    has no room.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "images.cache"
    _reserve(path, len(images) * size[0] * size[1] * 3)
    usable = np.zeros(len(images), bool)
    digests = [b""] * len(images)
    chunks = [range(start, min(start + CHUNK_IMAGES, len(images))) for start in range(0, len(images), CHUNK_IMAGES)]
    for chunk, outcomes in zip(chunks, in_processes(_Decoder(images, size, path), chunks, workers), strict=True):
        for index, outcome in zip(chunk, outcomes, strict=True):
            usable[index] = outcome.skipped is None
            digests[index] = outcome.digest
            _report(outcome, images[index], problems, expected)
    return ImageCache(path, size, usable, digests)


@dataclass(frozen=True, slots=True)
class _Outcome:
    digest: bytes = b""
    skipped: str | None = None
    notes: tuple[str, ...] = ()


def _report(outcome: _Outcome, image: ImageSource, problems: Problems, expected: Collection[str]) -> None:
    if outcome.skipped is not None:
        problems.skip(outcome.skipped, str(image))
    for note in outcome.notes:
        if note not in expected:
            problems.warn(note, str(image))


def _map(path: Path) -> mmap.mmap | None:
    # An empty file cannot be mapped.
    if not path.stat().st_size:
        return None
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _reserve(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise DataError(
            f"The decoded images need {needed / 1e9:.1f} GB in {path.parent}, and {free / 1e9:.1f} GB are free. "
            f"Free some space, or set TMPDIR to a larger disk."
        )
    with path.open("wb") as file:
        file.truncate(needed)


@dataclass
class _Decoder:
    """Decodes ranges of images into their places in the file."""

    images: Sequence[ImageSource]
    size: tuple[int, int]
    path: Path

    def __call__(self, chunk: range) -> list[_Outcome]:
        bytes_each = self.size[0] * self.size[1] * 3
        outcomes = []
        try:
            with self.path.open("r+b") as file:
                for index in chunk:
                    file.seek(index * bytes_each)
                    outcomes.append(_decode(self.images[index], self.size, file.write))
        except OSError as error:
            raise DataError(f"The decoded images cannot be written to {self.path.parent}: {error.strerror}.") from error
        return outcomes


def _decode(image: ImageSource, size: tuple[int, int], write: Callable[[memoryview], object]) -> _Outcome:
    try:
        content = image.read()
        pixels, notes = decode_rgb(content, size)
    except UnreadableFile as error:
        return _Outcome(skipped=error.reason)
    write(pixels.data)
    return _Outcome(hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest(), None, notes)
