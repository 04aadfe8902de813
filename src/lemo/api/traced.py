"""A span for each request, in front of everything else; there is none of this while traces are off."""

from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lemo.api.hot_path import PREFIX, ROUTES
from lemo.telemetry.tracing import HEADERS, Traces, failed, stop_traces, traces

_NAMES = {name.encode(): name for name in HEADERS}
_UNTRACED = ("/health/", "/metrics")
"""What machines ask every few seconds."""
_SERVER_ERROR = 500


def traced(app: ASGIApp, state: Any) -> ASGIApp:
    """The application with a span around each request, where traces are on; else as it is."""
    found = traces()
    return app if found is None else Traced(app, state, found)


class Traced:
    """ASGI middleware. A request with a `traceparent` continues the trace of whoever sends it.

    A span tells method, route and status: no path and no query, which hold ids.
    """

    def __init__(self, app: ASGIApp, state: Any, found: Traces) -> None:
        self._app = app
        self._state = state
        self._traces = found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Has the application answer."""
        if scope["type"] != "http" or scope["path"].startswith(_UNTRACED):
            await self._app(scope, receive, send)
            if scope["type"] == "lifespan":  # it has ended, and a signal may end the process without more words
                stop_traces()
            return
        status = 0

        async def watch(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        method = scope["method"]
        headers = {_NAMES[name]: value.decode("latin-1") for name, value in scope["headers"] if name in _NAMES}
        about = {"http.request.method": method}
        with self._traces.span(method, "server", about, self._traces.parent(headers)) as span:
            try:
                await self._app(scope, receive, watch)
            finally:
                if route := self._route(scope):
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)
                if status:
                    span.set_attribute("http.response.status_code", status)
                if status >= _SERVER_ERROR:
                    failed(span, str(status))

    def _route(self, scope: Scope) -> str:
        """The path of the request's route, also where the hot path answered, which knows none; empty if unknown."""
        found = getattr(scope.get("route"), "path_format", "")
        if found or not scope["path"].startswith(PREFIX):
            return str(found)
        path = ROUTES + scope["path"].removeprefix(PREFIX).partition("/")[2]
        return path if self._state.request_metrics.knows(scope["method"], path) else ""
