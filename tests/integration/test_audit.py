"""The audit log over HTTP and by command: each change has its line, and names who made it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from lemo.api.roles import ROLES
from lemo.cli.main import app
from lemo.domain.errors import InvalidInput
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.intake.changes import Changes
from lemo.intake.publishing import Ingest
from lemo.models.promotion import TRAINING
from lemo.settings import Settings
from lemo.stores.audit_log import audit_lines
from lemo.stores.bootstrap import ensure_admin
from lemo.stores.connect import Stores
from lemo.stores.documents.api_keys import key_id
from lemo.stores.documents.models import KIND, ModelRecord
from lemo.stores.redis.lease import next_fence
from sites import add_scenario, begin_catalogue, model_of, running_api, settings_of

DAILY = "train-model-daily"
WITHOUT_LINES = {
    # Each of these only reads, or is data that goes through the ingest log and is kept there.
    ("POST", "/v1/scenarios/{scenario}/recommendations"),
    ("POST", "/v1/scenarios/{scenario}/recommendations/batch"),
    ("POST", "/v1/scenarios/{scenario}/similar"),
    ("POST", "/v1/scenarios/{scenario}/pipeline/check"),
    ("POST", "/v1/scenarios/{scenario}/audience"),
    ("POST", "/v1/scenarios/{scenario}/items"),
    ("POST", "/v1/scenarios/{scenario}/events"),
    ("PATCH", "/v1/scenarios/{scenario}/items"),
    ("POST", "/v1/dead-letters/replay"),
    # These leave lines with the tenant `default` (test_keys).
    ("POST", "/v1/tenants"),
    ("DELETE", "/v1/tenants"),
    # These need all stores: tests/integration/test_erasure_by_people.py.
    ("DELETE", "/v1/users"),
    ("POST", "/v1/users/merge"),
    ("DELETE", "/v1/scenarios/{scenario}"),
    # These need a broker: tests/integration/test_schedule_services.py.
    ("POST", "/v1/schedules/{entry}/run"),
    ("POST", "/v1/jobs/run"),
}


class Site:
    def __init__(self, stores: Stores, scope: Scope, key: str, http: httpx.Client) -> None:
        self.stores, self.scope, self.http = stores, scope, http
        self.by = f"{scope.tenant_id}, API (key {key_id(key)})"
        http.headers["Authorization"] = f"Bearer {key}"

    def lines(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.http.get("/v1/audit").json()["lines"]
        return found


@pytest.fixture
def site(tmp_path: Path, redis_url: str) -> Iterator[Site]:
    stores = Stores(settings_of(tmp_path, redis_url))
    scope, key = add_scenario(stores)
    begin_catalogue(stores, scope)
    with running_api(stores) as address, httpx.Client(base_url=address, timeout=30) as http:
        yield Site(stores, scope, key, http)


def test_each_changing_route_leaves_a_line(site: Site) -> None:
    http, scenario = site.http, site.scope.scenario_id
    stores, scope = site.stores, site.scope
    stores.items.upsert(scope, [Item(item_id="lamp")], [1])
    for version in ("1", "2"):
        stores.snapshots.publish(scope, KIND, version, *model_of().to_arrays())
        stores.models.record(scope, ModelRecord(version=version, kind="blend"))
    stores.model_changes.put_in_service(scope, "1", next_fence(stores.redis, TRAINING, scope), "promote", "training")
    made = http.post("/v1/keys", json={"role": "read", "name": "web"}).json()
    rotated = http.post("/v1/keys/rotate", params={"id": made["id"]}).json()
    person = f"ann@{scope.tenant_id}"
    calls: list[tuple[str, str, dict[str, Any], str, str]] = [
        ("DELETE", "/v1/keys", {"params": {"id": rotated["id"]}}, "key.revoke", rotated["id"]),
        (
            "POST",
            "/v1/accounts",
            {"json": {"name": person, "role": "viewer", "password": "correct horse battery"}},
            "account.create",
            person,
        ),
        ("PATCH", "/v1/accounts", {"params": {"name": person}, "json": {"role": "operator"}}, "account.role", person),
        ("DELETE", "/v1/accounts", {"params": {"name": person}}, "account.delete", person),
        ("POST", "/v1/scenarios", {"json": {"scenario_id": "b", "template": "news"}}, "scenario.create", "b"),
        ("PATCH", "/v1/scenarios/{scenario}", {"json": {"active_days": 9}}, "scenario.edit", scenario),
        ("DELETE", "/v1/scenarios/{scenario}/items", {"params": {"item_id": "lamp"}}, "item.delete", "lamp"),
        ("POST", "/v1/scenarios/{scenario}/models/promote", {"json": {"version": "2"}}, "model.promote", "2"),
        ("POST", "/v1/scenarios/{scenario}/models/rollback", {}, "model.rollback", "1"),
        ("PUT", "/v1/scenarios/{scenario}/pipeline", {"json": {"pipeline": {}}}, "pipeline.change", "version 1"),
        ("PATCH", "/v1/scenarios/{scenario}/pipeline", {"json": {}}, "pipeline.change", "version 2"),
        ("POST", "/v1/scenarios/{scenario}/pipeline/rollback", {}, "pipeline.change", "version 3"),
        (
            "POST",
            "/v1/scenarios/{scenario}/experiments",
            {"json": {"name": "ab", "arms": [{"name": "a"}, {"name": "b"}]}},
            "experiment.create",
            "ab",
        ),
        (
            "PATCH",
            "/v1/scenarios/{scenario}/experiments",
            {"json": {"name": "ab", "state": "stopped"}},
            "experiment.stop",
            "ab",
        ),
        ("PATCH", "/v1/schedules/{entry}", {"json": {"scenario": scenario, "paused": True}}, "schedule.pause", DAILY),
    ]
    changing = {route for route in ROLES if route[0] != "GET"} - WITHOUT_LINES
    assert changing == {(method, path) for method, path, *_ in calls} | {
        ("POST", "/v1/keys"),
        ("POST", "/v1/keys/rotate"),
    }
    for method, path, rest, action, subject in calls:
        before = len(site.lines())
        answer = http.request(method, path.replace("{scenario}", scenario).replace("{entry}", DAILY), **rest)
        assert answer.is_success, (path, answer.text)
        first, *others = site.lines()
        assert len(others) == before, path
        assert (first["by"], first["action"], first["subject"]) == (site.by, action, subject)
    count = len(site.lines())
    items = f"/v1/scenarios/{scenario}/items"
    for change, more in (({"in_stock": False}, 0), ({"deleted": True}, 1)):
        assert http.patch(items, params={"item_id": "lamp"}, json=change).is_success
        assert len(site.lines()) == count + more, "a deletion has its line, whichever way it comes"
    lines = [(line["action"], line["subject"]) for line in site.lines()]
    assert {("key.rotate", made["id"]), ("key.create", made["id"]), ("key.create", rotated["id"])} <= set(lines)
    assert made["key"] not in http.get("/v1/audit").text
    refused = http.request("DELETE", f"/v1/scenarios/{scenario}/items", params={"item_id": "nothing"})
    assert (refused.status_code, len(site.lines())) == (404, len(lines)), "what changes nothing leaves no line"
    assert http.get("/v1/audit", params={"limit": 2}).json()["lines"] == site.lines()[:2]


def test_another_tenant_sees_nothing_of_it(site: Site) -> None:
    site.http.post("/v1/keys", json={"role": "read"})
    stranger = add_scenario(site.stores)[1]
    lines = site.http.get("/v1/audit", headers={"Authorization": f"Bearer {stranger}"}).json()["lines"]
    assert [(line["action"], line["by"]) for line in lines] == [("key.create", "Lemo")]


def test_changes_by_command_name_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LEMO_HOME", str(tmp_path))

    def lemo(*words: str) -> Any:
        result = CliRunner().invoke(app, [*words], catch_exceptions=False)
        return json.loads(result.stdout) if "json" in words else result.stdout

    ensure_admin(Settings())
    lemo("tenants", "create", "acme")
    made = lemo("keys", "create", "--role", "read", "--format", "json")
    lemo("keys", "revoke", made["id"])
    lemo("keys", "create", "--tenant", "acme", "--role", "admin")
    lemo("scenarios", "create", "shop", "--template", "ecommerce")
    lemo("scenarios", "edit", "shop", "--set", "active_days=30")
    lines = lemo("audit", "--format", "json")
    assert [(line["action"], line["subject"]) for line in lines[:-1]] == [
        ("scenario.edit", "shop"),
        ("scenario.create", "shop"),
        ("key.revoke", made["id"]),
        ("key.create", made["id"]),
        ("tenant.create", "acme"),
    ]
    assert all(line["by"].startswith("default, command line (") for line in lines[:-1])
    assert lines[-1]["by"] == "Lemo"
    (theirs,) = lemo("audit", "--tenant", "acme", "--format", "json")
    assert theirs["by"].startswith("default, command line (")
    assert "scenario.edit" in lemo("audit", "--limit", "1")
    stores = Stores(Settings())
    assert len(audit_lines(stores, "default", 3)) == 3
    stores.close()


def test_what_is_changed_by_hand_is_noted_and_names_no_user(site: Site) -> None:
    scenario = site.stores.scenarios.get(site.scope)
    site.stores.items.upsert(site.scope, [Item(item_id="lamp")], [1])
    ingest = Ingest(site.stores)
    changes = Changes(site.stores, ingest)
    changes.change(site.scope, scenario, "lamp", {"title": "Lamp", "is_active": False}, "me")
    assert [line["action"] for line in site.lines()] == ["key.create"]
    changes.change(site.scope, scenario, "lamp", {"title": "Lamp", "is_active": False}, "me", by_hand=True)
    event = {"user_id": "secret user", "item_id": "lamp", "action": "click", "timestamp": 1_700_000_000_000}
    changes.send(site.scope, scenario, event, "me")
    with pytest.raises(InvalidInput, match="clique"):
        changes.send(site.scope, scenario, event | {"action": "clique"}, "me")
    with pytest.raises(InvalidInput, match="tags"):
        changes.change(site.scope, scenario, "lamp", {"tags": 7}, "me", by_hand=True)
    sent, changed, _ = site.lines()
    assert (sent["action"], sent["subject"], sent["by"], sent["detail"]) == (
        "event.send",
        "lamp",
        "me",
        {"sent": "click"},
    )
    assert (changed["action"], changed["subject"]) == ("item.change", "lamp")
    assert changed["detail"] == {"fields": ["is_active", "title"]}
    assert "secret user" not in json.dumps(site.lines())
    ingest.close()
