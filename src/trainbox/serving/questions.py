"""What interpreters are asked, what they answer, and why there may be no answer."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from trainbox.errors import TrainboxError


class Busy(TrainboxError):
    """The queue is full, or its end is not reached in time."""


class TooSlow(TrainboxError):
    """An answer took longer than is allowed."""


class Crashed(TrainboxError):
    """Interpreters died of the question."""


class Gone(TrainboxError):
    """The model was taken away."""


@dataclass(frozen=True)
class Answered:
    """The answer to one picture: JSON in ``body``, or why there is none in ``error``; ``failed``: it is our fault."""

    body: bytes
    error: str | None = None
    failed: bool = False


@dataclass
class Patience:
    """So many ``seconds`` may pass until an interpreter begins with any question of a request."""

    seconds: float


@dataclass(eq=False)
class Question:
    """Pictures for one interpreter, one after the other, and who waits for the answers."""

    model: str
    pictures: Sequence[bytes]
    threshold: float | None
    wording: str
    patience: Patience
    answers: "asyncio.Future[list[Answered]]"
    asked: float = field(default_factory=time.monotonic)
    attempts: int = 0


@dataclass
class Observed:
    """What the pool tells whoever counts: a callable each, called in the event loop."""

    queued: Callable[[float], None] = lambda seconds: None
    worked: Callable[[dict[str, float]], None] = lambda seconds: None
    respawned: Callable[[str], None] = lambda why: None


def fail(question: Question, error: TrainboxError) -> None:
    """Tell whoever waits that there is no answer."""
    if not question.answers.done():
        question.answers.set_exception(error)
        question.answers.exception()  # seen: who asked may have gone
