"""Takes the answers that FastAPI gives into the log of what was served; the hot path takes its own."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta, Struct
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as AsgiScope

from lemo.api.dependencies import ANSWERED_SCOPE, Services
from lemo.api.request_metrics import RequestMetrics
from lemo.domain.scope import Scope
from lemo.serving.served_log import Served
from lemo.streams.served_messages import Kind

KINDS: Mapping[tuple[str, str], Kind] = {
    ("GET", "recommendations"): "recommendations",
    ("GET", "similar"): "similar",
    ("GET", "popular"): "popular",
    ("GET", "latest"): "latest",
    ("POST", "recommendations"): "recommendations",
    ("POST", "similar"): "similar",
    ("POST", "recommendations/batch"): "batch",
}
"""What an answer is, by the method and the end of the path below a scenario."""
LONGEST_BODY = 1_000_000
"""Bytes of a request that are read to tell who asked."""


class _SessionItem(Struct):
    item_id: str


class _Asked(Struct):
    """What is kept of the body of a request; the route has checked it."""

    user_id: str | None = None
    session_id: str | None = None
    session: Annotated[list[str | _SessionItem], Meta(max_length=1_000)] = []
    item_ids: list[str] = []
    placement: str | None = None


_read = msgspec.json.Decoder(_Asked).decode


async def answer_and_log(
    app: ASGIApp,
    kind: Kind,
    services: Services,
    metrics: RequestMetrics,
    scope: AsgiScope,
    receive: Receive,
    send: Send,
) -> None:
    """Has the application answer, and counts and logs the answer if it is one."""
    started = time.perf_counter_ns()
    asked, answer = bytearray(), bytearray()
    status = 0

    async def listen() -> Message:
        message = await receive()
        if len(asked) <= LONGEST_BODY and kind != "batch":
            asked.extend(message.get("body", b""))
        return message

    async def watch(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        answer.extend(message.get("body", b""))
        await send(message)

    await app(scope, listen, watch)
    place = scope.get(ANSWERED_SCOPE)
    if status != HTTPStatus.OK or not isinstance(place, Scope):
        return
    metrics.computed(kind, answer)
    served = Served(place, kind, started, bytes(answer))
    if scope["method"] == "GET":
        _add_query(served, scope["query_string"])
    elif kind != "batch" and not _add_body(served, asked):
        services.served_log.drop("unreadable")
        return
    services.log_served(served)


def _add_query(served: Served, query: bytes) -> None:
    given = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    served.user_id = given.get("user_id", "")
    served.session_id = given.get("session_id", "")
    served.of_items = [given["item_id"]] if "item_id" in given else []
    served.placement = given.get("placement")


def _add_body(served: Served, body: bytearray) -> bool:
    """Whether the body could be read: it may be too long, or JSON that the route bears and RFC 8259 does not."""
    if len(body) > LONGEST_BODY:
        return False
    try:
        asked = _read(body)
    except msgspec.DecodeError:
        return False
    served.user_id = asked.user_id or ""
    served.session_id = asked.session_id or ""
    served.session = [each if isinstance(each, str) else each.item_id for each in asked.session]
    served.of_items = asked.item_ids
    served.placement = asked.placement
    return True
