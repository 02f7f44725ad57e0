"""A training job watched to its end: what it says, how it stands and what it costs; AWS may be away meanwhile."""

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from time import sleep
from typing import Any

from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import AwsFailed, AwsRefused, adding
from trainbox.platforms.sagemaker.aws.leaving import Choice, Signals, Told, choose
from trainbox.platforms.sagemaker.aws.logs import Line, Log
from trainbox.platforms.sagemaker.aws.waiting import Patience
from trainbox.platforms.sagemaker.running.bill import Bill
from trainbox.platforms.sagemaker.running.kinds import ENDED, TRAINING, Description, server_time
from trainbox.platforms.sagemaker.running.showing import Shown

Say = Callable[[str], None]

SECONDS_BETWEEN_LOOKS = 2.0
LONGEST_PAUSE = 60.0
SECONDS_TO_BEAR = 3600.0
"""How long AWS may be out of reach before watching is given up; the job does not notice."""

LOOKS_AFTER_THE_END = 2
"""The last lines reach the log after the job has ended: it is read until so many looks in a row find nothing."""

MOST_LOOKS_AFTER_THE_END = 10


@dataclass
class Watch:
    """One job, watched. ``shown`` gets its log and how it stands, ``say`` sentences about it."""

    account: Account
    job: str
    shown: Shown
    say: Say
    seconds_between_looks: float = SECONDS_BETWEEN_LOOKS
    signals: Signals = field(default_factory=Signals)

    def __post_init__(self) -> None:
        self.log = Log(self.account, self.job)
        self._transitions: set[tuple[str, str, Any]] = set()
        self._log_is_closed = False
        self._patience = Patience(SECONDS_TO_BEAR)
        self._pause = self.seconds_between_looks
        self._stopping = False

    def to_the_end(self) -> Description | None:
        """Watch until the job has ended and its log is read; return its description, None where it was left to itself.

        Raises AwsFailed where AWS cannot be asked any more, saying how to go on.
        """
        while True:
            try:
                return self.until_ended()
            except Told as told:
                self.shown.close()
                if self._leaves(told):
                    return None
            finally:
                self.shown.close()

    def _leaves(self, told: Told) -> bool:
        """Do what is wanted of the job, and tell whether watching is over."""
        if self._stopping:
            self.say(f"The training job '{self.job}' is being stopped. Its model so far: trainbox fetch {self.job}")
            return True
        chosen = choose(told, f"training job '{self.job}'", self.say)
        if chosen is Choice.DETACH:
            self.say(f"The training job '{self.job}' goes on, and is billed until it ends. {how_to_go_on(self.job)}")
            return True
        if chosen is Choice.STOP:
            self._stopping = True
            self.say("Stopping: the best model so far is being written. Once more leaves without waiting for it.")
            with self.signals.later(), self._explained():
                TRAINING.stop(self.account, self.job)
        return False

    def until_ended(self) -> Description:
        """Watch until the job has ended and its log is read.

        Raises AwsFailed, and Told where signals are handled: between two looks, so that no line is lost.
        """
        while True:
            with self.signals.later():
                description = self._looked()
                if description and description["TrainingJobStatus"] in ENDED:
                    # A signal that is kept now has no job to be about.
                    self._tell(description, self._rest_of_the_log())
                    return description
            self.signals.deliver()
            sleep(self._pause)

    def _looked(self) -> Description | None:
        """Look once; None where AWS could not be asked. The pause before the next look grows then."""
        with self._explained():
            try:
                description = TRAINING.describe(self.account, self.job)
                if description["TrainingJobStatus"] not in ENDED:
                    self._tell(description, self._new_lines())
            except AwsFailed as problem:
                if self._patience.bear(problem):
                    self.say(f"{problem} The training job does not notice; asking again.")
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
                return None
        if self._patience.answered():
            self.say("AWS answers again.")
        self._pause = self.seconds_between_looks
        if description["TrainingJobStatus"] not in ENDED:
            self._show_state(description)
        return description

    def _explained(self) -> AbstractContextManager[None]:
        """Say in what ends the watching that the job goes on, and how to go on with it."""
        return adding(f"The training job '{self.job}' may still run and be billed. {how_to_go_on(self.job)}")

    def _tell(self, description: Description, lines: Sequence[Line]) -> None:
        """Say what the job went over to and what it said, each once, in the order of their times."""
        news: list[tuple[float, str | Line]] = [(line.milliseconds, line) for line in lines]
        for transition in description.get("SecondaryStatusTransitions", []):
            status, message = transition["Status"], " ".join(transition.get("StatusMessage", "").split())
            key = (status, message, transition["StartTime"])
            if key not in self._transitions:
                self._transitions.add(key)
                moment = transition["StartTime"].timestamp() * 1000
                news.append((moment, f"{status}: {message}" if message else status))
        for _, one in sorted(news, key=lambda new: new[0]):
            if isinstance(one, str):
                self.say(one)
            else:
                self.shown.line(f"[{one.host}] {one.text}" if self.log.hosts > 1 else one.text)

    def _new_lines(self) -> Sequence[Line]:
        if self._log_is_closed:
            return []
        try:
            return self.log.new()
        except AwsRefused as refused:
            self._log_is_closed = True
            self.say(f"{refused} The job is watched without its log.")
            return []

    def _show_state(self, description: Description) -> None:
        bill = Bill.of(description, now=server_time(description))
        self.shown.state(f"{description['SecondaryStatus']}: {bill.so_far()}", bill.seconds)

    def _rest_of_the_log(self) -> list[Line]:
        lines: list[Line] = []
        nothing = 0
        for _ in range(MOST_LOOKS_AFTER_THE_END):
            new: Sequence[Line] = []
            with contextlib.suppress(AwsFailed):
                new = self._new_lines()
            lines += new
            nothing = 0 if new else nothing + 1
            if nothing >= LOOKS_AFTER_THE_END or self._log_is_closed:
                break
            sleep(min(1.0, self.seconds_between_looks))
        return lines


def how_to_go_on(job: str) -> str:
    """Return the sentence that says how a job is watched, stopped and fetched later."""
    return f"Watch it: trainbox logs -f {job}; stop it: trainbox stop {job}; its model: trainbox fetch {job}"
