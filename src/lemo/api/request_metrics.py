"""How many requests each route answered, how, and how long that took; and what became of answers with items."""

import time
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Literal, get_args

import msgspec
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as AsgiScope

from lemo.serving.pipeline.explain import STAGES, Stage
from lemo.streams.served_messages import Kind
from lemo.telemetry.counts import Counts

State = Literal["whole", "degraded", "empty"]
"""What an answer is. One without an item is empty, also where it is degraded."""
Made = Literal["ready", "computed"]
"""Whether the hot path gave an answer or the pipeline."""
KINDS: tuple[Kind, ...] = get_args(Kind)
STATES: tuple[State, ...] = get_args(State)
STARTED = "lemo.started"
"""In the ASGI scope of a request: when it came, by the clock of `time.perf_counter_ns`."""
SECONDS_LIMITS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_STAGE_LIMITS = (0.00001, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_OTHER = ("other", "other")
_LEFT = "left"
"""In place of a status: the client went before there was one."""
_STATUSES = (*(str(each.value) for each in HTTPStatus), _LEFT)
_SHOWN = ("200", "500", "503")
_HEAD = 200
"""Bytes of a ready answer within which it says whether it is degraded."""

Route = tuple[str, str]
"""Method and path, with parameters in braces."""


class _Answered(msgspec.Struct):
    degraded: bool
    items: list[msgspec.Raw]


class _Batch(msgspec.Struct):
    answers: list[_Answered]


_read_answer = msgspec.json.Decoder(_Answered).decode
_read_batch = msgspec.json.Decoder(_Batch).decode


class RequestMetrics:
    """The metrics of the requests of a process. Safe for threads."""

    def __init__(self, routes: Iterable[Route]) -> None:
        known: list[Route] = [*dict.fromkeys(routes), _OTHER]
        self.counts = Counts()
        self._requests = self.counts.counter(
            "lemo_http_requests",
            "Requests by route and status; `left`: the client went before there was one.",
            ("method", "route", "status"),
            [(*route, status) for route in known for status in _STATUSES],
            [(*route, status) for route in known for status in _SHOWN],
        )
        self._seconds = self.counts.histogram(
            "lemo_http_request_seconds",
            "From the head of a request to the end of its answer.",
            ("method", "route"),
            known,
            SECONDS_LIMITS,
        )
        rows = [(kind, made, state) for kind in KINDS for made in get_args(Made) for state in STATES]
        self._answers = self.counts.counter(
            "lemo_answers",
            "Answers with items: whole, degraded or empty; ready ones, and computed ones.",
            ("kind", "made", "state"),
            rows,
            [(kind, made, state) for kind, made, state in rows if made == "computed" or kind != "batch"],
        )
        self._stages = self.counts.histogram(
            "lemo_serving_stage_seconds",
            "How long the stages of a computed answer took.",
            ("stage",),
            [(stage,) for stage in STAGES],
            _STAGE_LIMITS,
        )
        self._route_rows = {
            route: (row, self._requests.rows[*route, "200"]) for route, row in self._seconds.rows.items()
        }
        self._status_rows = {status: number for number, status in enumerate(_STATUSES)}
        self._offset = self._status_rows["200"]

    def knows(self, method: str, route: str) -> bool:
        """Whether there is such a route."""
        return (method, route) in self._route_rows

    def ready(self, method: str, route: str, kind: Kind, started: int, body: bytes) -> None:
        """Counts an answer of the hot path, which has the status 200."""
        row, ok = self._route_rows[method, route]
        self._requests.add(ok)
        self._seconds.observe(row, time.perf_counter_ns() - started)
        state: State = "whole"
        if body.endswith(b'"items":[]}'):
            state = "empty"
        elif body.find(b'"degraded":true', 0, _HEAD) >= 0:
            state = "degraded"
        self._answers.add(self._answers.rows[kind, "ready", state])

    def computed(self, kind: Kind, body: bytes | bytearray) -> None:
        """Counts an answer of the application; each answer of a batch."""
        for each in _read_batch(body).answers if kind == "batch" else [_read_answer(body)]:
            state: State = "empty" if not each.items else "degraded" if each.degraded else "whole"
            self._answers.add(self._answers.rows[kind, "computed", state])

    def stage(self, stage: Stage, nanoseconds: int) -> None:
        """Counts a stage of a computed answer."""
        self._stages.observe(self._stages.rows[stage,], nanoseconds)

    def request(self, route: Route, status: int, started: int) -> None:
        """Counts a request that the application answered; the status 0 says that it did not."""
        row, ok = self._route_rows.get(route) or self._route_rows[_OTHER]
        status_row = self._status_rows[str(status) if status else _LEFT]
        self._requests.add(ok - self._offset + status_row)
        self._seconds.observe(row, time.perf_counter_ns() - started)


class Counted:
    """ASGI middleware that counts the requests of an application."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Has the application answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started: int = scope.get(STARTED) or time.perf_counter_ns()
        status = 0

        async def watch(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            path = getattr(scope.get("route"), "path_format", "")
            self._metrics.request((scope["method"], path), status, started)


def routes_of(routes: Sequence[object]) -> Iterable[Route]:
    """Method and path of each route."""
    for route in routes:
        for method in sorted(getattr(route, "methods", None) or ()):
            yield method, getattr(route, "path_format", "")
