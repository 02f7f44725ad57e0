"""The routes. Which model and which pool they speak of is the state's."""

import json
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from trainbox.serving import endpoints, metrics, openapi
from trainbox.serving.invocations import invoke
from trainbox.serving.models import Model
from trainbox.serving.refusals import Refused
from trainbox.serving.state import State
from trainbox.serving.watching import Watching

PAGE = Path(__file__).with_name("page")
NO_STRANGERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
MOST_TRANSFORMED = 100
"""Megabytes of all requests of a batch transform under way: SageMaker refuses a job that may have more."""
_MEDIA = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def build(state: State) -> Watching:
    """Return the application of a server."""
    routes = [*_contract(state), *_premises(state)]
    if state.settings.multi_model:
        routes += endpoints.routes(state)
    if state.settings.page:
        routes += _page(state)
    handlers: Any = {Refused: _refused, HTTPException: _no_route, Exception: _failed}
    return Watching(Starlette(routes=routes, exception_handlers=handlers), state)


def _only(state: State) -> Model:
    """Return the one model; raise Refused where there are several, or it is not loaded yet."""
    if state.settings.multi_model:
        raise Refused(404, "There are several models here: ask one of them at /models/NAME/invoke.")
    if state.model is None:  # where only the interpreters are gone, others are on their way: that is waited for
        raise Refused(503, "The model is not loaded yet. Ask again in a moment.", {"Retry-After": "1"})
    return state.model


def _contract(state: State) -> list[BaseRoute]:
    """Return what Amazon SageMaker asks for."""

    async def ping(request: Request) -> Response:
        return Response(status_code=200 if state.ready else 503)

    async def invocations(request: Request) -> Response:
        return await invoke(request, _only(state), state)

    async def parameters(request: Request) -> Response:
        settings = state.settings
        megabytes = min(MOST_TRANSFORMED, settings.largest_body >> 20)
        return JSONResponse(
            {
                "MaxConcurrentTransforms": min(settings.transforms, max(1, MOST_TRANSFORMED // megabytes)),
                "BatchStrategy": settings.strategy,
                "MaxPayloadInMB": megabytes,
            }
        )

    return [
        Route("/ping", ping, methods=["GET"]),
        Route("/invocations", invocations, methods=["POST"]),
        Route("/execution-parameters", parameters, methods=["GET"]),
    ]


def _premises(state: State) -> list[BaseRoute]:
    """Return what whoever runs it on machines of their own asks for."""

    async def livez(request: Request) -> Response:
        return JSONResponse({"alive": True})

    async def readyz(request: Request) -> Response:
        return JSONResponse({"ready": state.ready}, 200 if state.ready else 503)

    async def measured(request: Request) -> Response:
        return Response(state.metrics.text(), headers={"Content-Type": metrics.MEDIA})

    async def card(request: Request) -> Response:
        return JSONResponse(_only(state).card())

    async def document(request: Request) -> Response:
        return Response(json.dumps(openapi.document(state), indent=1), media_type="application/json")

    return [
        Route("/livez", livez, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/metrics", measured, methods=["GET"]),
        Route("/card", card, methods=["GET"]),
        Route("/openapi.json", document, methods=["GET"]),
    ]


def _page(state: State) -> list[BaseRoute]:
    """Return the page to try the model at."""

    async def script(request: Request) -> Response:
        model = _only(state)
        about = {"accept": _accept(model.service.page_wording), "labels": list(model.manifest.get("labels") or ())}
        text = f"export const about = {json.dumps(about)};\n{model.service.script.read_text(encoding='utf-8')}"
        return Response(text, media_type="text/javascript", headers=NO_STRANGERS)

    def file(name: str) -> Any:
        async def answer(request: Request) -> Response:
            path = PAGE / name
            return Response(path.read_bytes(), media_type=_MEDIA[path.suffix], headers=NO_STRANGERS)

        return answer

    return [
        Route("/", file("page.html"), methods=["GET"]),
        Route("/page.css", file("page.css"), methods=["GET"]),
        Route("/page.js", file("page.js"), methods=["GET"]),
        Route("/task.js", script, methods=["GET"]),
    ]


def _accept(wording: str) -> str:
    return f"application/json;{wording}=1" if wording else "application/json"


async def _refused(request: Request, error: Refused) -> Response:
    request.scope["refusal"] = str(error)
    return JSONResponse({"error": str(error)}, error.status, error.headers)


async def _no_route(request: Request, error: HTTPException) -> Response:
    said = {404: "There is nothing here.", 405: "That method is not for this address."}
    text = said.get(error.status_code, error.detail)
    return JSONResponse({"error": text}, error.status_code, error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "This was not foreseen, and is no fault of the request. The log says more."}, 500)
