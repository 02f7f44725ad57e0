import os
import signal
import threading

import pytest

from trainbox.platforms import signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_told_and_afterwards_means_what_it_did(number: signal.Signals) -> None:
    told: list[int] = []
    before = signal.getsignal(number)
    with signals.heard(told.append):
        os.kill(os.getpid(), number)
        assert told == [number]
    assert signal.getsignal(number) is before


def test_outside_of_the_main_thread_nothing_is_changed() -> None:
    found: list[object] = []

    def look() -> None:
        with signals.heard(found.append):
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]
