"""The real API over HTTP: what it takes, what it answers, and what it refuses."""

import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

import servers
from command_lines import run_command
from engines.process import Daemon
from lemo.diagnostics.dependencies import Service
from lemo.diagnostics.service_probes import probe_http
from lemo.domain.errors import EngineUnavailable
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.serving import renewals
from lemo.serving.service import RecommendationService
from lemo.stores.clickhouse.events import Events
from lemo.stores.connect import Stores
from lemo.streams.messages import read_event_message, read_item_message
from sites import ITEMS, add_scenario, model_of, publish_model, running_api, settings_of, touch, wait_for

MODULE_LIMIT = 2_000_000


@dataclass
class Site:
    stores: Stores
    scope: Scope
    key: str
    address: str

    def client(self, key: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key if key is None else key}"} if key != "" else {}
        return httpx.Client(base_url=self.address, headers=headers, timeout=30)

    def path(self, what: str) -> str:
        return f"/v1/scenarios/{self.scope.scenario_id}/{what}"

    def published(self, topic: str) -> list[bytes]:
        return [record.value for record in self.stores.log.read_all(topic, 20_000)]

    @property
    def item_messages(self) -> list[bytes]:
        return self.published(self.stores.settings.kafka_item_ingest_topics[0])

    @property
    def items(self) -> list[Item]:
        return [item for value in self.item_messages for item in read_item_message(value).items]


def site_on(home: Path, redis_url: str) -> Iterator[Site]:
    settings = settings_of(home, redis_url)
    settings.max_body_bytes = MODULE_LIMIT
    stores = Stores(settings)
    scope, key = add_scenario(stores)
    publish_model(stores, scope, "1", model_of())
    with running_api(stores) as address:
        yield Site(stores, scope, key, address)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Site]:
    yield from site_on(tmp_path_factory.mktemp("site"), redis_url)


@pytest.fixture
def own_site(tmp_path: Path, redis_url: str) -> Iterator[Site]:
    """A site whose topics nobody else has written to."""
    yield from site_on(tmp_path, redis_url)


@pytest.fixture
def http(site: Site) -> Iterator[httpx.Client]:
    with site.client() as client:
        yield client


def check_problem(response: httpx.Response, status: int, *words: str) -> dict[str, Any]:
    assert response.status_code == status, response.text[:500]
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert set(problem) == {"type", "title", "status", "detail", "instance"}
    assert problem["status"] == status
    assert problem["detail"]
    assert len(response.content) < 2_000, "the answer echoes the input"
    for word in words:
        assert word in problem["detail"]
    for secret in ("Traceback", "lemo_", 'File "'):
        assert secret not in response.text
    return problem


# What it answers


def test_recommendations(site: Site, http: httpx.Client) -> None:
    user = "a/b 'c' \"d\" 北京?&#%"
    touch(site.stores, site.scope, user, "item/20")
    response = http.get(site.path("recommendations"), params={"user_id": user, "n": 3})
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) == {"request_id", "model_version", "degraded", "items"}
    assert (answer["model_version"], answer["degraded"]) == ("1", False)
    assert [item["item_id"] for item in answer["items"]] == ["item/21", "item/22", "item/23"]
    assert answer["items"][0]["reason"] == 'because of "item/20"'
    without = http.get(
        site.path("recommendations"), params={"user_id": user, "n": 3, "exclude": ["item/21", "item/23"]}
    ).json()
    assert without["items"][0]["item_id"] == "item/22"
    assert len(without["items"]) == 3
    assert len(http.get(site.path("recommendations"), params={"user_id": user}).json()["items"]) == 10


def test_popular_latest_and_similar(site: Site, http: httpx.Client) -> None:
    popular = http.get(site.path("popular"), params={"n": 2}).json()
    assert [item["item_id"] for item in popular["items"]] == ITEMS[:2]
    assert http.get(site.path("latest")).json()["items"] == []
    similar = http.get(site.path("similar"), params={"item_id": ITEMS[5], "n": 2}).json()
    assert similar["degraded"]
    assert [item["item_id"] for item in similar["items"]] == ITEMS[:2]


