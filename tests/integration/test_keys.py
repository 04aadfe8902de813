"""Keys over HTTP and by command: every route with keys of every role, of another tenant, and of other scenarios."""

import hashlib
import json
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from typer.testing import CliRunner

from lemo.api.roles import ROLES
from lemo.cli.main import app
from lemo.domain.api_key import _INCLUDES, KeyWishes, Role
from lemo.domain.errors import Conflict, InvalidInput, NotAllowed, NotFound, WrongCredential
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import DEFAULT_TENANT, SYSTEM, Scope
from lemo.settings import Settings
from lemo.stores.bootstrap import ensure_admin
from lemo.stores.connect import Stores
from lemo.stores.documents import KEYS, KINDS
from sites import add_scenario, model_of, publish_model, running_api, settings_of, wait_for

OPEN = {"/health/live", "/health/ready", "/metrics"}


class Site:
    def __init__(self, stores: Stores, scope: Scope, http: httpx.Client) -> None:
        self.stores, self.scope, self.http = stores, scope, http
        self.path = f"/v1/scenarios/{scope.scenario_id}"

    def key(self, role: Role, **more: Any) -> str:
        return self.stores.api_keys.create(self.scope.tenant_id, KeyWishes(role=role, **more)).key

    def ask(self, key: str, method: str, path: str, **rest: Any) -> httpx.Response:
        return self.http.request(method, path, headers={"Authorization": f"Bearer {key}"}, **rest)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Site]:
    stores = Stores(settings_of(tmp_path_factory.mktemp("keys"), redis_url))
    scope, _ = add_scenario(stores)
    publish_model(stores, scope, "1", model_of())
    with running_api(stores) as address, httpx.Client(base_url=address, timeout=30) as http:
        yield Site(stores, scope, http)


def test_every_route_asks_for_the_role_that_is_listed_and_for_the_tenant(site: Site) -> None:
    keys = {role: site.key(role) for role in get_args(Role)}
    stranger = add_scenario(site.stores)[1]
    paths = site.http.get("/openapi.json").json()["paths"]
    routes = [(method.upper(), path) for path, methods in paths.items() for method in methods if path not in OPEN]
    assert set(routes) == set(ROLES), "every route has its least role, and every role its route"
    for method, path in routes:
        needed = ROLES[method, path]
        real = path.replace("{scenario}", site.scope.scenario_id).replace("{version}", "1").replace("{entry}", "x")
        body = None if method in ("GET", "DELETE") else b"{"
        assert site.http.request(method, real, content=body).status_code == 401, (method, path)
        for role, key in keys.items():
            # What an administrator may delete is needed by the next routes.
            asked = f"{site.path}-gone" if (method, real) == ("DELETE", site.path) else real
            answer = site.ask(key, method, asked, content=body)
            # Only the administrators of the tenant `default` manage tenants.
            allowed = needed in _INCLUDES[role] and path != "/v1/tenants"
            assert (answer.status_code != 403) == allowed, (method, path, role, answer.text)
            assert answer.status_code not in (401, 500), (method, path, role, answer.text)
        if "{scenario}" in path:
            assert site.ask(stranger, method, real, content=body).status_code == 404, (method, path)


def test_administrators_of_the_installation_make_list_and_delete_tenants(site: Site) -> None:
    stores = site.stores
    with suppress(Conflict):
        stores.tenants.create(DEFAULT_TENANT)
    root = stores.api_keys.create(DEFAULT_TENANT).key
    name = f"acme-{uuid.uuid4().hex[:8]}"

    def ask(method: str, key: str = root, path: str = "/v1/tenants", **rest: Any) -> httpx.Response:
        return site.ask(key, method, path, **rest)

    made = ask("POST", json={"tenant_id": name})
    assert (made.status_code, made.json()["tenant_id"]) == (201, name)
    assert ask("POST", json={"tenant_id": name}).status_code == 409
    assert ask("POST", json={"tenant_id": "No Name"}).status_code == 422
    theirs = made.json()["key"]
    assert ask("GET", key=theirs).status_code == 403, "an administrator of another tenant sees none"
    assert ask("GET", key=stores.api_keys.create(DEFAULT_TENANT, KeyWishes(role="operator")).key).status_code == 403
    assert {"tenant_id": name, "scenarios": 0, "keys": 1} in ask("GET").json()["tenants"]
    scenario = {"scenario_id": "shop", "template": "vlog"}
    assert ask("POST", key=theirs, path="/v1/scenarios", json=scenario).status_code == 201
    refused = ask("DELETE", params={"tenant_id": name})
    assert (refused.status_code, "has scenarios: shop" in refused.json()["detail"]) == (409, True)
    scope = Scope(name, "shop")
    stores.scenarios.begin_deletion(scope, "test")
    assert "being deleted" in ask("DELETE", params={"tenant_id": name}).json()["detail"]
    stores.scenarios.end_deletion(scope)
    stores.scenarios.forget_deletion(scope)
    stores.accounts.create(name, f"ann-{name}", "viewer", "a long password", "test")
    assert ask("DELETE", params={"tenant_id": name}).status_code == 204
    wait_for(lambda: ask("GET", key=theirs, path="/v1/scenarios").status_code == 401)
    assert stores.accounts.get(f"ann-{name}") is None
    assert [stores.documents.ids(kind, Scope(name), {}) for kind in KINDS] == [[] for _ in KINDS]
    assert ask("DELETE", params={"tenant_id": name}).status_code == 404
    assert ask("DELETE", params={"tenant_id": DEFAULT_TENANT}).status_code == 422
    lines = [(line.action, line.subject) for line in stores.audit.list(DEFAULT_TENANT, 50) if line.subject == name]
    assert lines == [("tenant.delete", name), ("tenant.create", name)]


