"""Around every request: it is counted, what failed is logged, and what names it is sent back."""

import time
import traceback
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from trainbox.data.text import printable
from trainbox.serving import log
from trainbox.serving.invocations import CLIENT_GONE, echoed
from trainbox.serving.state import State

ROUTES = frozenset(("/ping", "/invocations", "/execution-parameters", "/livez", "/readyz", "/metrics", "/models", "/"))


class Watching:
    """The application within, watched. Not Starlette's middleware: that costs more than everything else here."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self.app, self.state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        began, status = time.monotonic(), 500
        names = [(name.encode(), value.encode()) for name, value in echoed(Headers(scope=scope)).items()]

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                closing = [(b"connection", b"close")] if self.state.stopping else []
                message = {**message, "headers": [*message["headers"], *names, *closing]}
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception:  # answered already; nobody else would say it
            log.say("failed", path=printable(scope["path"][:200]), why=traceback.format_exc())
        finally:
            self._note(scope, status, time.monotonic() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        path = scope["path"]
        route = path if path in ROUTES else "/models" if path.startswith("/models/") else "other"
        self.state.metrics.request(route, status, seconds)
        if status >= 400 and route != "/ping":
            self.state.metrics.refused[_REASONS.get(status, str(status))] += 1
            log.say(
                "refused",
                path=printable(path[:200]),
                status=status,
                why=scope.get("refusal", ""),
                seconds=round(seconds, 4),
            )


_REASONS = {
    400: "bad request",
    404: "not found",
    405: "bad method",
    406: "not acceptable",
    408: "too slow",
    413: "too large",
    415: "bad type",
    CLIENT_GONE: "client gone",
    500: "failed",
    503: "busy",
    504: "no answer in time",
}
