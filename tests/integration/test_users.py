"""What is known of a user: history, tastes and precomputed recommendations, over HTTP and by command line."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from lemo.cli.main import app
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.jobs.precompute import precompute
from lemo.jobs.profiles import profile
from lemo.jobs.report import unattended
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.documents import PROFILES
from sites import NOW, add_scenario, model_of, publish_model, running_api

USER = "用户 / 7"


@pytest.fixture
def stores(tmp_path: Path, redis_url: str, clickhouse_url: str) -> Iterator[Stores]:
    stores = Stores(Settings(home=tmp_path, redis_url=redis_url, clickhouse_url=clickhouse_url))
    stores.events.migrate()
    yield stores
    stores.close()


@pytest.fixture
def shop(stores: Stores) -> tuple[Scope, str]:
    """A scenario in which a user liked one item and then clicked another, and the tenant's key."""
    scope, key = add_scenario(stores)
    items = [
        Item(item_id="item/1", title="铸铁炒锅", categories=["kitchen"], tags=["iron"], author="李"),
        Item(item_id="item/2", title="Shears", categories=["garden"]),
    ]
    stores.items.upsert(scope, items, [1, 1])
    events = [
        (scope, Event(user_id=USER, item_id=item, action=action, timestamp=NOW.timestamp() + second))
        for second, (item, action) in enumerate([("item/1", "like"), ("item/2", "click")])
    ]
    stores.events.insert(events)
    stores.history.add(events)
    publish_model(stores, scope, "1", model_of())
    return scope, key


@pytest.fixture
def http(stores: Stores, shop: tuple[Scope, str]) -> Iterator[httpx.Client]:
    scope, key = shop
    with (
        running_api(Stores(stores.settings)) as address,
        httpx.Client(base_url=f"{address}/v1/scenarios/{scope.scenario_id}", timeout=30) as http,
    ):
        http.headers["Authorization"] = f"Bearer {key}"
        yield http


def test_a_user_has_history_tastes_and_precomputed_recommendations(
    stores: Stores, shop: tuple[Scope, str], http: httpx.Client
) -> None:
    scope, _ = shop
    before = http.get("/users", params={"user_id": USER}).json()
    assert (before["profile"], before["precomputed"]) == (None, None)
    assert [(each["item_id"], each["action"]) for each in before["history"]] == [
        ("item/2", "click"),
        ("item/1", "like"),
    ]

    profile(stores, scope, unattended())
    precompute(stores, scope, unattended())
    overview = http.get("/users", params={"user_id": USER, "n": 1}).json()
    assert overview["user_id"] == USER
    assert [each["item_id"] for each in overview["history"]] == ["item/2"]
    tastes = overview["profile"]
    assert [each["label"] for each in tastes["categories"]] == ["kitchen", "garden"]
    assert sum(each["weight"] for each in tastes["categories"]) == pytest.approx(1, abs=1e-5)
    assert tastes["tags"] == [{"label": "iron", "weight": 1.0}]
    assert tastes["authors"] == [{"label": "李", "weight": 1.0}]
    assert (tastes["interactions"], tastes["actions"]) == (2, {"click": 1, "like": 1})
    assert overview["seen_items"] == 2
    asked = http.get("/recommendations", params={"user_id": USER}).json()
    assert overview["precomputed"]["model_version"] == asked["model_version"] == "1"
    assert overview["precomputed"]["items"][:10] == asked["items"]


def test_a_user_that_nobody_knows_is_404_and_one_whose_redis_was_emptied_is_not(
    stores: Stores, shop: tuple[Scope, str], http: httpx.Client
) -> None:
    unknown = http.get("/users", params={"user_id": "nobody"})
    assert (unknown.status_code, unknown.headers["content-type"]) == (404, "application/problem+json")
    assert "There is no user 'nobody'" in unknown.json()["detail"]
    assert "Check the id" in unknown.json()["detail"]
    stores.history.delete(shop[0], [USER])
    found = http.get("/users", params={"user_id": USER}).json()
    assert [each["item_id"] for each in found["history"]] == ["item/2", "item/1"]


def test_a_user_of_another_tenant_is_not_shown(stores: Stores, shop: tuple[Scope, str], http: httpx.Client) -> None:
    scope, _ = shop
    other, key = add_scenario(stores)
    url = str(http.base_url)
    for scenario in (scope.scenario_id, other.scenario_id):
        answer = httpx.get(
            f"{url.replace(scope.scenario_id, scenario).rstrip('/')}/users",
            params={"user_id": USER},
            headers={"Authorization": f"Bearer {key}"},
        )
        assert answer.status_code == 404
        assert "铸铁炒锅" not in answer.text
        assert "item/1" not in answer.text


def test_a_profile_of_an_older_release_counts_as_none(
    stores: Stores, shop: tuple[Scope, str], http: httpx.Client
) -> None:
    stores.documents.put(PROFILES, shop[0], {USER: {"user_id": USER, "touches": 2}})
    assert http.get("/users", params={"user_id": USER}).json()["profile"] is None


def test_a_user_by_command_line(stores: Stores, shop: tuple[Scope, str], monkeypatch: pytest.MonkeyPatch) -> None:
    scope, key = shop
    settings = stores.settings
    assert settings.redis_url
    assert settings.clickhouse_url
    for name, value in {
        "HOME": str(settings.home),
        "REDIS_URL": settings.redis(0),
        "CLICKHOUSE_URL": settings.clickhouse_url.get_secret_value(),
        "KEY": key,
    }.items():
        monkeypatch.setenv(f"LEMO_{name}", value)
    command = ["users", "show", "--scenario", scope.scenario_id, "--user", f" {USER} "]
    assert "update-user-profiles-2hours" in CliRunner().invoke(app, command).output
    profile(stores, scope, unattended())
    precompute(stores, scope, unattended())
    table = CliRunner().invoke(app, command)
    assert table.exit_code == 0, (table.output, table.exception)
    for word in ("kitchen ", "iron 100%", "like 1", "铸铁炒锅", 'because of "铸铁炒锅"', "model 1"):
        assert word in table.stdout
    printed = CliRunner().invoke(app, [*command, "--format", "json"])
    assert json.loads(printed.stdout)["profile"]["tags"] == [{"label": "iron", "weight": 1.0}]
    unknown = CliRunner().invoke(app, [*command[:-1], "nobody"])
    assert unknown.exit_code == 1
    assert "There is no user 'nobody'" in str(unknown.exception)