def test_a_key_for_one_scenario_is_for_that_alone_also_on_the_hot_path(site: Site) -> None:
    other = scenario_from_template("other-one", "vlog")
    site.stores.scenarios.create(site.scope.tenant_id, other)
    key = site.key("read", scenarios=["other-one"])
    everywhere = site.key("read")
    for _ in range(2):  # the second answer comes from what is cached
        assert site.ask(everywhere, "GET", f"{site.path}/popular").status_code == 200
        refused = site.ask(key, "GET", f"{site.path}/popular")
        assert (refused.status_code, "may not be used for the scenario" in refused.json()["detail"]) == (403, True)
        assert site.ask(key, "GET", "/v1/scenarios/other-one/latest").status_code == 200
        ingest = site.ask(site.key("ingest"), "GET", f"{site.path}/popular")
        assert "takes the role read" in ingest.json()["detail"]


def test_a_key_is_shown_once_used_revoked_and_rotated(site: Site) -> None:
    admin = site.key("admin")
    made = site.ask(admin, "POST", "/v1/keys", json={"role": "read", "name": "web"})
    assert made.status_code == 201
    key, key_id = made.json()["key"], made.json()["id"]
    assert site.ask(key, "GET", f"{site.path}/popular").status_code == 200
    listed = site.ask(admin, "GET", "/v1/keys")
    assert key not in listed.text
    (shown,) = [each for each in listed.json()["keys"] if each["id"] == key_id]
    assert (shown["role"], shown["name"], shown["scenarios"]) == ("read", "web", None)
    assert shown["last_used_at"] is not None
    rotated = site.ask(admin, "POST", "/v1/keys/rotate", params={"id": key_id, "overlap_hours": 0}).json()
    wait_for(lambda: site.ask(key, "GET", f"{site.path}/popular").status_code == 401)
    assert "expired" in site.ask(key, "GET", f"{site.path}/popular").json()["detail"]
    assert site.ask(rotated["key"], "GET", f"{site.path}/popular").status_code == 200
    assert site.ask(admin, "DELETE", "/v1/keys", params={"id": rotated["id"]}).status_code == 204
    wait_for(lambda: site.ask(rotated["key"], "GET", f"{site.path}/popular").status_code == 401)
    assert site.ask(admin, "DELETE", "/v1/keys", params={"id": rotated["id"]}).status_code == 404
    stranger = add_scenario(site.stores)[1]
    assert site.ask(stranger, "DELETE", "/v1/keys", params={"id": key_id}).status_code == 404


def test_accounts_are_made_changed_and_deleted_by_administrators_of_their_tenant(site: Site) -> None:
    stores, tenant_id = site.stores, site.scope.tenant_id
    name, password, other = f"ann@{tenant_id}", "correct horse battery", "another horse battery"
    admin, stranger = site.key("admin"), add_scenario(stores)[1]

    def ask(method: str, status: int, key: str = admin, **rest: Any) -> Any:
        answer = site.ask(key, method, "/v1/accounts", **rest)
        assert answer.status_code == status, answer.text
        assert "horse" not in answer.text
        assert "argon" not in answer.text
        return answer.json() if answer.content else None

    wanted = {"name": name, "role": "viewer", "password": password}
    made = ask("POST", 201, json=wanted)
    assert (made["name"], made["role"], made["tenant_id"]) == (name, "viewer", tenant_id)
    assert ask("GET", 200)["accounts"] == [made]
    assert ask("GET", 200, key=stranger)["accounts"] == []
    ask("POST", 409, json=wanted)
    ask("POST", 409, key=stranger, json=wanted)
    for wrong in (
        {"password": "short horse"},
        {"password": ["correct horse"]},
        {"role": "king"},
        {"name": "A B"},
        {"x": 1},
    ):
        ask("POST", 422, json=wanted | wrong)
    for method, rest in (("PATCH", {"json": {"role": "admin"}}), ("DELETE", {})):
        ask(method, 404, key=stranger, params={"name": name}, **rest)
    assert ask("PATCH", 200, params={"name": name}, json={"role": "operator"}) == made | {"role": "operator"}
    assert stores.accounts.authenticate(name, password) is not None
    changed = ask("PATCH", 200, params={"name": name}, json={"role": "admin", "password": other})
    assert (changed["role"], changed["password_set_at"] > made["password_set_at"]) == ("admin", True)
    assert stores.accounts.authenticate(name, password) is None
    assert stores.accounts.authenticate(name, other) is not None
    for nothing in ({}, {"role": None}, {"role": "viewer", "password": "short"}):
        ask("PATCH", 422, params={"name": name}, json=nothing)
    assert ask("GET", 200)["accounts"] == [changed], "what is refused changes nothing"
    ask("DELETE", 204, params={"name": name})
    ask("DELETE", 404, params={"name": name})
    assert stores.accounts.get(name) is None
    lines = [(line.action, line.detail) for line in stores.audit.list(tenant_id, 20) if line.subject == name]
    assert [action for action, _ in lines] == [
        "account.delete",
        "account.role",
        "account.password",
        "account.role",
        "account.create",
    ]
    assert lines[3][1] == {"role": "operator", "was": "viewer"}


