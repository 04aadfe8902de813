"""What was served: every answer reaches ClickHouse through HTTP, log and consumer, once, with its items in order."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import clickhouse_connect
import httpx
import numpy as np
import pytest

import servers
from consumers import connected, consume, consumer_settings, environment_of, letters, publish
from lemo.domain.errors import EngineUnavailable, InvalidInput
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.recommenders.similar_items import similar_items
from lemo.serving import served_log
from lemo.serving.served_log import MOST_ANSWERS, Served, ServedLog
from lemo.serving.service import RecommendationService
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.streams import Message
from lemo.streams.redis.client import stream_key
from servers import OwnEngine
from sites import ITEMS, add_scenario, model_of, publish_model, running_api, settings_of, touch, wait_for

USERS = ["user 0", "用户 1"]


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    return consumer_settings(request, "redis", tmp_path)


@pytest.fixture
def stores(settings: Settings, scope: Scope) -> Iterator[Stores]:
    with connected(settings, scope) as opened:
        yield opened


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def prepare(stores: Stores, scope: Scope) -> str:
    """A model, similar items and precomputed recommendations; returns a key."""
    publish_model(stores, scope, "7", model_of())
    rows = np.array([[1, 2, 3]] + [[-1] * 3] * (len(ITEMS) - 1), dtype=np.int32)
    scores = np.where(rows >= 0, [0.9, 0.6, 0.3], 0).astype(np.float32)
    stores.snapshots.publish(scope, "similar", "8", *similar_items(ITEMS, (rows, scores), None, 3).to_arrays())
    stores.snapshots.point(scope, "similar", "8", 1)
    for number, user in enumerate(USERS):
        touch(stores, scope, user, ITEMS[number])
    items = [Item(item_id=each, title=f"title of {each}") for each in ITEMS]
    now = [1_700_000_000_000] * len(ITEMS)
    stores.items.upsert(scope, items, now)
    stores.availability.add(scope, items, now)
    new = [Item(item_id=f"new/{number}") for number in range(3)]
    stores.availability.add(scope, new, [now_ms()] * len(new))
    with RecommendationService(stores, watch=False) as batch:
        for ready in batch.precompute(scope, USERS):
            stores.precomputed.write_many(scope, ready.answers, ready.marks)
    return stores.api_keys.create(scope.tenant_id).key


@contextmanager
def client_of(address: str, key: str) -> Iterator[httpx.Client]:
    # A process that has just started compiles while it answers: on a busy machine the first answer takes long.
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=address, headers=headers, trust_env=False, timeout=60) as client:
        yield client


def rows_of(settings: Settings, scope: Scope) -> dict[str, dict[str, Any]]:
    """The answers in ClickHouse by request id; fails where one is there twice."""
    assert settings.clickhouse_url is not None
    client = clickhouse_connect.get_client(dsn=settings.clickhouse_url.get_secret_value())
    found = client.query(
        f"SELECT *, toUnixTimestamp64Milli(at) AS at_ms FROM {settings.clickhouse_database}.served_answers FINAL"
        " WHERE tenant_id = {tenant:String} AND scenario_id = {scenario:String} ORDER BY at, request_id",
        parameters={"tenant": scope.tenant_id, "scenario": scope.scenario_id},
    )
    rows = list(found.named_results())
    client.close()
    by_id = {row["request_id"]: row for row in rows}
    assert len(by_id) == len(rows)
    return by_id


def records(stores: Stores) -> list[Message]:
    return [Message(record.value) for record in stores.log.scan(stores.settings.kafka_served_topic)]


@pytest.mark.parametrize("engine", ["redis", pytest.param("kafka", marks=pytest.mark.long)])
def test_every_answer_arrives_once_with_its_items_in_order(
    request: pytest.FixtureRequest, engine: str, tmp_path: Path, scope: Scope
) -> None:
    settings = consumer_settings(request, engine, tmp_path)
    with connected(settings, scope) as stores:
        key = prepare(stores, scope)
        path = f"/v1/scenarios/{scope.scenario_id}"
        began = now_ms()
        asked: list[tuple[dict[str, Any], dict[str, Any]]] = []
        with running_api(Stores(settings, interactive=True)) as address, client_of(address, key) as client:

            def get(what: str, expected: dict[str, Any], **query: str | int) -> None:
                answer = client.get(f"{path}/{what}", params=query)
                assert answer.status_code == 200, answer.text
                asked.append((answer.json(), {"kind": what, **expected}))

            def post(what: str, expected: dict[str, Any], **body: Any) -> None:
                answer = client.post(f"{path}/{what}", json=body)
                assert answer.status_code == 200, answer.text
                asked.append((answer.json(), {"kind": what, **expected}))

            for _ in range(2):  # first by FastAPI, then by the hot path
                for user in USERS:
                    get("recommendations", {"user_id": user}, user_id=user, n=5)
                get("similar", {"of_items": [ITEMS[0]]}, item_id=ITEMS[0], n=3)
                get("popular", {"placement": ""}, n=7)
                get("latest", {"placement": "home/新"}, n=4, placement="home/新")
                home = {"user_id": USERS[0], "placement": "home"}
                post("recommendations", home, user_id=USERS[0], exclude=[ITEMS[1]], placement="home")
            get("recommendations", {"user_id": "new"}, user_id="new", n=30)
            seen = [ITEMS[3], {"item_id": ITEMS[4], "action": "like"}]
            post("recommendations", {"session": ITEMS[3:5]}, session=seen, fields=["title"], n=200)
            post("similar", {"of_items": ITEMS[:2]}, item_ids=ITEMS[:2], n=2)
            assert client.get(f"{path}/popular", params={"placement": "x" * 101}).status_code == 422
            many = client.post(f"{path}/recommendations/batch", json={"users": USERS, "n": 3}).json()["answers"]
            asked += [(each, {"kind": "batch", "user_id": each["user_id"]}) for each in many]
            for wrong in (f"{path}/recommendations", f"{path}/similar?item_id=none", "/v1/scenarios/none/popular"):
                assert client.get(wrong).status_code in (404, 422)
            assert client.get(f"{path}/popular", headers={"Authorization": "Bearer no"}).status_code == 401
        sent = records(stores)
        consume(settings, stores)
        rows = rows_of(settings, scope)
        assert len(rows) == len(asked) == len({answer["request_id"] for answer, _ in asked})
        for answer, expected in asked:
            row = rows[answer["request_id"]]
            assert {name: row[name] for name in expected} == expected
            assert row["item_ids"] == [item["item_id"] for item in answer["items"]]
            told = [item.get("source") for item in answer["items"]]
            assert all(mine == source for mine, source in zip(row["sources"], told, strict=True) if source)
            assert all(row["sources"])
            assert (row["model_version"], row["degraded"]) == (answer["model_version"] or "", answer["degraded"])
            assert row["pipeline_version"] == answer.get("pipeline_version", 0)
            assert began <= row["at_ms"] <= now_ms()
            assert 0 < row["took_us"] < 60_000_000
            assert row["explored"] == [item.get("explored", False) for item in answer["items"]]
            assert row["propensities"] == [item.get("propensity") for item in answer["items"]]
            assert row["share"] == 1
        assert any(any(row["explored"]) and any(row["propensities"]) for row in rows.values())
        publish(stores, settings.kafka_served_topic, sent)
        consume(settings, stores)
        assert rows_of(settings, scope) == rows


def test_bad_messages_are_dead_letters_and_stop_nothing(settings: Settings, stores: Stores, scope: Scope) -> None:
    good = {
        "kind": "popular",
        "at": now_ms(),
        "took_us": 5,
        "answer": {
            "request_id": "r",
            "items": [
                {"item_id": "a", "source": "latest", "explored": True, "propensity": 0.25},
                {"item_id": "b", "reason": "popular now", "title": "not kept"},
            ],
            "pipeline_version": 3,
            "experiment": "e",
            "arm": "b",
        },
        "placement": "home/top",
    }
    head = {"tenant_id": scope.tenant_id, "scenario_id": scope.scenario_id, "share": 0.5}

    def bad(**changed: Any) -> bytes:
        return json.dumps({**head, "answers": [{**good, **changed}]}).encode()

    week = 7 * 86_400_000
    refused = {
        b"{": "not-json",
        b'{"tenant_id": "\xff"}': "not-json",
        b"[]": "not-json",
        json.dumps({**head, "answers": []}).encode(): "invalid",
        json.dumps({**head, "share": 0, "answers": [good]}).encode(): "invalid",
        json.dumps({**head, "tenant_id": "nobody", "answers": [good]}).encode(): "unknown-tenant",
        json.dumps({**head, "scenario_id": "none", "answers": [good]}).encode(): "unknown-scenario",
        bad(kind="guess"): "invalid",
        bad(took_us=-1): "invalid",
        bad(answer={"request_id": "", "items": []}): "invalid",
        bad(answer={"request_id": "r", "items": [{"item_id": "a", "propensity": 2}]}): "invalid",
        bad(user_id="u\ud800"): "not-json",
        bad(at=now_ms() - 5 * week): "implausible-time",
        bad(at=now_ms() + week): "implausible-time",
    }
    wrong = list(refused)
    messages = [Message(value) for value in (*wrong[:5], json.dumps({**head, "answers": [good]}).encode(), *wrong[5:])]
    publish(stores, settings.kafka_served_topic, messages)
    running = consume(settings, stores)
    row = rows_of(settings, scope)["r"]
    assert row["sources"] == ["latest", "popular"]
    assert (row["explored"], row["propensities"]) == ([True, False], [0.25, None])
    assert (row["pipeline_version"], row["experiment"], row["arm"]) == (3, "e", "b")
    assert (row["placement"], row["share"], row["user_id"]) == ("home/top", 0.5, "")
    dead = {
        letter.message.value: letter.fault for tenant in (scope.tenant_id, "") for letter in letters(stores, tenant)
    }
    assert dead == refused
    assert running.measured("records_total", kind="served") == len(messages)
    stores.dead_letters.waiting_of(scope.tenant_id)


def test_answers_are_kept_for_some_days(settings: Settings, stores: Stores, scope: Scope) -> None:
    assert settings.clickhouse_url is not None
    client = clickhouse_connect.get_client(dsn=settings.clickhouse_url.get_secret_value())
    database = settings.clickhouse_database
    consume(settings, stores)
    insert = (
        f"INSERT INTO {database}.served_answers (tenant_id, scenario_id, at, request_id, kind)"
        " SELECT {tenant:String}, {scenario:String}, now() - toIntervalDay(number), toString(number), 'popular'"
        " FROM numbers(60)"
    )
    client.command(insert, parameters={"tenant": scope.tenant_id, "scenario": scope.scenario_id})
    client.command(f"OPTIMIZE TABLE {database}.served_answers FINAL")
    assert len(rows_of(settings, scope)) == 60
    shorter = settings.model_copy(update={"served_days": 20})
    consume(shorter, stores)
    consume(shorter, stores)
    client.command(f"OPTIMIZE TABLE {database}.served_answers FINAL")
    left = {int(request_id) for request_id in rows_of(settings, scope)}
    assert left >= set(range(20)), "a younger answer is gone"
    assert not left & set(range(28, 60)), "a week that is older as a whole is still there"
    client.close()


def test_degraded_answers_count_once_each_for_those_that_were_not_logged(
    settings: Settings, stores: Stores, scope: Scope
) -> None:
    assert settings.clickhouse_url is not None
    stores.events.migrate()
    assert stores.served.degraded(scope, 0) == (0, 0)
    client = clickhouse_connect.get_client(dsn=settings.clickhouse_url.get_secret_value())
    # Twenty minutes with one answer in each, of which the last four were degraded; written twice.
    insert = (
        f"INSERT INTO {settings.clickhouse_database}.served_answers (tenant_id, scenario_id, at, request_id, share,"
        " degraded) SELECT {tenant:String}, {scenario:String}, toStartOfMinute(now()) - toIntervalMinute(number),"
        " toString(number), if(number < 10, 0.5, 1), number < 4 FROM numbers(20)"
    )
    for _ in range(2):
        client.command(insert, parameters={"tenant": scope.tenant_id, "scenario": scope.scenario_id})
    client.close()
    assert stores.served.degraded(scope, 0) == (2 * 10 + 10, 2 * 4)
    assert stores.served.degraded(scope, now_ms() + 60_000) == (0, 0)


def test_redis_keeps_a_bounded_number_of_messages(settings: Settings, stores: Stores, scope: Scope) -> None:
    short = Stores(settings.model_copy(update={"served_log_length": 10}))
    publisher = short.log.publisher()
    big = Message(b"x" * 20_000)
    for _ in range(20):
        publisher.publish(settings.kafka_served_topic, [big] * 20)
    key = stream_key(settings.kafka_served_topic, settings.installation)
    assert int(stores.redis.xlen(key)) <= 10 + 100, "whole nodes of the stream go"
    publisher.close()
    short.close()
    consume(settings, stores)
    reader = stores.log.reader([settings.kafka_served_topic], settings.kafka_group, "a")
    reader.poll(1, 0)
    reader.trim()  # type: ignore[attr-defined]
    assert int(stores.redis.xlen(key)) <= 100, "what was taken in is dropped"
    reader.close()


def test_no_request_fails_while_the_log_is_away_and_what_is_lost_is_counted(
    own_redis: OwnEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_log, "MOST_ANSWERS", 20)
    stores = Stores(settings_of(tmp_path, own_redis.url), interactive=True)
    scope, key = add_scenario(stores)
    publish_model(stores, scope, "1", model_of())
    path = f"/v1/scenarios/{scope.scenario_id}/popular"
    topic = stores.settings.kafka_served_topic
    with running_api(stores) as address, client_of(address, key) as client:

        def counted(name: str) -> float:
            found = [line for line in client.get("/metrics").text.splitlines() if line.startswith(name)]
            return sum(float(line.rsplit(" ", 1)[1]) for line in found)

        assert client.get(path).status_code == 200
        wait_for(lambda: counted("lemo_served_answers_published_total") == 1)
        own_redis.kill()
        answers = [client.get(path) for _ in range(50)]
        assert {answer.status_code for answer in answers} == {200}
        wait_for(lambda: counted("lemo_served_answers_dropped_total") >= 1)
        own_redis.start()
        wait_for(lambda: counted("lemo_served_answers_waiting") == 0)
        published, dropped = (
            counted("lemo_served_answers_published_total"),
            counted("lemo_served_answers_dropped_total"),
        )
        assert published + dropped == 51
        held = [answer for message in stores.log.scan(topic) for answer in json.loads(message.value)["answers"]]
        assert answers[-1].json()["request_id"] in {each["answer"]["request_id"] for each in held}


class Away:
    """A log that takes nothing, or everything."""

    def __init__(self) -> None:
        self.away = True
        self.refuses = False
        self.taken: list[Message] = []

    def publish(self, topic: str, messages: Any) -> int:
        assert topic == "t"
        if self.away:
            raise EngineUnavailable("away")
        if self.refuses:
            raise InvalidInput("too large")
        self.taken += messages
        return len(self.taken)

    def close(self) -> None:
        """Nothing to let go of."""


def answers_in(messages: list[Message]) -> list[str]:
    return [each["answer"]["request_id"] for message in messages for each in json.loads(message.value)["answers"]]


def served(number: int, scope: Scope, size: int = 0) -> Served:
    body: dict[str, Any] = {
        "request_id": str(number),
        "model_version": None,
        "degraded": False,
        "items": [{"item_id": "x"}],
    }
    body |= {"other": "x" * size}
    return Served(scope, "popular", time.perf_counter_ns(), json.dumps(body).encode())


def test_the_oldest_answers_are_dropped_by_number_and_by_bytes(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher = Away()
    log = ServedLog(lambda: publisher, "t", 1)
    for number in range(3 * MOST_ANSWERS):
        log.add(served(number, scope))
    assert log.waiting + log.dropped["full"] == 3 * MOST_ANSWERS
    assert log.waiting <= MOST_ANSWERS + served_log._BATCH
    publisher.away = False
    log.close()
    assert answers_in(publisher.taken)[-MOST_ANSWERS:] == [
        str(each) for each in range(2 * MOST_ANSWERS, 3 * MOST_ANSWERS)
    ]
    assert log.published == len(answers_in(publisher.taken))
    assert max(len(message.value) for message in publisher.taken) < 40_000

    monkeypatch.setattr(served_log, "MOST_BYTES", 100_000)
    monkeypatch.setattr(served_log, "EVERY_SECONDS", 60)
    large = ServedLog(lambda: publisher, "t", 1)
    publisher.taken.clear()
    for number in range(10):
        large.add(served(number, scope, 30_000))
    large.close()
    assert answers_in(publisher.taken) == ["7", "8", "9"]
    assert large.dropped["full"] == 7
    assert all(len(message.value) < 1_000 for message in publisher.taken), (
        "only what is kept of a long answer is logged"
    )


def test_the_end_of_the_process_drops_and_counts_what_the_log_does_not_take(scope: Scope) -> None:
    log = ServedLog(Away, "t", 1)
    for number in range(5):
        log.add(served(number, scope))
    log.close()
    assert (log.dropped["stopped"], log.published) == (5, 0)


def test_what_the_log_refuses_or_nobody_can_read_is_dropped_and_counted(scope: Scope) -> None:
    publisher = Away()
    publisher.away, publisher.refuses = False, True
    log = ServedLog(lambda: publisher, "t", 1)
    log.add(served(0, scope))
    wait_for(lambda: log.dropped["refused"] == 1)
    publisher.refuses = False
    log.add(Served(scope, "batch", time.perf_counter_ns(), b"{"))
    log.add(served(1, scope))
    log.close()
    assert answers_in(publisher.taken) == ["1"]
    assert (log.published, log.dropped["refused"], log.dropped["unreadable"], log.waiting) == (1, 1, 1, 0)


def test_a_share_of_the_answers_is_kept(scope: Scope) -> None:
    publisher = Away()
    publisher.away = False
    log, none = ServedLog(lambda: publisher, "t", 0.25), ServedLog(lambda: publisher, "t", 0)
    for number in range(4_000):
        log.add(served(number, scope))
        none.add(served(-1, scope))
    log.close()
    none.close()
    found = answers_in(publisher.taken)
    assert 800 < len(found) < 1_200
    assert "-1" not in found
    assert {json.loads(message.value)["share"] for message in publisher.taken} == {0.25}


def test_of_more_answers_a_second_than_the_limit_a_share_is_kept_and_told(scope: Scope) -> None:
    publisher = Away()
    publisher.away = False
    log = ServedLog(lambda: publisher, "t", 1, per_second=100)
    number = 0

    def shares() -> set[float]:
        return {json.loads(message.value)["share"] for message in list(publisher.taken)}

    def ask() -> bool:
        nonlocal number
        for _ in range(200):  # more in one moment than the limit is for a second
            number += 1
            log.add(served(number, scope))
        return min(shares(), default=1) < 0.5

    wait_for(ask)
    log.close()
    kept = answers_in(publisher.taken)
    assert len(kept) < number, "not all of them"
    assert len(set(kept)) == len(kept)


def test_a_process_that_is_killed_loses_its_last_moments_only(settings: Settings, stores: Stores, scope: Scope) -> None:
    key = prepare(stores, scope)
    port = servers.free_port()
    environment = {**os.environ, **environment_of(settings), "LEMO_API_PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "-m", "lemo.cli.main", "api"], env=environment, stderr=subprocess.DEVNULL
    )

    def listening() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_for(listening, 60)
        with client_of(f"http://127.0.0.1:{port}", key) as client:
            path = f"/v1/scenarios/{scope.scenario_id}/popular"
            first = [client.get(path).json()["request_id"] for _ in range(20)]
            wait_for(lambda: len(answers_in(records(stores))) == 20)
            for _ in range(5):
                client.get(path)
            process.send_signal(signal.SIGKILL)
            process.wait(10)
    finally:
        process.kill()
        process.wait(10)
    consume(settings, stores)
    assert set(first) <= rows_of(settings, scope).keys()