def test_similar_to_an_item_that_nobody_knows_is_404_and_to_one_of_the_catalogue_is_not(
    site: Site, http: httpx.Client
) -> None:
    check_problem(http.get(site.path("similar"), params={"item_id": "nobody knows it"}), 404, "nobody knows it")
    site.stores.items.upsert(site.scope, [Item(item_id="known to the catalogue alone")], [1])
    known = http.get(site.path("similar"), params={"item_id": "known to the catalogue alone"})
    assert (known.status_code, known.json()["degraded"]) == (200, True)


def recommend(site: Site, folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """`lemo recommend` as a process."""
    settings = site.stores.settings
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEMO_")} | {
        "LEMO_HOME": str(settings.home),
        "LEMO_REDIS_URL": settings.redis(0).removesuffix("/0"),
        "LEMO_KEY": site.key,
        **variables,
    }
    return run_command(["recommend", "--scenario", site.scope.scenario_id, *arguments], environment, folder)


def test_the_export_gives_the_same_answers(site: Site, http: httpx.Client, tmp_path: Path, clickhouse_url: str) -> None:
    users = [f"export {number}" for number in range(12)]
    for number, user in enumerate(users[:10]):
        touch(site.stores, site.scope, user, *ITEMS[number : number + number % 4])
    (tmp_path / "users.txt").write_text("\n".join(users))
    engine = {"LEMO_CLICKHOUSE_URL": clickhouse_url, "LEMO_CLICKHOUSE_DATABASE": f"none_{uuid.uuid4().hex}"}
    run = recommend(site, tmp_path, "--users", "users.txt", "-n", "7", "--out", "out.jsonl", **engine)
    assert run.returncode == 0, run.stderr
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["user_id"] for row in rows] == users
    # Of users 0, 4, 8, 10 and 11 nothing is known.
    assert "5 of 12 users have no event in" in run.stderr
    assert "'export 0'" in run.stderr
    for row in rows:
        assert set(row) == {"user_id", "items"}
        params: dict[str, str | int] = {"user_id": row["user_id"], "n": 7}
        assert row["items"] == http.get(site.path("recommendations"), params=params).json()["items"]


def test_users_whose_file_makes_floats_of_ids_get_their_own_answers(
    site: Site, http: httpx.Client, tmp_path: Path
) -> None:
    users = ["17850", "12347"]
    for user, item_id in zip(users, ITEMS[5:], strict=False):
        touch(site.stores, site.scope, user, item_id)
    (tmp_path / "users.txt").write_text("".join(f"{user}.0\n" for user in users))
    run = recommend(site, tmp_path, "--users", "users.txt", "-n", "7", "--out", "out.jsonl")
    assert run.returncode == 0, run.stderr
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["user_id"] for row in rows] == ["17850.0", "12347.0"]
    for row, user in zip(rows, users, strict=True):
        params: dict[str, str | int] = {"user_id": user, "n": 7}
        assert row["items"] == http.get(site.path("recommendations"), params=params).json()["items"]


def test_recommending_on_the_terminal(site: Site, http: httpx.Client, tmp_path: Path) -> None:
    touch(site.stores, site.scope, "terminal", "item/20")
    site.stores.items.upsert(site.scope, [Item(item_id="item/21", title="一天吃遍成都")], [1])
    table = recommend(site, tmp_path, "--user", "terminal", "-n", "3")
    assert table.returncode == 0, table.stderr
    for text in ("item/21", "一天吃遍成都", 'because of "item/20"'):
        assert text in table.stdout
    row = json.loads(recommend(site, tmp_path, "--user", "terminal", "-n", "3", "--format", "json").stdout)
    params: dict[str, str | int] = {"user_id": "terminal", "n": 3}
    items = http.get(site.path("recommendations"), params=params).json()["items"]
    assert row == {"user_id": "terminal", "items": items}


