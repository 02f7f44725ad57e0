"""Work spread over processes: images are decoded there, because Python decodes one at a time in each."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from typing import Any

from trainbox.errors import DataError

# Starting a process costs as much as decoding about so many images.
FEW_IMAGES = 512

Work = Callable[[range], list[Any]]


def in_processes(work: Work, chunks: Sequence[range], workers: int | None = None) -> Iterator[list[Any]]:
    """Yield ``work(chunk)`` for each chunk, in order; in this process where the items are few.

    ``work`` is pickled once to each of ``workers`` processes (one a processor where None). Raises DataError where one
    of them is killed.
    """
    workers = min(workers or available_processors(), len(chunks))
    if workers <= 1 or sum(map(len, chunks)) < FEW_IMAGES:
        yield from map(work, chunks)
        return
    # Spawned, not forked: a fork copies locks that other threads hold, and TensorFlow's threads are not copied at all.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start, initargs=(work,))
    try:
        yield from pool.map(_do, chunks)
    except BrokenExecutor:
        raise DataError(
            "A process that decodes images was killed, most likely because memory ran out. Use a machine with more."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def available_processors() -> int:
    """Return how many processors this process may use, at least one."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


_work: Work | None = None


def _start(work: Work) -> None:
    global _work
    _work = work
    # Ctrl-C reaches every process of the terminal; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A worker waits on a queue that it holds both ends of, so it would outlive a parent that was killed.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(chunk: range) -> list[Any]:
    if _work is None:
        raise RuntimeError("the worker was not started")
    return _work(chunk)
