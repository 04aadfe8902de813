"""The hot path: ready answers to well-formed requests, before FastAPI sees them (ADR 0019).

It answers what is in memory or in one reply of Redis, publishes a few events, and hands everything else on: the first
request of a key, whatever is wrong, what must be computed. So the routes of FastAPI remain the contract, and say every
error.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from pydantic import ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lemo.api.dependencies import Services, list_of
from lemo.api.group_commit import GroupCommit
from lemo.api.limits import COUNTED
from lemo.api.origins import origin_of
from lemo.api.request_metrics import STARTED, Counted, RequestMetrics
from lemo.api.served import KINDS, answer_and_log
from lemo.domain.api_key import Role
from lemo.domain.errors import EngineUnavailable, LemoError
from lemo.domain.ids import canonical_id
from lemo.domain.item import LONGEST_ID
from lemo.domain.request import RecommendationRequest
from lemo.domain.scenario import Scenario
from lemo.domain.scope import Scope as Place
from lemo.serving.served_log import Served
from lemo.stores.redis.pipelined import PipelinedRedis
from lemo.stores.redis.precomputed import FIELDS
from lemo.streams.served_messages import Kind

PREFIX = "/v1/scenarios/"
ROUTES = f"{PREFIX}{{scenario}}/"
MOST = 200
"""Items of one answer."""
LONGEST_BODY = 16_384
BODY_SECONDS = 0.1
MOST_EVENTS = 100
"""Events of a request that are checked in the event loop."""
_PLAIN = frozenset({"user_id", "n", "filter", "variables", "exclude", "placement", "session_id"})
"""What a request by POST may say for a stored answer to do."""


class HotPath:
    """ASGI middleware. `app` is the application, which makes the services when it starts."""

    def __init__(self, app: Any) -> None:
        self._metrics: RequestMetrics = app.state.request_metrics
        self._app: ASGIApp = Counted(app, self._metrics)
        self._state = app.state
        self._redis: PipelinedRedis | None = None
        self._group: GroupCommit | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or hands the request on."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            if scope["type"] == "lifespan":  # it has ended
                self.close()
            return
        started = time.perf_counter_ns()
        what = scope["path"].removeprefix(PREFIX).partition("/")[2]
        kind = KINDS.get((scope["method"], what))
        services: Services | None = getattr(self._state, "services", None)
        if services is not None and (scope["method"], what) == ("POST", "events"):
            await self._events(services, scope, receive, send, started)
            return
        if kind is None or services is None:
            await self._app(scope, receive, send)
            return
        found: Served | None = None
        if scope["method"] == "GET":
            found = await self._got(services, kind, scope, started)
        elif kind == "recommendations":
            body, receive = await _short_body(receive)
            found = None if body is None else await self._posted(services, scope, body, started)
        if found is None:
            scope[STARTED] = started
            await answer_and_log(self._app, kind, services, self._metrics, scope, receive, send)
            return
        await _answer(send, found.body)
        services.log_served(found)
        self._metrics.ready(scope["method"], f"{ROUTES}{what}", kind, started, found.body)

    def close(self) -> None:
        """Waits for events that are being published, and closes the connection to Redis."""
        if self._group is not None:
            self._group.close()
        if self._redis is not None:
            self._redis.close()

    async def _events(self, services: Services, scope: Scope, receive: Receive, send: Send, started: int) -> None:
        """Publishes a few events together with those of other requests; hands on what is long, wrong or refused."""
        body, receive = await _short_body(receive)
        known = None if body is None or scope["query_string"] else self._known(services, scope, "track")
        if body is not None and known is not None:
            place, scenario = known
            # Whatever is wrong, the application says: what comes twice counts once.
            with suppress(LemoError):
                events = list_of(body, "events")
                if len(events) <= MOST_EVENTS and services.limits.admits("events", place.tenant_id, len(events)):
                    messages, accepted = services.ingest.checked_events(place, scenario, events)
                    if messages:
                        if self._group is None:
                            self._group = GroupCommit(services.ingest.publish_events)
                        with services.ingest.carrying(messages) as carrying:
                            await self._group.publish(carrying)
                    await _answer(send, accepted.model_dump_json(exclude_defaults=True).encode())
                    self._metrics.request(("POST", f"{ROUTES}events"), HTTPStatus.OK, started)
                    return
        scope[STARTED] = started
        await self._app(scope, receive, send)

    async def _got(self, services: Services, kind: Kind, scope: Scope, started: int) -> Served | None:
        given = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        single = {name: value for name, value in given if name != "exclude"}
        exclude = [value for name, value in given if name == "exclude"]
        if len(single) + len(exclude) < len(given):  # one stands there twice
            return None
        n = single.pop("n", "10")
        if not (n.isascii() and n.isdecimal() and len(n) <= 3 and 1 <= int(n) <= MOST) or len(exclude) > 1_000:
            return None
        placement = single.pop("placement", None)
        if placement is not None and not 1 <= len(placement) <= 100:
            return None
        session_id = single.pop("session_id", None)
        if session_id is not None and not (kind != "latest" and 1 <= len(session_id) <= LONGEST_ID):
            return None
        asker = single.pop("user_id", None) if kind in ("similar", "popular") else None
        if asker is not None and not 1 <= len(asker) <= LONGEST_ID:
            return None
        known = self._known(services, scope)
        if known is None:
            return None
        place, scenario = known
        ready, types = services.served.ready, scenario.attribute_types
        user_id, of_items = canonical_id(asker) if asker is not None else "", []
        body: bytes | None = None
        if kind == "recommendations" and single.keys() == {"user_id"}:
            user_id = canonical_id(single["user_id"])
            reply = await self._stored(services, place, user_id)
            if reply is not None:
                body = ready.recommendations(place, reply, int(n), exclude, types, user_id, session_id)
        elif exclude:
            return None
        elif kind == "similar" and single.keys() == {"item_id"}:
            of_items = [canonical_id(single["item_id"])]
            body = ready.similar(place, of_items[0], int(n), types, user_id or None, session_id)
        elif kind == "popular" and not single:
            body = ready.popular(place, int(n), types, user_id or None, session_id)
        elif kind == "latest" and not single:
            body = ready.latest(place, int(n), types)
        if body is None:
            return None
        return Served(place, kind, started, body, user_id, session_id or "", of_items=of_items, placement=placement)

    async def _posted(self, services: Services, scope: Scope, body: bytes, started: int) -> Served | None:
        known = self._known(services, scope)
        if known is None:
            return None
        place, scenario = known
        try:
            request = RecommendationRequest.model_validate_json(body)
        except ValidationError:
            return None
        if not request.model_fields_set <= _PLAIN or request.user_id is None:
            return None
        reply = await self._stored(services, place, request.user_id)
        if reply is None:
            return None
        ready = services.served.ready.chosen(place, reply, request, scenario.attribute_types)
        if ready is None:
            return None
        return Served(
            place,
            "recommendations",
            started,
            ready,
            request.user_id,
            request.session_id or "",
            placement=request.placement,
        )

    def _known(self, services: Services, scope: Scope, role: Role = "read") -> tuple[Place, Scenario] | None:
        """The scenario that the key may ask, where both were looked up a moment ago."""
        if scope["query_string"] and b"\x00" in scope["query_string"]:
            return None
        scenario_id = scope["path"].removeprefix(PREFIX).partition("/")[0]
        for name, value in scope["headers"]:
            if name == b"authorization":
                kind, _, key = value.decode("latin-1").partition(" ")
                found = (
                    services.access.known(key, role, scenario_id, origin_of(scope["headers"]))
                    if kind == "Bearer"
                    else None
                )
                if found is None or not services.limits.admits("requests", found[0].tenant_id):
                    return None  # the application says why
                scope[COUNTED] = True
                return found
        return None

    async def _stored(self, services: Services, place: Place, user_id: str) -> Sequence[bytes | None] | None:
        """The precomputed recommendations of a user as Redis has them; None where it does not answer."""
        breaker = services.served.breaker
        if not 1 <= len(user_id) <= 256 or not breaker.allows():
            return None
        if self._redis is None:
            self._redis = PipelinedRedis(services.stores.settings.redis(0))
        try:
            reply: Sequence[bytes | None] = await self._redis.read(
                "HMGET", services.stores.precomputed.key(place, user_id), *FIELDS
            )
        except EngineUnavailable:
            breaker.failed()
            return None
        breaker.worked()
        return reply


async def _answer(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _short_body(receive: Receive) -> tuple[bytes | None, Receive]:
    """A short body that came at once, else None; and a channel that gives all of it again."""
    messages = await _at_once(receive)
    whole = messages and messages[-1]["type"] == "http.request" and not messages[-1].get("more_body", False)
    body = b"".join(each.get("body", b"") for each in messages) if whole else None
    return None if body is not None and len(body) > LONGEST_BODY else body, _replayed(messages, receive)


async def _at_once(receive: Receive) -> list[Message]:
    """The parts of a short body that come at once. The application waits for the others, with a deadline."""
    messages: list[Message] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while size <= LONGEST_BODY:
                message = await receive()
                messages.append(message)
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        pass
    return messages


def _replayed(messages: Sequence[Message], receive: Receive) -> Receive:
    """A channel that gives these messages first."""
    first = deque(messages)

    async def replay() -> Message:
        return first.popleft() if first else await receive()

    return replay
