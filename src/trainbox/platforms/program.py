"""A training job as a child of this process: its log on our standard error, our signals passed on, its end seen to."""

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

from trainbox.container.interruption import SECONDS_TO_LIVE
from trainbox.platforms import signals

Say = Callable[[str], None]
Child = subprocess.Popen[bytes]


def run(command: Sequence[str], environment: Mapping[str, str], say: Say, end: Callable[[Child], None]) -> int:
    """Run ``command`` to its end and return its exit status, negative where a signal ended it.

    SIGTERM and ctrl-C become a SIGTERM to the child, which then has as long as SageMaker would give it; a second ctrl-C
    ends it at once. ``end`` must end the child and all it started; it is called whatever happens.
    """
    log = stderr()
    child = subprocess.Popen(
        command,
        env=environment,
        # Its end tells the child that we are gone, however we went.
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        with _forwarding(child, say, end) as told:
            return _wait(child, told, end)
    finally:
        end(child)
        child.wait()
        if child.stdin:
            child.stdin.close()


def stderr() -> int:
    """Return where a child says all it says: our standard error, for our standard output is for data; else nowhere."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return subprocess.DEVNULL


@contextlib.contextmanager
def _forwarding(child: Child, say: Say, end: Callable[[Child], None]) -> Iterator[threading.Event]:
    """Pass SIGTERM and ctrl-C on to the child as SIGTERM; a second ctrl-C ends it at once. Yields: was it told?"""
    told = threading.Event()

    def pass_on(number: int) -> None:
        if told.is_set():
            if number == signal.SIGINT:
                end(child)
            return
        told.set()
        say("Stopping: the best model so far is being written. Press ctrl-C again to stop without it.")
        child.send_signal(signal.SIGTERM)

    with signals.heard(pass_on):
        yield told


def _wait(child: Child, told: threading.Event, end: Callable[[Child], None]) -> int:
    """Wait for the child, and no longer than SageMaker would once it was told to stop."""
    while not told.is_set():
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(timeout=0.5)
    try:
        return child.wait(timeout=SECONDS_TO_LIVE)
    except subprocess.TimeoutExpired:
        end(child)
        return child.wait()
