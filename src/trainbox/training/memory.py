"""Keeps the memory that one training step frees for the next one, instead of handing it back to the system.

TensorFlow 2.21 tells glibc to give back all beyond 128 kB as soon as a data set is read from Python (its log: "Memory
patch applied"). Every step then gets its activations as new pages that the system must first fill with zeros, a quarter
of the processor time of training a small network on a CPU.
"""

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from typing import Any

# The names and numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_NEVER = 2**31 - 1
_LARGEST = 2**30
_LARGEST_OF_OLD = 32 << 20
_DEFAULT = 128 << 10


@contextlib.contextmanager
def reused_memory() -> Iterator[None]:
    """Keep freed memory within this block, and hand it back after it. Does nothing where there is no glibc."""
    glibc = _glibc()
    if glibc is None:
        yield
        return
    # Only the first arena can hold blocks of any size.
    glibc.mallopt(_ARENA_MAX, 1)
    glibc.mallopt(_TRIM_THRESHOLD, _NEVER)
    if not glibc.mallopt(_MMAP_THRESHOLD, _LARGEST):
        glibc.mallopt(_MMAP_THRESHOLD, _LARGEST_OF_OLD)
    try:
        yield
    finally:
        glibc.mallopt(_MMAP_THRESHOLD, _DEFAULT)
        glibc.mallopt(_TRIM_THRESHOLD, _DEFAULT)
        glibc.malloc_trim(0)


def hand_back() -> None:
    """Hand back what is free now: over many epochs freed memory breaks up into pieces that nothing fits into."""
    glibc = _glibc()
    if glibc is not None:
        glibc.malloc_trim(0)


def _glibc() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None