def test_recommending_to_all_who_have_events(site: Site, tmp_path: Path, clickhouse_url: str) -> None:
    database = f"lemo_{site.scope.tenant_id.replace('-', '_')}"
    events = Events(clickhouse_url, database)
    events.migrate()
    users = ["all 2", "all/1", "北京"]
    rows = [(site.scope, Event.model_validate(GOOD_EVENT | {"user_id": user})) for user in [*users, "北京"]]
    events.insert(rows)
    events.insert([(Scope(site.scope.tenant_id, "another"), Event.model_validate(GOOD_EVENT))])
    events.close()
    engine = {"LEMO_CLICKHOUSE_URL": clickhouse_url, "LEMO_CLICKHOUSE_DATABASE": database}
    run = recommend(site, tmp_path, "--all", "--out", "all.parquet", **engine)
    assert run.returncode == 0, run.stderr
    found = pq.read_table(tmp_path / "all.parquet").to_pylist()
    assert [row["user_id"] for row in found] == sorted(users)
    assert all(len(row["items"]) == 10 for row in found)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "--users"),
        (["--user", "u", "--all"], 2, "exactly one"),
        (["--user", ""], 2, "1 to 256 characters"),
        (["--user", "u", "-n", "0"], 2, "-n"),
        (["--user", "u", "--out", "out.xlsx"], 1, ".parquet"),
        (["--users", "absent.txt"], 1, "absent.txt"),
    ],
)
def test_recommending_wrongly_is_told(site: Site, tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    run = recommend(site, tmp_path, *arguments)
    assert run.returncode == code, run.stderr
    assert words in run.stderr
    assert "Traceback" not in run.stderr


def test_scenarios_are_created_once_and_listed(site: Site, http: httpx.Client) -> None:
    made = http.post("/v1/scenarios", json={"scenario_id": "shop", "template": "ecommerce"})
    assert made.status_code == 201
    assert made.json()["actions"]["order"]["weight"] == 5
    assert http.get("/v1/scenarios/shop/popular").json()["degraded"] is True
    names = [scenario["scenario_id"] for scenario in http.get("/v1/scenarios").json()["scenarios"]]
    assert names == sorted(["shop", site.scope.scenario_id])
    check_problem(http.post("/v1/scenarios", json={"scenario_id": "shop", "template": "vlog"}), 409, "exists already")
    check_problem(http.post("/v1/scenarios", json={"scenario_id": "../x", "template": "vlog"}), 422, "letters")
    check_problem(http.post("/v1/scenarios", json={"scenario_id": "b", "template": "zoo"}), 422, "template")
    check_problem(http.post("/v1/scenarios", json=["b"]), 422)


# What it takes


def test_items_are_in_the_log_before_the_answer(own_site: Site) -> None:
    item = {"item_id": "a/b \"c\" '北京'", "title": "成都", "tags": "x|y", "length": 12, "nested": {"deep": [1, None]}}
    with own_site.client() as http:
        response = http.post(own_site.path("items"), json={"items": [item, {"title": "no id"}, {"item_id": 7}]})
    assert response.status_code == 200
    assert response.json() == {"accepted": 2, "rejected": [{"index": 1, "reason": "item_id: is missing"}]}
    first, second = own_site.items
    assert (first.item_id, first.tags, first.attributes) == (
        item["item_id"],
        ["x", "y"],
        {"length": 12, "nested": {"deep": [1, None]}},
    )
    assert second.item_id == "7"
    assert {read_item_message(value).scope for value in own_site.item_messages} == {own_site.scope}


def test_events_are_in_the_log_and_belong_to_the_keys_tenant(own_site: Site) -> None:
    event = {"user_id": "u", "item_id": "i", "action": "like", "timestamp": "2026-01-01T00:00:00Z", "tenant_id": "evil"}
    with own_site.client() as http:
        answer = http.post(own_site.path("events"), json={"events": [event] * 3}).json()
    assert answer == {"accepted": 3, "rejected": [], "repeated": 2}
    found = [read_event_message(value) for value in own_site.published(own_site.stores.settings.kafka_event_topic)]
    assert {scope for scope, _ in found} == {own_site.scope}
    assert len({event.event_id for _, event in found}) == 1, "the same event counts once"


BAD_ITEMS: dict[str, tuple[str, str]] = {
    "no object": ("[]", "dict"),
    "a number": ("7", "dict"),
    "a title of 1 MB": (json.dumps({"item_id": "a", "title": "x" * 1_000_000}), "title"),
    "an id too long": (json.dumps({"item_id": "x" * 257}), "item_id"),
    "an empty id": ('{"item_id": ""}', "item_id"),
    "NaN as id": ('{"item_id": NaN}', "item_id"),
    "NaN as title": ('{"item_id": "a", "title": NaN}', "title"),
    "NaN as attribute": ('{"item_id": "a", "price": NaN}', "NaN"),
    "infinite attribute": ('{"item_id": "a", "deep": {"price": [-Infinity]}}', "NaN or infinite"),
    "an integer too long": ('{"item_id": "a", "price": 99999999999999999999999}', "64 bits"),
    "a wrong type": ('{"item_id": "a", "is_active": {"not": "a bool"}}', "is_active"),
    "a time that is none": ('{"item_id": "a", "published_at": "yesterday"}', "published_at"),
    "a time beyond all": ('{"item_id": "a", "published_at": 1e300}', "published_at"),
    "a deep attribute": (f'{{"item_id": "a", "x": {"[" * 60}1{"]" * 60}}}', "deep"),
}


def test_an_event_id_of_another_event_of_the_request_is_rejected(http: httpx.Client, site: Site) -> None:
    event = {"user_id": "u", "item_id": "a", "action": "like", "timestamp": 1_700_000_000, "event_id": "order-1"}
    answer = http.post(site.path("events"), json={"events": [event, event, event | {"item_id": "b"}]}).json()
    assert (answer["accepted"], answer["repeated"]) == (2, 1)
    assert [each["index"] for each in answer["rejected"]] == [2]
    assert "'order-1' is that of an earlier event with other contents" in answer["rejected"][0]["reason"]


@pytest.mark.parametrize("name", BAD_ITEMS)
def test_a_bad_item_is_rejected_alone(site: Site, http: httpx.Client, name: str) -> None:
    bad, word = BAD_ITEMS[name]
    body = f'{{"items": [{{"item_id": "good"}}, {bad}]}}'
    response = http.post(site.path("items"), content=body)
    assert response.status_code == 200, response.text[:300]
    answer = response.json()
    assert (answer["accepted"], [each["index"] for each in answer["rejected"]]) == (1, [1])
    assert word in answer["rejected"][0]["reason"]
    assert len(response.content) < 1_000


GOOD_EVENT: dict[str, Any] = {"user_id": "u", "item_id": "i", "action": "like", "timestamp": 1767225600}
BAD_EVENTS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown action": ({"action": "teleport"}, "teleport"),
    "an action that is none": ({"action": "DROP TABLE"}, "action"),
    "the far future": ({"timestamp": "2999-01-01T00:00:00Z"}, "future"),
    "the far past": ({"timestamp": 12}, "1990"),
    "no moment": ({"timestamp": None}, "timestamp"),
    "an endless moment": ({"timestamp": 10**400}, "too large"),
    "NaN as user": ({"user_id": float("nan")}, "user_id"),
    "NaN as value": ({"value": float("nan")}, "value"),
    "infinite value": ({"value": float("inf")}, "value"),
    "a wrong value": ({"value": "much"}, "value"),
    "a negative position": ({"position": -1}, "position"),
    "no user": ({"user_id": ""}, "user_id"),
    "a list as user": ({"user_id": ["u"]}, "user_id"),
}