def test_wishes_that_contradict_each_other_are_refused(site: Site) -> None:
    soon = datetime.now(UTC) - timedelta(seconds=1)
    for wishes in (
        KeyWishes(role="operator", scenarios=["a"]),
        KeyWishes(role="read", scenarios=[]),
        KeyWishes(role="read", expires_at=soon),
    ):
        with pytest.raises(InvalidInput):
            site.stores.api_keys.create(site.scope.tenant_id, wishes)
    with pytest.raises(NotFound):
        site.stores.api_keys.create("nobody")
    assert site.ask(site.key("admin"), "POST", "/v1/keys", json={"role": "king"}).status_code == 422


def test_an_expired_key_is_refused(site: Site) -> None:
    ends = datetime.now(UTC) + timedelta(days=1)
    found = site.stores.api_keys.find(site.key("read", expires_at=ends))
    assert found is not None
    found.check("read", None, ends - timedelta(seconds=1))
    with pytest.raises(WrongCredential, match="has expired"):
        found.check("read", None, ends)


def test_a_key_of_an_older_version_is_an_administrators(site: Site) -> None:
    digest = hashlib.sha256(b"lemo_old").hexdigest()
    body = {"tenant_id": site.scope.tenant_id, "role": "admin", "created_at": "2026-01-01T00:00:00+00:00"}
    site.stores.documents.put(KEYS, SYSTEM, {digest: body})
    listed = site.ask("lemo_old", "GET", "/v1/keys").json()["keys"]
    assert digest[:12] in [each["id"] for each in listed]


def test_keys_and_tenants_by_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LEMO_HOME", str(tmp_path))

    def lemo(*words: str) -> Any:
        result = CliRunner().invoke(app, [*words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return json.loads(result.stdout) if "json" in words else result.stdout

    ensure_admin(Settings())
    lemo("tenants", "create", "acme")
    made = lemo("keys", "create", "--role", "read", "--scenario", "shop", "--expires", "90d", "--format", "json")
    assert made["key"].startswith("lemo_")
    (admin, read) = lemo("keys", "list", "--format", "json")
    assert (admin["role"], read["role"], read["scenarios"], read["id"]) == ("admin", "read", ["shop"], made["id"])
    theirs = lemo("keys", "create", "--tenant", "acme", "--role", "admin", "--format", "json")
    assert lemo("tenants", "list", "--format", "json") == [
        {"tenant": "acme", "scenarios": 0, "keys": 1},
        {"tenant": "default", "scenarios": 0, "keys": 2},
    ]
    page = lemo("keys", "create", "--role", "read", "--origin", "https://Shop.example/", "--format", "json")
    assert lemo("keys", "list", "--format", "json")[-1]["origins"] == ["https://shop.example"]
    with pytest.raises(InvalidInput, match="must be an origin"):
        lemo("keys", "create", "--role", "read", "--origin", "shop.example")
    lemo("keys", "revoke", page["id"])
    lemo("keys", "rotate", made["id"], "--overlap", "1h")
    lemo("keys", "revoke", made["id"])
    with pytest.raises(NotFound):
        lemo("keys", "revoke", made["id"])
    monkeypatch.setenv("LEMO_KEY", made["key"])
    with pytest.raises(WrongCredential, match="unknown here"):
        lemo("scenarios", "list")
    monkeypatch.setenv("LEMO_KEY", theirs["key"])
    assert len(lemo("keys", "list", "--format", "json")) == 1
    for words in (["tenants", "list"], ["tenants", "create", "x"], ["keys", "list", "--tenant", "default"]):
        with pytest.raises(NotAllowed, match="manages tenants"):
            lemo(*words)
    reader = lemo("keys", "create", "--role", "read", "--format", "json")
    monkeypatch.setenv("LEMO_KEY", reader["key"])
    for words in (["keys", "list"], ["scenarios", "list"], ["stats", "--scenario", "shop"]):
        with pytest.raises(NotAllowed, match="role read may not do this"):
            lemo(*words)
