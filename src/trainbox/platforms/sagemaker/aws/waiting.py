"""Wait for something at AWS to settle, saying how it goes, whatever the line to AWS does meanwhile."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from trainbox.platforms.sagemaker.aws.failures import AwsFailed, AwsRefused, LoggedOut

SHORTEST_PAUSE, LONGEST_PAUSE, GROWTH = 0.2, 10.0, 1.3
SECONDS_BETWEEN_LINES = 60.0
PATIENCE_SECONDS = 600.0
"""How long AWS may be out of reach before the wait is given up: what is waited for goes on without us."""

Say = Callable[[str], None]


@dataclass
class Patience:
    """Bears an AWS that is out of reach for so many seconds in a row."""

    seconds: float = PATIENCE_SECONDS
    _since: float | None = None

    def bear(self, problem: AwsFailed) -> bool:
        """Tell whether AWS has only just gone; raise ``problem`` where it is ours to solve, or lasts too long."""
        before, self._since = self._since, self._since or time.monotonic()
        if isinstance(problem, LoggedOut | AwsRefused) or time.monotonic() - self._since > self.seconds:
            raise problem
        return before is None

    def answered(self) -> bool:
        """Note that AWS answers, and tell whether it had gone."""
        before, self._since = self._since, None
        return before is not None


def settled(
    what: str, ask: Callable[[], Mapping[str, Any]], key: str, moving: Collection[str], say: Say
) -> Mapping[str, Any]:
    """Ask until the status under ``key`` is none of ``moving``, and return that answer.

    ``what`` names it in the lines: one for each change, and one a minute. Raises what ``ask`` raises: at once where
    we are logged out or refused, after ten minutes of trying where AWS cannot be reached.
    """
    began = spoke = time.monotonic()
    status, pause, patience = "", SHORTEST_PAUSE, Patience()
    while True:
        try:
            answer = ask()
        except AwsFailed as problem:
            patience.bear(problem)
            say(f"{problem} Trying again.")
        else:
            patience.answered()
            if answer[key] != status or time.monotonic() - spoke > SECONDS_BETWEEN_LINES:
                status, spoke = str(answer[key]), time.monotonic()
                say(f"{what}: {status} ({_elapsed(spoke - began)})")
            if status not in moving:
                return answer
        time.sleep(pause)
        pause = min(LONGEST_PAUSE, pause * GROWTH)


def _elapsed(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