@pytest.mark.parametrize("name", BAD_EVENTS)
def test_a_bad_event_is_rejected_alone(site: Site, http: httpx.Client, name: str) -> None:
    change, word = BAD_EVENTS[name]
    body = json.dumps({"events": [GOOD_EVENT | change, GOOD_EVENT]})
    response = http.post(site.path("events"), content=body)
    answer = response.json()
    assert (answer["accepted"], [each["index"] for each in answer["rejected"]]) == (1, [0]), answer
    assert word in answer["rejected"][0]["reason"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b'{"items": [', 400),
        (b"\xff\xfe", 400),
        (b'{"items": ' + b"[" * 100_000, 400),
        (b'{"items": [{"item_id": "\\ud800"}]}', 400),
        (b'{"items": [' + b"9" * 5_000 + b"]}", 400),
        (b"[]", 422),
        (b"null", 422),
        (b'{"items": {}}', 422),
        (b'{"events": []}', 422),
        (b'{"items": [' + b"{}," * 10_000 + b"{}]}", 413),
        (b'{"items": ["' + b"x" * MODULE_LIMIT + b'"]}', 413),
        (b"x" * (5 * MODULE_LIMIT), 413),
    ],
)
def test_a_bad_body_is_a_problem(site: Site, http: httpx.Client, body: bytes, status: int) -> None:
    try:
        response = http.post(site.path("items"), content=body)
    except httpx.WriteError:
        assert len(body) > 4 * MODULE_LIMIT, "only of a body far too large the rest is not read"
        return
    check_problem(response, status)


