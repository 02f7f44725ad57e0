"""The pool alone, asked in a loop of our own: pictures that wait too long, and those that a model has no answer to."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.conftest import picture
from trainbox.serving.interpreters import Interpreters
from trainbox.serving.models import open_model
from trainbox.serving.questions import Busy, TooSlow
from trainbox.serving.worker import _ask

GOOD = picture()


def test_who_waits_too_long_is_told_so(model: Callable[[str], Path]) -> None:
    async def asked() -> list[object]:
        pool = Interpreters(1, 100, timeout=1.0)
        try:
            await pool.start()
            await pool.load(open_model("model", model("drive"), "model.tflite"))
            await pool.ask("model", [GOOD])
            os.kill(pool.pids()[0], signal.SIGSTOP)
            return await asyncio.gather(*(pool.ask("model", [GOOD]) for _ in range(4)), return_exceptions=True)
        finally:
            await pool.close()

    answers = asyncio.run(asked())
    assert isinstance(answers[0], TooSlow), "it was worked on"
    assert isinstance(answers[1], list), "it was accepted: another process answers it"
    assert [type(answer) for answer in answers[2:]] == [Busy, Busy], "they were not begun with in time"


def test_one_picture_that_kills_costs_the_others_nothing(model: Callable[[str], Path]) -> None:
    async def asked() -> list[bool]:
        pool = Interpreters(1, 100, timeout=1.0)
        try:
            await pool.start()
            await pool.load(open_model("model", model("drive"), "model.tflite"))
            os.kill(pool.pids()[0], signal.SIGSTOP)
            return [answer.failed for answer in await pool.ask("model", [GOOD] * 4)]
        finally:
            await pool.close()

    assert asyncio.run(asked()) == [True, False, False, False]


class Numberless:
    """A model whose answer to the second picture is no number."""

    in_order = False

    def forget(self) -> None:
        pass

    def see(self, content: bytes) -> bytes:
        return content

    def answer(self, seen: bytes, threshold: float | None) -> float:
        return float(seen)

    def word(self, answer: float, wording: str) -> dict[str, float]:
        return {"angle": answer}


@pytest.mark.parametrize("odd", [b"nan", b"inf", b"no number"])
def test_an_answer_that_is_no_number_is_an_error_of_its_own(odd: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    head = {"model": "m", "threshold": None, "wording": ""}
    answer, bodies = _ask({"m": Numberless()}, head, [b"0.5", odd, b"1"])
    assert (answer["failed"], list(answer["errors"])) == ([1], [1])
    assert [json.loads(body) for body in (bodies[0], bodies[2])] == [{"angle": 0.5}, {"angle": 1.0}]
    assert "No answer to a picture: ValueError" in capsys.readouterr().err
