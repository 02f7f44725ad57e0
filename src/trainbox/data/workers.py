"""Work spread over processes: images are decoded there, because Python decodes one at a time in each."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from typing import Any

from trainbox.errors import DataError

# Starting a process costs as much as decoding about so many images.
FEW_IMAGES = 512

Work = Callable[..., Any]


def in_processes(work: Work, chunks: Sequence[range], workers: int | None = None) -> Iterator[list[Any]]:
    """Yield ``work(chunk)`` for each chunk, in order; in this process where the items are few.

    ``work`` is pickled once to each of ``workers`` processes (one a processor where None). Raises DataError where one
    of them is killed.
    """
    workers = min(workers or available_processors(), len(chunks))
    if workers <= 1 or sum(map(len, chunks)) < FEW_IMAGES:
        yield from map(work, chunks)
        return
    pool = _pool(work, workers)
    try:
        yield from pool.map(_do, chunks)
    except BrokenExecutor:
        raise DataError(
            "A process that decodes images was killed, most likely because memory ran out. Use a machine with more."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


class ProcessReader:
    """Does ``work`` in other processes, for one who asks ahead. The processes start with the first question."""

    def __init__(self, work: Work, workers: int) -> None:
        self._pool = _pool(work, workers)

    def ask(self, *arguments: Any) -> "Future[Any]":
        """Begin ``work(*arguments)``; its future raises BrokenExecutor where a process was killed."""
        return self._pool.submit(_do, *arguments)

    def close(self) -> None:
        """End the processes; what was asked and not begun is dropped."""
        self._pool.shutdown(cancel_futures=True)


def _pool(work: Work, workers: int) -> ProcessPoolExecutor:
    # Spawned, not forked: a fork copies locks that other threads hold, and TensorFlow's threads are not copied at all.
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start, initargs=(work,))


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


def _do(*arguments: Any) -> Any:
    if _work is None:
        raise RuntimeError("the worker was not started")
    return _work(*arguments)
