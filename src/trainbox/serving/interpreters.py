"""The pool: a queue of pictures before interpreters, each in a process of its own.

A process that dies or hangs takes nothing with it: what it was asked is asked again of another, once, and a new one
takes its place. The queue is bounded: who comes when it is full is told so at once.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from trainbox import tasks
from trainbox.errors import ModelFileError
from trainbox.serving.models import Model
from trainbox.serving.processes import Lost, Process
from trainbox.serving.questions import Answered, Busy, Crashed, Gone, Observed, Patience, Question, TooSlow, fail

DEPTH = 2
"""Questions sent to a process at most: the one it answers and the next, so that it never waits for us."""
MOST_ATTEMPTS = 2
MOST_DEATHS = 3
"""So many deaths in a row without an answer, and the pool gives up."""
LONGEST_PAUSE = 5.0
"""Seconds before another start, where one after the other comes to nothing."""


class Interpreters:
    """``count`` processes that answer for the models loaded.

    Use as: ``start``, ``load``, ``fill``, ``ask``..., ``close``. ``timeout``: seconds of work on a picture, and of
    waiting before.
    """

    def __init__(self, count: int, queue_length: int, timeout: float, observed: Observed | None = None) -> None:
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.observed = observed or Observed()
        self._count, self._queue_length, self._timeout = count, queue_length, timeout
        self._processes: list[Process] = []
        self._queue: deque[Question] = deque()
        self._held: dict[Process, deque[Question]] = {}
        self._overdue: dict[Process, asyncio.TimerHandle] = {}
        self._models: dict[str, tuple[Model, bool]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._deaths, self._futile, self._closing = 0, 0, False

    async def start(self) -> None:
        """Start the first process, which knows no model yet."""
        process = await self._begun()
        self._held[process] = deque()

    def fill(self) -> None:
        """Start the others: they would only have kept the first one, which can answer now, from the cores."""
        for _ in range(self._count - len(self._held) - len(self._tasks)):
            self._spawn("")

    @property
    def alive(self) -> int:
        """How many processes can answer."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """How many pictures wait for a process."""
        return sum(len(question.pictures) for question in self._queue)

    @property
    def working(self) -> int:
        """How many pictures are with a process."""
        return sum(len(question.pictures) for held in self._held.values() for question in held)

    def pids(self) -> list[int]:
        """Return the processes' ids."""
        return [process.pid for process in self._processes]

    async def load(self, model: Model) -> None:
        """Open a model in every process; raise ModelFileError, MemoryError or Lost where that fails in any."""
        while not self._processes and not self.failed.done():
            await asyncio.sleep(0.05)  # all have died, and others are on their way
        told: set[Process] = set()
        in_order = False
        while untold := [process for process in self._processes if process not in told]:
            told.update(untold)
            try:
                in_order = await _told(model, untold)
            except BaseException:
                await self.unload(model.name)
                raise
        if not told:
            raise Lost("There is no interpreter.")
        self._models[model.name] = (model, in_order)

    async def unload(self, name: str) -> None:
        """Let every process forget a model; whoever waits for it is told that it is gone."""
        self._models.pop(name, None)
        for question in [question for question in self._queue if question.model == name]:
            self._queue.remove(question)
            fail(question, Gone(f"The model '{name}' was taken away."))
        await asyncio.gather(
            *(process.call({"kind": "unload", "model": name}) for process in list(self._processes)),
            return_exceptions=True,
        )

    async def ask(
        self, model: str, pictures: Sequence[bytes], threshold: float | None = None, wording: str = ""
    ) -> list[Answered]:
        """Return the answer to each picture.

        Raise Busy where the queue has no room or its end is far, Gone, and for one picture TooSlow or Crashed: among
        several it is an error of its own. What was cancelled before a process began with it costs nothing.
        """
        if model not in self._models:
            raise Gone(f"There is no model '{model}'.")
        waiting = self.waiting
        if waiting and waiting + len(pictures) > self._queue_length:
            raise Busy(f"{waiting} pictures wait already. Ask again later.")
        parts = [pictures] if self._models[model][1] else [[picture] for picture in pictures]
        future = asyncio.get_running_loop().create_future
        patience = Patience(self._timeout)
        questions = [Question(model, part, threshold, wording, patience, future()) for part in parts if part]
        self._queue.extend(questions)
        self._pump()
        try:
            return [answer for question in questions for answer in await _answer(question, len(pictures) == 1)]
        finally:
            self._forget([question for question in questions if not question.answers.done()])

    def _forget(self, questions: Sequence[Question]) -> None:
        """Take back what nobody waits for any more; what a process has begun with it finishes for nobody."""
        for question in questions:
            question.answers.cancel()
        if questions:
            self._queue = deque(question for question in self._queue if not question.answers.done())

    async def close(self) -> None:
        """End all processes; what still waits fails."""
        self._closing = True
        for handle in self._overdue.values():
            handle.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(process.end() for process in list(self._processes)), return_exceptions=True)

    async def _begun(self) -> Process:
        process = await Process.start(self._answered, self._died)
        self._processes.append(process)
        return process

    def _spawn(self, why: str) -> None:
        task = asyncio.get_running_loop().create_task(self._replace(why))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _pump(self) -> None:
        """Hand questions to the process that holds least, while one has room for another."""
        while self._queue and self._held:
            process = min(self._held, key=lambda one: len(self._held[one]))
            if len(self._held[process]) >= DEPTH:
                return
            question = self._queue.popleft()
            if question.answers.done() or self._is_late(question):
                continue
            self._held[process].append(question)
            question.patience.seconds = math.inf  # what is begun with is finished, whatever the time
            head = {
                "kind": "ask",
                "model": question.model,
                "threshold": question.threshold,
                "wording": question.wording,
            }
            process.send(head, question.pictures)
            if len(self._held[process]) == 1:
                self._watch(process)

    def _is_late(self, question: Question) -> bool:
        """Fail a question that need not be asked any more; tell whether it is one."""
        if question.model not in self._models:
            fail(question, Gone(f"The model '{question.model}' was taken away."))
        elif time.monotonic() - question.asked > question.patience.seconds:
            fail(
                question, Busy(f"Its turn did not come within {question.patience.seconds:g} seconds. Ask again later.")
            )
        return question.answers.done()

    def _watch(self, process: Process) -> None:
        """Start the clock of the question that the process now works on."""
        self.observed.queued(time.monotonic() - self._held[process][0].asked)
        loop = asyncio.get_running_loop()
        allowed = self._timeout * len(self._held[process][0].pictures)
        self._overdue[process] = loop.call_later(allowed, self._too_slow, process)

    def _answered(self, process: Process, head: dict[str, Any], bodies: list[bytes]) -> None:
        """Pass on the answers to the question that the process held longest."""
        self._deaths = 0
        self._overdue.pop(process).cancel()
        question = self._held[process].popleft()
        if self._held[process]:
            self._watch(process)
        self._pump()
        self.observed.worked(head["seconds"])
        if not question.answers.done():
            errors, failed = head["errors"], head["failed"]
            answers = [Answered(body, errors.get(str(place)), place in failed) for place, body in enumerate(bodies)]
            question.answers.set_result(answers)

    def _too_slow(self, process: Process) -> None:
        question = self._held[process][0]
        question.attempts = MOST_ATTEMPTS
        fail(question, TooSlow(f"No answer within {self._timeout:g} seconds."))
        process.kill()

    def _died(self, process: Process) -> None:
        """Give back what a dead process held, and start another in its place."""
        handle = self._overdue.pop(process, None)
        if handle:
            handle.cancel()
        held = self._held.pop(process, deque())
        if process in self._processes:
            self._processes.remove(process)
        if self._closing:
            return
        if held:
            held[0].attempts += 1
        for question in reversed(held):
            if question.attempts < MOST_ATTEMPTS:
                self._queue.appendleft(question)
            else:
                fail(question, Crashed("Interpreters died of these pictures."))
        self._deaths += 1
        self.observed.respawned(process.how_it_ended())
        self._spawn(process.how_it_ended())
        self._pump()

    async def _replace(self, why: str) -> None:
        """Start a process that knows all models, and let it answer."""
        if self._deaths >= MOST_DEATHS * self._count:
            if not self.failed.done():
                self.failed.set_result(f"Interpreters die one after the other: {why}.")
            return
        await asyncio.sleep(min(LONGEST_PAUSE, 0.05 * self._deaths + 0.1 * (2 ** min(self._futile, 9) - 1)))
        process = await self._begun()
        self._futile += 1
        try:
            if not await self._taught(process):
                process.kill()
                return
        except Lost:
            return
        self._futile = 0
        self._held[process] = deque()
        self._pump()

    async def _taught(self, process: Process) -> bool:
        """Load in a process what all others know, that which comes meanwhile too; return whether it could be loaded."""
        known: set[str] = set()
        while unknown := [model for name, (model, _) in self._models.items() if name not in known]:
            for model in unknown:
                answer, _ = await process.call(_loading(model))
                if "error" in answer and model.name in self._models:
                    return False
                known.add(model.name)
        return True


async def _answer(question: Question, alone: bool) -> list[Answered]:
    try:
        return await question.answers
    except (TooSlow, Crashed) as error:
        if alone:
            raise
        return [Answered(b"", str(error), failed=True)] * len(question.pictures)


async def _told(model: Model, processes: Sequence[Process]) -> bool:
    """Open a model in processes; return whether it wants pictures in order, or raise why it cannot be opened."""
    answers = await asyncio.gather(*(process.call(_loading(model)) for process in processes), return_exceptions=True)
    in_order = False
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        if "error" in answer[0]:
            raise MemoryError if answer[0].get("memory") else ModelFileError(answer[0]["error"])
        in_order = bool(answer[0]["in_order"])
    return in_order


def _loading(model: Model) -> dict[str, Any]:
    return {
        "kind": "load",
        "model": model.name,
        "folder": str(model.bundle.folder),
        "file": model.file,
        "task": tasks.places()[model.manifest["task"]],
        "manifest": dict(model.manifest),
    }
