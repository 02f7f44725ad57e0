"""Ctrl-C and SIGTERM while something runs elsewhere: told to whoever runs it, instead of ending this process."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def heard(hear: Callable[[int], None]) -> Iterator[None]:
    """Call ``hear`` with the number of every SIGINT and SIGTERM; outside of the main thread none can be heard."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def received(number: int, frame: FrameType | None) -> None:
        hear(number)

    before = {number: signal.signal(number, received) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