def test_ten_thousand_at_once(own_site: Site) -> None:
    own_site.stores.settings.max_body_bytes = 64_000_000
    items = [{"item_id": f"item {number}"} for number in range(10_000)]
    with own_site.client() as http:
        assert http.post(own_site.path("items"), json={"items": items}).json() == {"accepted": 10_000, "rejected": []}
    assert len(own_site.items) == 10_000


# What it refuses


@pytest.mark.parametrize(
    "query",
    [
        "",
        "user_id=",
        "user_id=" + "x" * 257,
        "user_id=u&n=0",
        "user_id=u&n=201",
        "user_id=u&n=-5",
        "user_id=u&n=NaN",
        "user_id=u&n=1e400",
        "user_id=u&n=" + "9" * 5000,
    ],
)
def test_wrong_parameters_are_named(site: Site, http: httpx.Client, query: str) -> None:
    check_problem(http.get(f"{site.path('recommendations')}?{query}"), 422, "n:" if "n=" in query else "user_id:")


def test_without_a_good_key_nothing_is_told(site: Site) -> None:
    for value in (b"", b"Bearer", b"Bearer lemo_wrong", f"Basic {site.key}".encode(), b"Bearer \xff\xfe"):
        response = httpx.get(f"{site.address}/v1/scenarios", headers={b"Authorization": value} if value else {})
        check_problem(response, 401)
        assert response.headers["www-authenticate"] == "Bearer"
    assert httpx.post(f"{site.address}{site.path('items')}", content=b"{").status_code == 401


def test_a_tenant_sees_nothing_of_another(site: Site) -> None:
    other, key = add_scenario(site.stores)
    with site.client(key) as stranger, site.client() as owner:
        for what in ("recommendations?user_id=u", "similar?item_id=item%2F1", "popular", "latest"):
            path = site.path(what)
            assert owner.get(path).status_code == 200
            problem = check_problem(stranger.get(path), 404)
            assert site.scope.tenant_id not in json.dumps(problem)
        for what in ("items", "events"):
            check_problem(stranger.post(site.path(what), json={what: []}), 404)
        assert [each["scenario_id"] for each in stranger.get("/v1/scenarios").json()["scenarios"]] == [
            other.scenario_id
        ]
        check_problem(stranger.get(site.path("popular"), params={"tenant_id": site.scope.tenant_id}), 422, "tenant_id")


def test_unknown_scenarios_and_routes_are_404(site: Site, http: httpx.Client) -> None:
    check_problem(http.get("/v1/scenarios/absent/popular"), 404, "absent")
    check_problem(http.get(f"/v1/scenarios/{'x' * 5000}/popular"), 404)
    check_problem(http.get("/v1/scenarios/%00..%2f/popular"), 404)
    check_problem(http.get("/v1/nothing"), 404)
    check_problem(http.delete(site.path("popular")), 405)


def test_a_scenario_made_a_moment_ago_is_known(site: Site, http: httpx.Client) -> None:
    check_problem(http.get("/v1/scenarios/late/popular"), 404)
    assert http.post("/v1/scenarios", json={"scenario_id": "late", "template": "news"}).status_code == 201
    assert http.get("/v1/scenarios/late/popular").status_code == 200


# Health and documentation


def test_health_needs_no_key(site: Site) -> None:
    assert httpx.get(f"{site.address}/health/live").json() == {"status": "alive"}
    wait_for(lambda: httpx.get(f"{site.address}/health/ready").status_code == 200)
    ready = httpx.get(f"{site.address}/health/ready").json()
    assert (ready["ready"], ready["missing"]) == (True, [])
    assert ready["checks"]["compiled loops"]["works"] is True


@pytest.mark.parametrize("path", ["/", "/redoc"])
def test_the_documentation_is_found_where_people_look(site: Site, path: str) -> None:
    page = httpx.get(f"{site.address}{path}", follow_redirects=True)
    assert (page.status_code, page.url.path) == (200, "/docs")


