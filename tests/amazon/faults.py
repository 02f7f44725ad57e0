"""What goes wrong on the way to AWS: errors and dropped connections, asked for by a test."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from amazon.refusals import Refusal

STATUS = {
    "ThrottlingException": 400,
    "SlowDown": 503,
    "InternalFailure": 500,
    "InternalError": 500,
    "ServiceUnavailable": 503,
    "ExpiredToken": 400,
    "ExpiredTokenException": 400,
    "AccessDenied": 403,
    "AccessDeniedException": 400,
}
DROPPED = "(the connection is dropped)"
LOST = "(it is done, and the answer is lost)"


@dataclass
class Fault:
    """One thing that will go wrong: ``operation`` fails ``times`` times, once it was let through ``after`` times."""

    operation: str
    refusal: Refusal
    times: int
    after: int = 0

    @property
    def is_drop(self) -> bool:
        """Tell whether no answer comes at all."""
        return self.refusal.code == DROPPED

    @property
    def is_loss(self) -> bool:
        """Tell whether what was asked is done, and only the answer does not come."""
        return self.refusal.code == LOST


class Faults:
    """All that is still to go wrong, first come first served."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._meanwhile: dict[str, Callable[[], object]] = {}

    def fail(
        self, operation: str, code: str, times: int = 1, message: str = "", status: int | None = None, after: int = 0
    ) -> None:
        """Have the next ``times`` calls of an operation ("*": of any) answered with an error.

        ``operation`` is AWS's name: DescribeTrainingJob, PutObject, UploadPart, GetLogEvents, GetCallerIdentity.
        """
        refusal = Refusal(code, message or f"{code}, as the test asked for.", status or STATUS.get(code, 400))
        with self._lock:
            self._faults.append(Fault(operation, refusal, times, after))

    def drop(self, operation: str, times: int = 1, after: int = 0) -> None:
        """Have the next ``times`` calls of an operation end without an answer, the connection cut."""
        with self._lock:
            self._faults.append(Fault(operation, Refusal(DROPPED, ""), times, after))

    def lose(self, operation: str) -> None:
        """Have the next call of an operation be done, and its answer lost with the connection."""
        with self._lock:
            self._faults.append(Fault(operation, Refusal(LOST, ""), 1))

    def hold(self, operation: str, meanwhile: Callable[[], object]) -> None:
        """Have something happen between the next call of an operation and its being done."""
        with self._lock:
            self._meanwhile[operation] = meanwhile

    def take(self, operation: str) -> Fault | None:
        """Return what goes wrong with this call; it counts as used."""
        with self._lock:
            meanwhile = self._meanwhile.pop(operation, None)
        if meanwhile:
            meanwhile()
        with self._lock:
            waiting = [fault for fault in self._faults if fault.operation in (operation, "*") and fault.times]
            for fault in waiting:
                if not fault.after:
                    fault.times -= 1
                    return fault
            for fault in waiting:
                fault.after -= 1
        return None

    @property
    def left(self) -> list[Fault]:
        """What was asked for and did not happen yet."""
        with self._lock:
            return [fault for fault in self._faults if fault.times]

    def clear(self) -> None:
        """Have everything go well from now on."""
        with self._lock:
            self._faults.clear()
            self._meanwhile.clear()
