"""The hot path beside the application: the same answers, everything else handed on, and a Redis that goes away."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from redis import Redis
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from lemo.api.app import create_app
from lemo.api.hot_path import HotPath
from lemo.domain.api_key import KeyWishes
from lemo.domain.errors import EngineUnavailable
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.experiments import service
from lemo.recommenders.similar_items import similar_items
from lemo.serving.service import RecommendationService
from lemo.stores.connect import Stores
from lemo.stores.redis.pipelined import PipelinedRedis
from lemo.streams.redis.client import stream_key
from servers import OwnEngine
from sites import ITEMS, add_scenario, model_of, publish_model, settings_of, touch

USERS = [f"user {number}" for number in range(20)]


class Counted:
    """An application that counts the requests that reach it."""

    def __init__(self, app: Any) -> None:
        self.app, self.state, self.count = app, app.state, 0

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        self.count += 1
        await self.app(scope, receive, send)


class Both:
    """The application with the hot path in front, and without."""

    def __init__(self, hot: httpx.AsyncClient, plain: httpx.AsyncClient, behind: Counted) -> None:
        self.hot, self.plain, self.behind = hot, plain, behind

    async def same(self, method: str, path: str, **rest: Any) -> bool:
        """Whether the hot path answered by itself; fails where the two answers differ."""
        before = self.behind.count
        answers = [await client.request(method, path, **rest) for client in (self.hot, self.plain)]
        said = [(answer.status_code, without_id(answer)) for answer in answers]
        assert said[0] == said[1], (path, rest)
        types = {answer.headers["content-type"] for answer in answers}
        assert len(types) == 1
        return self.behind.count == before


def without_id(answer: httpx.Response) -> Any:
    body = answer.json()
    return {name: value for name, value in body.items() if name != "request_id"}


@pytest.fixture
def stores(tmp_path: Path, redis_url: str) -> Stores:
    return Stores(settings_of(tmp_path, redis_url))


@pytest.fixture
def scope_and_key(stores: Stores) -> tuple[Scope, str]:
    scope, key = add_scenario(stores)
    publish_model(stores, scope, "1", model_of())
    rows = np.array([[1, 2, 3]] + [[-1] * 3] * (len(ITEMS) - 1), dtype=np.int32)
    scores = np.where(rows >= 0, [0.9, 0.6, 0.3], 0).astype(np.float32)
    stores.snapshots.publish(scope, "similar", "1", *similar_items(ITEMS, (rows, scores), None, 3).to_arrays())
    stores.snapshots.point(scope, "similar", "1", 1)
    for number, user in enumerate(USERS[:-1]):
        touch(stores, scope, user, ITEMS[number])
    now = [1_700_000_000_000] * len(ITEMS)
    items = [Item(item_id=each, attributes={"price": place}) for place, each in enumerate(ITEMS)]
    stores.items.upsert(scope, items, now)
    stores.availability.add(scope, [*items, Item(item_id=ITEMS[7], is_active=False)], [*now, now[0]])
    with RecommendationService(stores, watch=False) as batch:
        for ready in batch.precompute(scope, USERS[:-1]):
            stores.precomputed.write_many(scope, ready.answers, ready.marks)
    return scope, key


@asynccontextmanager
async def running(stores: Stores, key: str) -> AsyncIterator[Both]:
    app = create_app(stores)
    behind = Counted(app)
    hot_path = HotPath(behind)
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(hot_path), base_url="http://hot") as hot,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hot") as plain,
    ):
        hot.headers.update(headers)
        plain.headers.update(headers)
        try:
            yield Both(hot, plain, behind)
        finally:
            hot_path.close()


def run(stores: Stores, key: str, test: Callable[[Both], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with running(stores, key) as both:
            await test(both)

    asyncio.run(whole())


def test_ready_answers_are_those_of_the_application(stores: Stores, scope_and_key: tuple[Scope, str]) -> None:
    scope, key = scope_and_key
    path = f"/v1/scenarios/{scope.scenario_id}"

    async def test(both: Both) -> None:
        asked = {"user_id": USERS[0]}
        assert not await both.same("GET", f"{path}/recommendations", params=asked), "the key is looked up first"
        for user in USERS[:-1]:
            for more in ({}, {"n": 3}, {"n": "07"}, {"exclude": [ITEMS[2], ITEMS[3]]}):
                assert await both.same("GET", f"{path}/recommendations", params={"user_id": user, **more})
        assert await both.same("GET", f"{path}/similar", params={"item_id": ITEMS[0]})
        assert await both.same("GET", f"{path}/similar", params={"item_id": ITEMS[0], "n": 2})
        for what in ("popular", "latest"):
            assert await both.same("GET", f"{path}/{what}")
            assert await both.same("GET", f"{path}/{what}", params={"n": 200, "placement": "首页"})
            assert not await both.same("GET", f"{path}/{what}", params={"placement": "x" * 101})
        body: dict[str, Any] = {"user_id": USERS[0], "n": 4, "exclude": [ITEMS[1]]}
        assert await both.same("POST", f"{path}/recommendations", json={**body, "placement": "home"})
        body["filter"] = "item.price < 30"
        await both.same("POST", f"{path}/recommendations", json=body)  # evaluates the filter
        assert await both.same("POST", f"{path}/recommendations", json=body)

    run(stores, key, test)


def test_arms_are_answered_alike_from_what_is_ready(stores: Stores, scope_and_key: tuple[Scope, str]) -> None:
    scope, key = scope_and_key
    path = f"/v1/scenarios/{scope.scenario_id}/recommendations"
    cheap = {"name": "cheap", "pipeline": {"filter": "item.price < 20"}}
    draft = service.draft({"name": "e", "salt": "s", "arms": [{"name": "control"}, cheap]})
    service.create(stores, scope, draft, "ann", lambda _: None)
    made = stores.experiments.get(scope, "e")
    running = made.model_copy(update={"state": "running", "started_at": made.created_at})
    stores.experiments.put(scope, running, "start", "ann", 1)  # without a plan, which needs ClickHouse

    async def test(both: Both) -> None:
        arms = {user: running.assign(user).arm for user in USERS[:-1]}
        assert set(arms.values()) == {"control", "cheap"}
        for warm in (True, False):
            ready = 0
            for user, arm in arms.items():
                ready += await both.same("GET", path, params={"user_id": user, "n": 3})
                ready += await both.same("POST", path, json={"user_id": user, "n": 3, "session_id": "s"})
                answer = (await both.hot.get(path, params={"user_id": user, "n": 3})).json()
                assert (answer["experiment"], answer["arm"]) == ("e", arm)
                assert answer["pipeline_version"] == (1 if arm == "cheap" else 0)
                prices = [ITEMS.index(item["item_id"]) for item in answer["items"]]
                assert arm == "control" or max(prices) < 20
            assert warm or ready > len(arms), "most answers of both arms are ready"

    run(stores, key, test)


def test_what_is_wrong_or_must_be_computed_is_handed_on(stores: Stores, scope_and_key: tuple[Scope, str]) -> None:
    scope, key = scope_and_key
    path = f"/v1/scenarios/{scope.scenario_id}"

    async def test(both: Both) -> None:
        await both.same("GET", f"{path}/recommendations?user_id={USERS[0]}")
        queries = ["", "?user_id=", "?user_id=a&user_id=b", "?user_id=a&colour=red", f"?user_id={'x' * 257}"]
        queries += [f"?user_id={USERS[-1]}", *(f"?user_id=a&n={n}" for n in ("0", "201", "0199999", "٣", "x"))]
        for query in queries:
            assert not await both.same("GET", f"{path}/recommendations{query}"), query
        for rest in ("similar?item_id=unknown", "similar", "popular?n=0", "popular?exclude=a", "nothing", "latest?x=1"):
            assert not await both.same("GET", f"{path}/{rest}"), rest
        assert not await both.same("GET", "/v1/scenarios/other/popular")
        assert not await both.same("GET", f"{path}/popular", headers={"Authorization": "Bearer lemo_wrong"})
        assert not await both.same("GET", f"{path}/popular", headers={"Authorization": f"Basic {key}"})
        wishes: list[Any] = [
            {"user_id": USERS[0], "boost": [{"filter": "item.price > 1", "weight": 1}]},
            {"user_id": USERS[0], "fields": ["price"]},
            {"user_id": USERS[0], "filter": "item.prise > 1"},
            {"session": [ITEMS[0]]},
            {"user_id": 7},
            [],
        ]
        for each in wishes:
            assert not await both.same("POST", f"{path}/recommendations", json=each), each
        assert not await both.same("POST", f"{path}/recommendations", content="{")

    run(stores, key, test)


def test_each_request_is_counted_once_and_what_became_of_it(stores: Stores, scope_and_key: tuple[Scope, str]) -> None:
    scope, key = scope_and_key
    path = f"/v1/scenarios/{scope.scenario_id}"

    async def test(both: Both) -> None:
        hot = both.hot
        for user in (USERS[0], USERS[0], USERS[1], "new"):  # the key is looked up at the first; the last has no answer
            await hot.get(f"{path}/recommendations", params={"user_id": user})
        for query in ("n=0", "n=1&colour=red"):
            await hot.get(f"{path}/latest?{query}")
        await hot.get(f"{path}/latest")
        for _ in range(2):
            await hot.post(f"{path}/recommendations", json={"user_id": USERS[0], "filter": "item.price < 0"})
        await hot.post(f"{path}/recommendations/batch", json={"users": ["a", "b"], "n": 1})
        await hot.get("/v1/nothing")
        await hot.get(f"{path}/similar?item_id={ITEMS[0]}", headers={"Authorization": "Bearer lemo_wrong"})
        await hot.get(f"{path}/similar?item_id={ITEMS[9]}")  # nothing is similar to it: popular ones
        registry = both.behind.state.metrics

        def requests(method: str, route: str, status: int) -> float | None:
            labels = {"method": method, "route": route, "status": str(status)}
            value: float | None = registry.get_sample_value("lemo_http_requests_total", labels)
            seconds = registry.get_sample_value("lemo_http_request_seconds_count", {"method": method, "route": route})
            assert seconds is not None
            assert seconds >= (value or 0)
            return value

        def answers(kind: str, made: str) -> list[float]:
            states = ("whole", "degraded", "empty")
            labels = [{"kind": kind, "made": made, "state": state} for state in states]
            return [registry.get_sample_value("lemo_answers_total", each) for each in labels]

        below = "/v1/scenarios/{scenario}"
        assert requests("GET", f"{below}/recommendations", 200) == 4
        assert requests("GET", f"{below}/latest", 200) == 1
        assert requests("GET", f"{below}/latest", 422) == 2
        assert requests("POST", f"{below}/recommendations", 200) == 2
        assert requests("POST", f"{below}/recommendations/batch", 200) == 1
        assert requests("other", "other", 404) == 1
        assert requests("GET", f"{below}/similar", 401) == 1
        assert answers("recommendations", "ready") == [2, 0, 0]
        assert answers("recommendations", "computed") == [2, 0, 2]
        assert answers("latest", "ready") == [1, 0, 0]
        assert answers("similar", "computed") == [0, 1, 0]
        assert answers("batch", "computed") == [2, 0, 0]
        stage = registry.get_sample_value("lemo_serving_stage_seconds_count", {"stage": "user"})
        assert stage == 6, "two for a user, two for a filter, two of a batch"

    run(stores, key, test)


def test_a_click_and_a_switched_off_item_count_at_once(stores: Stores, scope_and_key: tuple[Scope, str]) -> None:
    scope, key = scope_and_key
    path = f"/v1/scenarios/{scope.scenario_id}/recommendations"

    async def test(both: Both) -> None:
        asked: dict[str, str | int] = {"user_id": USERS[0], "n": 5}
        await both.same("GET", path, params=asked)
        assert await both.same("GET", path, params=asked)
        await asyncio.to_thread(touch, stores, scope, USERS[0], ITEMS[20])
        assert not await both.same("GET", path, params=asked), "what was computed before the click is not answered"
        assert ITEMS[21] in [each["item_id"] for each in (await both.hot.get(path, params=asked)).json()["items"]]
        off = Item(item_id=ITEMS[2], is_active=False)
        await asyncio.to_thread(stores.availability.add, scope, [off], [1_700_000_000_001])
        other: dict[str, str | int] = {"user_id": USERS[1], "n": 5}
        async with asyncio.timeout(5):
            while ITEMS[2] in (await both.hot.get(path, params=other)).text:
                await asyncio.sleep(0.02)
        assert await both.same("GET", path, params=other)

    run(stores, key, test)


def test_events_are_taken_as_the_application_takes_them(stores: Stores, scope_and_key: tuple[Scope, str]) -> None:
    scope, key = scope_and_key
    path = f"/v1/scenarios/{scope.scenario_id}"
    events = f"{path}/events"
    good = {"user_id": "u", "item_id": ITEMS[0], "action": "like", "timestamp": 1_700_000_000_000, "colour": "red"}

    async def test(both: Both) -> None:
        await both.same("POST", events, json={"events": [good]})  # the key is looked up first
        assert await both.same("POST", events, json={"events": [good]})
        mixed = [good, good, good | {"action": "juggle"}, good | {"timestamp": "gestern"}, 7, {}]
        assert await both.same("POST", events, json={"events": mixed})
        assert await both.same("POST", events, json={"events": []})
        wrong: list[Any] = [{"events": [good], "more": 1}, {"events": good}, [], {"events": [good] * 101}]
        for body in wrong:
            assert not await both.same("POST", events, json=body), body
        for text in ("{", json.dumps({"events": [good]}).replace("red", "\\ud800")):
            assert not await both.same("POST", events, content=text), text
        assert not await both.same("POST", f"{events}?colour=red", json={"events": [good]})
        for role, taken in (("ingest", True), ("track", True), ("read", False)):
            other = stores.api_keys.create(scope.tenant_id, KeyWishes.model_validate({"role": role})).key
            await both.hot.get(f"{path}/popular", headers={"Authorization": f"Bearer {other}"})
            await both.hot.post(events, json={"events": []}, headers={"Authorization": f"Bearer {other}"})
            headers = {"Authorization": f"Bearer {other}"}
            assert await both.same("POST", events, json={"events": [good]}, headers=headers) == taken, role

    run(stores, key, test)


def test_events_of_many_requests_are_published_together_and_each_once(
    stores: Stores, scope_and_key: tuple[Scope, str]
) -> None:
    scope, key = scope_and_key
    path = f"/v1/scenarios/{scope.scenario_id}/events"
    stream = stream_key(stores.settings.kafka_event_topic, stores.settings.installation)

    def event(number: int) -> dict[str, Any]:
        return {"user_id": f"u{number}", "item_id": "i", "action": "like", "timestamp": 1_700_000_000_000}

    async def test(both: Both) -> None:
        await both.hot.post(path, json={"events": [event(0)]})
        before = both.behind.count
        answers = await asyncio.gather(*(both.hot.post(path, json={"events": [event(n)]}) for n in range(1, 200)))
        assert {answer.status_code for answer in answers} == {200}
        assert both.behind.count == before
        leaving = asyncio.create_task(both.hot.post(path, json={"events": [event(200)]}))
        await asyncio.sleep(0)
        leaving.cancel()
        assert (await both.hot.post(path, json={"events": [event(201)]})).status_code == 200

    run(stores, key, test)
    with Redis.from_url(stores.settings.redis(0)) as redis:
        users = [json.loads(fields[b"v"])["user_id"] for _, fields in redis.xrange(stream)]
    users = [user for user in users if user != "u200"]
    assert sorted(users) == sorted(f"u{number}" for number in [*range(200), 201])


def test_a_redis_that_goes_and_comes_back_is_used_again(
    own_redis: OwnEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lemo.serving.breaker.Breaker.__init__.__defaults__", (0.1,))
    stores = Stores(settings_of(tmp_path, own_redis.url))
    scope, key = add_scenario(stores)
    publish_model(stores, scope, "1", model_of())
    touch(stores, scope, "u", ITEMS[0])
    with RecommendationService(stores, watch=False) as batch:
        for ready in batch.precompute(scope, ["u"]):
            stores.precomputed.write_many(scope, ready.answers, ready.marks)
    path, events = (f"/v1/scenarios/{scope.scenario_id}/{what}" for what in ("recommendations", "events"))

    async def test(both: Both) -> None:
        async def degraded() -> bool:
            answer = await both.hot.get(path, params={"user_id": "u"})
            assert answer.status_code == 200
            return bool(answer.json()["degraded"])

        assert not await degraded()
        assert await both.same("GET", path, params={"user_id": "u"})
        await asyncio.to_thread(own_redis.kill)
        assert await degraded()
        assert await degraded()
        event = {"user_id": "u", "item_id": "i", "action": "like", "timestamp": 1_700_000_000_000}
        refused = await both.hot.post(events, json={"events": [event]})
        assert refused.status_code == 503
        await asyncio.to_thread(own_redis.start)
        async with asyncio.timeout(10):
            while await degraded():
                await asyncio.sleep(0.02)
        for _ in range(20):
            assert await both.same("GET", path, params={"user_id": "u"})

    run(stores, key, test)


def test_many_commands_share_a_connection_that_is_made_anew(own_redis: OwnEngine) -> None:
    url = f"{own_redis.url}/3"

    async def test() -> None:
        redis = PipelinedRedis(url)
        await redis.read("SET", "a", "1")
        await redis.read("SET", "hash", "x")
        replies = await asyncio.gather(*(redis.read("GET", name) for name in ["a", "b"] * 100))
        assert replies == [b"1", None] * 100
        assert await redis.read("MGET", "a", b"b") == [b"1", None]
        with pytest.raises(EngineUnavailable, match="WRONGTYPE"):
            await redis.read("HMGET", "hash", "x")
        assert own_redis.pid is not None
        os.kill(own_redis.pid, signal.SIGSTOP)
        with pytest.raises(EngineUnavailable, match="in time"):
            await redis.read("GET", "a")
        os.kill(own_redis.pid, signal.SIGCONT)
        assert await redis.read("GET", "a") == b"1", "late replies are not taken for those of later commands"
        await asyncio.to_thread(own_redis.kill)
        with pytest.raises(EngineUnavailable):
            await redis.read("GET", "a")
        await asyncio.to_thread(own_redis.start)
        async with asyncio.timeout(10):
            while True:
                try:
                    await redis.read("SET", "a", "2")
                    break
                except EngineUnavailable:
                    await asyncio.sleep(0.05)
        assert await redis.read("GET", "a") == b"2"
        redis.close()

    asyncio.run(test())