def test_the_documentation_loads_nothing_from_outside(site: Site) -> None:
    page = httpx.get(f"{site.address}/docs").text
    assets = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert len(assets) >= 3
    for asset in assets:
        assert asset.startswith("/"), f"{asset} is not our own"
        assert httpx.get(f"{site.address}{asset}").status_code == 200
    assert not re.findall(r"https?://", page)
    assert "validatorUrl" in page


def test_every_route_is_documented_with_an_example(site: Site) -> None:
    document = httpx.get(f"{site.address}/openapi.json").json()
    routes = {(method, path): route for path, methods in document["paths"].items() for method, route in methods.items()}
    assert ("get", "/v1/scenarios/{scenario}/recommendations") in routes
    for (method, path), route in routes.items():
        assert route["summary"], path
        assert route["description"], path
        if method == "post" and not path.endswith(("/rollback", "/rotate")):  # which need no body
            content = route["requestBody"]["content"]["application/json"]
            assert "example" in content or "example" in content["schema"], path
        if path.startswith("/v1"):
            assert route["security"] == [{"HTTPBearer": []}], path
            assert "application/problem+json" in route["responses"]["401"]["content"], path
    for name in ("Accepted", "Readiness"):
        assert "example" in document["components"]["schemas"][name]


@pytest.mark.filterwarnings("ignore:There is no current event loop:DeprecationWarning")
def test_the_documentation_page_works_in_a_browser_without_the_internet(site: Site, chromium_path: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{site.address}/docs")
        page.get_by_text("/v1/scenarios/{scenario}/recommendations").first.wait_for(timeout=20_000)
        browser.close()
    assert [url for url in asked if not url.startswith((site.address, "data:", "blob:"))] == []


# Engines that are away


class Away:
    """A document store that does not answer."""

    def __getattr__(self, name: str) -> Any:
        def call(*_: object, **__: object) -> Any:
            raise EngineUnavailable("The document store does not answer.", "Start it.")

        return call


def test_known_keys_and_scenarios_work_while_the_document_store_is_away(own_site: Site) -> None:
    stores = own_site.stores
    with own_site.client() as http:
        assert http.get(own_site.path("popular")).status_code == 200
        wait_for(lambda: httpx.get(f"{own_site.address}/health/ready").status_code == 200)
        for name in ("documents", "tenants", "api_keys", "scenarios", "items"):
            stores.__dict__[name] = Away()
        assert http.get(own_site.path("popular")).status_code == 200
        assert http.post(own_site.path("items"), json={"items": [{"item_id": "a"}]}).json()["accepted"] == 1
        response = httpx.get(f"{own_site.address}/v1/scenarios", headers={"Authorization": "Bearer lemo_unknown"})
        check_problem(response, 503)
        assert int(response.headers["retry-after"]) > 0
        wait_for(lambda: httpx.get(f"{own_site.address}/health/ready").json()["missing"] == ["documents"])
        assert httpx.get(f"{own_site.address}/health/ready").status_code == 200


def test_what_serves_and_cannot_be_renewed_is_told_everywhere(own_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewals, "STALE_SECONDS", 5.0)
    settings = own_site.stores.settings.model_copy(
        update={"api_host": "127.0.0.1", "api_port": int(own_site.address.rpartition(":")[2])}
    )

    def gauges() -> dict[str, float]:
        lines = httpx.get(f"{own_site.address}/metrics").text.splitlines()
        values = (line.rpartition(" ") for line in lines if line.startswith("lemo_serving"))
        return {name: float(value) for name, _, value in values}

    with own_site.client() as http:
        assert http.get(own_site.path("popular")).json()["degraded"] is False
        assert http.get("/health/ready").json()["checks"]["renewal"]["works"]
        assert probe_http(Service.api, settings).state == "ok"
        assert gauges()["lemo_serving_renewals_failed_total"] == 0
        pointers = own_site.stores.settings.state / "snapshots" / own_site.scope.tenant_id
        moved = pointers.with_name("moved")
        pointers.rename(moved)
        pointers.write_text("no folder")
        wait_for(lambda: http.get(own_site.path("popular")).json()["degraded"])
        assert http.get(f"{own_site.path('recommendations')}?user_id=u").json()["degraded"]
        assert http.get(own_site.path("popular")).json()["model_version"] == "1"
        ready: dict[str, Any] = {}

        def only_the_renewal_is_missing() -> bool:
            ready.update(http.get("/health/ready").json())
            return bool(ready["missing"] == ["renewal"])

        wait_for(only_the_renewal_is_missing)
        assert ready["ready"]
        assert "cannot be renewed" in ready["checks"]["renewal"]["detail"]
        assert own_site.scope.scenario_id not in str(ready), "everybody may ask"
        finding = probe_http(Service.api, settings)
        assert (finding.state, "1 of them cannot be renewed" in finding.detail) == ("warning", True)
        told = gauges()
        assert told["lemo_serving_scopes_stale"] == 1
        assert told['lemo_serving_age_seconds{part="models"}'] > 5
        assert told["lemo_serving_renewals_failed_total"] > 0
        pointers.unlink()
        moved.rename(pointers)
        wait_for(lambda: not http.get(own_site.path("popular")).json()["degraded"])
        wait_for(lambda: http.get("/health/ready").json()["missing"] == [])


@pytest.fixture
def own_redis(scope: Scope) -> Iterator[tuple[str, Daemon]]:
    """The URL of a Redis that the test may kill, and its process."""
    name = f"redis-{scope.tenant_id}"
    url = f"redis://127.0.0.1:{servers.embedded('redis', name)}"
    daemon = Daemon(Path(os.environ[servers.RUN_FOLDER]) / name)
    yield url, daemon
    daemon.stop()


@pytest.fixture
def site_on_own_redis(tmp_path: Path, own_redis: tuple[str, Daemon]) -> Iterator[Site]:
    yield from site_on(tmp_path, own_redis[0])


def test_while_redis_is_away_it_recommends_and_takes_nothing(
    site_on_own_redis: Site, own_redis: tuple[str, Daemon]
) -> None:
    site = site_on_own_redis
    touch(site.stores, site.scope, "u", "item/20")
    path = f"{site.path('recommendations')}?user_id=u"
    with site.client() as http:
        assert http.get(path).json()["degraded"] is False
        wait_for(lambda: http.get("/health/ready").json()["ready"] is True)
        pid = own_redis[1].pid
        assert pid
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: bool(http.get(path).json()["degraded"]))
        answer = http.get(path).json()
        assert answer["model_version"] == "1"
        assert [item["item_id"] for item in answer["items"]] == ITEMS[:10]
        response = http.post(site.path("items"), json={"items": [{"item_id": "a"}]})
        check_problem(response, 503)
        assert "retry-after" in response.headers
        wait_for(lambda: http.get("/health/ready").json()["missing"] == ["redis"])
        assert http.get("/health/ready").status_code == 200
        # Writers that wait for Redis do not keep readers out.
        with ThreadPoolExecutor(40) as pool:
            posts = [pool.submit(http.post, site.path("items"), json={"items": [{"item_id": "a"}]}) for _ in range(40)]
            assert http.get(path).elapsed.total_seconds() < 2
            assert {post.result().status_code for post in posts} == {503}


