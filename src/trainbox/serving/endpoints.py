"""Multi-model endpoints: models that Amazon SageMaker brings and takes away over ``/models``."""

import asyncio
import json
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from trainbox.errors import RefusedInput
from trainbox.serving.bodies import Disconnected, read_body
from trainbox.serving.invocations import CLIENT_GONE, invoke
from trainbox.serving.models import Model, open_model
from trainbox.serving.processes import Lost
from trainbox.serving.refusals import Refused
from trainbox.serving.state import State

LARGEST_ORDER = 64 * 1024
LONGEST_NAME = 256
PAGE_LENGTH = 100


def routes(state: State) -> list[BaseRoute]:
    """Return the routes of a multi-model endpoint."""
    loading = asyncio.Lock()

    async def load(request: Request) -> Response:
        try:
            order = await _order(request, state)
        except Disconnected:
            return Response(status_code=CLIENT_GONE)
        async with loading:
            await _load(state, order["model_name"], Path(order["url"]))
        return JSONResponse({"modelName": order["model_name"], "modelUrl": order["url"]})

    async def listed(request: Request) -> Response:
        names, start = sorted(state.models), _start(request.query_params.get("next_page_token", "0"))
        page = [_told(state.models[name]) for name in names[start : start + PAGE_LENGTH]]
        more = {"nextPageToken": str(start + PAGE_LENGTH)} if start + PAGE_LENGTH < len(names) else {}
        return JSONResponse({"models": page, **more})

    async def one(request: Request) -> Response:
        return JSONResponse(_told(_known(state, request)))

    async def unload(request: Request) -> Response:
        model = _known(state, request)
        del state.models[model.name]
        async with loading:
            await state.pool.unload(model.name)
            model.bundle.close()
        return Response(status_code=200)

    async def ask(request: Request) -> Response:
        return await invoke(request, _known(state, request), state)

    return [
        Route("/models", load, methods=["POST"]),
        Route("/models", listed, methods=["GET"]),
        Route("/models/{name}", one, methods=["GET"]),
        Route("/models/{name}", unload, methods=["DELETE"]),
        Route("/models/{name}/invoke", ask, methods=["POST"]),
    ]


async def _order(request: Request, state: State) -> dict[str, str]:
    """Return what is to be loaded from where; raise Refused."""
    body = await read_body(
        request.receive, request.headers.get("content-length"), LARGEST_ORDER, state.settings.body_timeout
    )
    try:
        order: Any = json.loads(body)
        name, url = order["model_name"], order["url"]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise Refused(400, 'The body must be JSON: {"model_name": name, "url": folder}.') from None
    if not (isinstance(name, str) and isinstance(url, str) and 0 < len(name) <= LONGEST_NAME and "\x00" not in url):
        raise Refused(400, f"model_name and url must be text, the name of at most {LONGEST_NAME} letters.")
    return {"model_name": name, "url": url}


async def _load(state: State, name: str, folder: Path) -> None:
    if name in state.models:
        raise Refused(409, f"The model '{name}' is loaded already. Take it away first.")
    try:
        model = await asyncio.to_thread(open_model, name, folder, state.settings.file)
        await state.pool.load(model)
    except (OSError, RefusedInput) as error:
        raise Refused(400, f"The model cannot be loaded. {error}") from None
    except (MemoryError, Lost):
        raise Refused(507, f"There is no memory for the model '{name}'. Take another away first.") from None
    state.models[name] = model


def _known(state: State, request: Request) -> Model:
    name = request.path_params["name"]
    if name not in state.models:
        raise Refused(404, f"There is no model '{name[:LONGEST_NAME]}'. Load it first.")
    return state.models[name]


def _told(model: Model) -> dict[str, str]:
    return {"modelName": model.name, "modelUrl": str(model.bundle.folder)}


def _start(token: str) -> int:
    if not (token.isascii() and token.isdigit() and len(token) < 10):
        raise Refused(400, "next_page_token is none that was given out.")
    return int(token)
