"""Images decoded once, in parallel, into one file of raw pixels that training reads from in any order."""

import hashlib
import mmap
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from trainbox.data.files import UnreadableFile
from trainbox.data.images import decode_rgb
from trainbox.data.problems import Problems
from trainbox.errors import DataError

CHUNK_IMAGES = 64
# Starting a process costs as much as decoding about so many images.
FEW_IMAGES = 512
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
        self._pixels = _map(path, (len(usable), *size, 3))

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
        mapped = getattr(self._pixels.base, "madvise", None)
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped(mmap.MADV_DONTNEED)


def build_cache(
    images: Sequence[ImageSource],
    size: tuple[int, int],
    folder: Path,
    problems: Problems,
    workers: int | None = None,
) -> ImageCache:
    """Decode every image to ``size`` (height, width) into one file in ``folder``, and return it for reading.

    Images that cannot be read are skipped in ``problems``, odd ones warned of, each with where it lies. ``workers``
    is the number of processes, by default one a processor. Raises DataError where the disk has no room.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "images.cache"
    _reserve(path, len(images) * size[0] * size[1] * 3)
    usable = np.zeros(len(images), bool)
    digests = [b""] * len(images)
    chunks = [range(start, min(start + CHUNK_IMAGES, len(images))) for start in range(0, len(images), CHUNK_IMAGES)]
    for chunk, outcomes in zip(chunks, _decode_all(images, size, path, chunks, workers), strict=True):
        for index, outcome in zip(chunk, outcomes, strict=True):
            usable[index] = outcome.skipped is None
            digests[index] = outcome.digest
            _report(outcome, images[index], problems)
    return ImageCache(path, size, usable, digests)


@dataclass(frozen=True, slots=True)
class _Outcome:
    digest: bytes = b""
    skipped: str | None = None
    notes: tuple[str, ...] = ()


def _report(outcome: _Outcome, image: ImageSource, problems: Problems) -> None:
    if outcome.skipped is not None:
        problems.skip(outcome.skipped, str(image))
    for note in outcome.notes:
        problems.warn(note, str(image))


def _map(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    if not shape[0]:
        return np.zeros(shape, np.uint8)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if hasattr(mmap, "MADV_RANDOM"):
        mapped.madvise(mmap.MADV_RANDOM)
    return np.frombuffer(mapped, np.uint8).reshape(shape)


def _reserve(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise DataError(
            f"The decoded images need {needed / 1e9:.1f} GB in {path.parent}, and {free / 1e9:.1f} GB are free. "
            f"Free some space, or set TMPDIR to a larger disk."
        )
    with path.open("wb") as file:
        file.truncate(needed)


def _decode_all(
    images: Sequence[ImageSource], size: tuple[int, int], path: Path, chunks: Sequence[range], workers: int | None
) -> Iterator[list[_Outcome]]:
    workers = min(workers or available_processors(), len(chunks))
    if workers <= 1 or len(images) < FEW_IMAGES:
        decode = _Decoder(images, size, path)
        yield from map(decode, chunks)
        return
    yield from _decode_in_processes(_Decoder(images, size, path), chunks, workers)


def _decode_in_processes(decoder: "_Decoder", chunks: Sequence[range], workers: int) -> Iterator[list[_Outcome]]:
    # Spawned, not forked: a fork copies locks that other threads hold, and TensorFlow's threads are not copied at all.
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(decoder,)
    )
    try:
        yield from pool.map(_decode_chunk, chunks)
    except BrokenExecutor:
        raise DataError(
            "A process that decodes images was killed, most likely because memory ran out. Use a machine with more."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


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


_decoder: _Decoder | None = None


def _start_worker(decoder: _Decoder) -> None:
    global _decoder
    _decoder = decoder
    # Ctrl-C reaches every process of the terminal; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A worker waits on a queue that it holds both ends of, so it would outlive a parent that was killed.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _decode_chunk(chunk: range) -> list[_Outcome]:
    if _decoder is None:
        raise RuntimeError("the worker was not started")
    return _decoder(chunk)


def available_processors() -> int:
    """Return how many processors this process may use, at least one."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