def test_it_starts_without_any_engine_and_says_what_is_missing(tmp_path: Path, free_port: int) -> None:
    stores = Stores(settings_of(tmp_path, f"redis://127.0.0.1:{free_port}"))
    with running_api(stores) as address:
        assert httpx.get(f"{address}/health/live").status_code == 200
        wait_for(lambda: httpx.get(f"{address}/health/ready").json()["missing"] == ["redis"])
        assert httpx.get(f"{address}/health/ready").status_code == 503


def test_a_personal_recommendation_is_made_without_the_document_store(own_site: Site) -> None:
    touch(own_site.stores, own_site.scope, "u", "item/20")
    for name in ("documents", "tenants", "scenarios", "items"):
        own_site.stores.__dict__[name] = None
    with RecommendationService(own_site.stores) as served:
        assert served.recommend(own_site.scope, "u", 1).items[0].item_id == "item/21"


# The command


def test_a_port_in_use_is_told_with_the_setting_to_change(site: Site, tmp_path: Path) -> None:
    port = site.address.rpartition(":")[2]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEMO_")}
    run = subprocess.run(
        [sys.executable, "-m", "lemo.cli.main", "api"],
        env=environment | {"LEMO_API_PORT": port, "LEMO_REDIS_PORT": str(servers.free_port())},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "LEMO_API_PORT" in run.stderr
    assert port in run.stderr
