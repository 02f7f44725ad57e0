"""``POST /invocations``: pictures in, answers out."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from trainbox.serving import formats, questions
from trainbox.serving.bodies import Disconnected, read_body, until_gone
from trainbox.serving.interpreters import Interpreters
from trainbox.serving.models import Model
from trainbox.serving.questions import Answered
from trainbox.serving.refusals import Refused
from trainbox.serving.state import State

ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
CLIENT_GONE = 499
RETRY = {"Retry-After": "1"}
Result = TypeVar("Result")


async def invoke(request: Request, model: Model, state: State) -> Response:
    """Answer one request about pictures; raise Refused."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() not in ("identity", ""):
        raise Refused(415, f"A body is not decompressed. Received: {encoding[:40]}. Send it plain.")
    with state.room.share() as take:
        try:
            asked = await _asked(request, model, state, take)
            wanted = formats.wanted(request.headers.get("accept", ""), model.service.wordings, asked.form)
            answers = await _while_there(request, _answers(state.pool, model.name, asked, wanted.wording))
        except Disconnected:
            return Response(status_code=CLIENT_GONE)  # for the count: nobody hears it
    if asked.form == "one" and answers[0].failed:
        raise Refused(500, f"The picture can be read, but {answers[0].error}.")
    bodies = [answer.body for answer in answers]
    return Response(formats.put(asked, bodies, [answer.error for answer in answers]), media_type=wanted.media)


async def _asked(request: Request, model: Model, state: State, take: Callable[[int], None]) -> formats.Asked:
    """Read what is asked; raise Refused or Disconnected."""
    length, settings = request.headers.get("content-length"), state.settings
    body = await read_body(request.receive, length, settings.largest_body, settings.body_timeout, take)
    kind = request.headers.get("content-type", "")
    return formats.read(kind, body, _threshold(request), takes_threshold=model.service.takes_threshold)


def _threshold(request: Request) -> float | None:
    """Return the threshold of the query, or of SageMaker's custom attributes: an image has no room for it."""
    if "threshold" in request.query_params:
        return formats.threshold_of(request.query_params["threshold"])
    for part in request.headers.get(ATTRIBUTES, "").split(","):
        name, equals, value = part.strip().partition("=")
        if name == "threshold" and equals:
            return formats.threshold_of(value)
    return None


async def _answers(pool: Interpreters, model: str, asked: formats.Asked, wording: str) -> list[Answered]:
    """Return an answer to each item, in order; those with one threshold are asked about together."""
    answers: list[Answered] = [Answered(b"", item.error) for item in asked.items]
    by_threshold: dict[float | None, list[int]] = {}
    for place, item in enumerate(asked.items):
        if item.error is None:
            by_threshold.setdefault(item.threshold, []).append(place)
    try:
        for threshold, places in by_threshold.items():
            pictures = [asked.items[place].picture for place in places]
            for place, answer in zip(places, await pool.ask(model, pictures, threshold, wording), strict=True):
                answers[place] = answer
    except questions.Busy as error:
        raise Refused(503, str(error), RETRY) from None
    except questions.TooSlow as error:
        raise Refused(504, str(error)) from None
    except questions.Gone as error:
        raise Refused(404, str(error)) from None
    except questions.Crashed as error:
        raise Refused(500, str(error)) from None
    return answers


async def _while_there(request: Request, answers: Coroutine[Any, Any, Result]) -> Result:
    """Return the answers, unless the client goes before: then raise Disconnected, and what waits is taken back."""
    asking = asyncio.current_task()
    gone = asyncio.ensure_future(until_gone(request.receive))
    left = answered = False

    def leave(_: object) -> None:
        nonlocal left
        if not gone.cancelled() and not answered and asking is not None:
            left = True
            asking.cancel()

    gone.add_done_callback(leave)
    try:
        return await answers
    except asyncio.CancelledError:
        if left:
            raise Disconnected from None
        raise
    finally:
        answered = True  # leave may be on its way already
        gone.cancel()


def echoed(headers: Mapping[str, str]) -> dict[str, str]:
    """Return what of a request's headers is sent back: SageMaker's custom attributes, and names for the request."""
    names = (ATTRIBUTES, "x-amzn-sagemaker-inference-id", "x-request-id")
    found = {name: headers[name] for name in names if name in headers}
    return {name: value[:1024] for name, value in found.items() if value.isprintable() and value.isascii()}
