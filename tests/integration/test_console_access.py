"""Who may see the console and act in it: without accounts, with accounts and keys, and when sessions end."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lemo.cli.main import app
from lemo.console.access import Access
from lemo.console.attempts import MOST_KEPT, SECONDS, Attempts
from lemo.console.login import OF_BOTH, LoginPage
from lemo.console.queries import Queries
from lemo.console.visitor import Visitor
from lemo.domain.account import Account
from lemo.domain.api_key import KeyWishes
from lemo.domain.errors import NotAllowed, TooMuch, WrongCredential
from lemo.settings import Settings
from lemo.stores.bootstrap import ensure_admin

PASSWORD = "correct horse battery"


class Console:
    """What stands behind the pages of a console."""

    def __init__(self, settings: Settings) -> None:
        ensure_admin(settings)
        self.queries = Queries(settings)
        self.stores = self.queries.stores
        self.access = Access(settings, self.queries)
        self.login = LoginPage(self.queries, self.access)

    def visitor(self, **session: Any) -> Visitor | None:
        return self.access._visitor_of({"until": time.time() + 60, **session})

    def account(self, name: str, role: Any) -> Account:
        return self.stores.accounts.create("default", name, role, PASSWORD, "me")


@pytest.fixture
def settings(tmp_path: Path, redis_url: str) -> Settings:
    return Settings(home=tmp_path, redis_url=redis_url)


@pytest.fixture
def console(settings: Settings) -> Console:
    return Console(settings)


def session_of(account: Account) -> dict[str, Any]:
    return {"account": account.name, "since": account.password_set_at.isoformat()}


def test_on_this_machine_it_is_open_until_there_is_an_account(console: Console) -> None:
    everybody = console.visitor()
    assert everybody is not None
    assert (everybody.tenant_id, everybody.role, everybody.by) == ("default", "admin", "default, console")
    console.access.require(everybody, "admin")
    ann = console.account("ann", "operator")
    assert console.visitor() is None
    with pytest.raises(WrongCredential, match="not logged in any more"):
        console.access.require(everybody, "viewer")
    console.stores.accounts.delete("default", ann.name, "me")
    console.access.require(everybody, "admin")


def test_on_other_addresses_it_asks_without_any_account(settings: Settings) -> None:
    assert Console(settings.model_copy(update={"console_host": "0.0.0.0"})).visitor() is None


def test_a_role_may_do_what_it_says_and_no_more(console: Console) -> None:
    for role, allowed in (("viewer", 1), ("operator", 2), ("admin", 3)):
        visitor = console.visitor(**session_of(console.account(role, role)))
        assert visitor is not None
        assert visitor.by == f"default, console (account {role})"
        for place, needed in enumerate(("viewer", "operator", "admin")):
            if place < allowed:
                console.access.require(visitor, needed)  # type: ignore[arg-type]
            else:
                with pytest.raises(NotAllowed, match=f"takes the role {needed}"):
                    console.access.require(visitor, needed)  # type: ignore[arg-type]


def test_a_session_ends_with_its_time_its_password_and_its_account(console: Console) -> None:
    ann = console.account("ann", "operator")
    session = session_of(ann)
    assert console.visitor(**session) is not None
    for wrong in (
        {"until": time.time() - 1},
        {"until": None},
        {"since": "2026-01-01T00:00:00+00:00"},
        {"account": "bob"},
    ):
        assert console.visitor(**session | wrong) is None
    visitor = console.visitor(**session)
    assert visitor is not None
    console.stores.accounts.set_password("default", "ann", "another horse battery", "me")
    assert console.visitor(**session) is None
    with pytest.raises(WrongCredential):
        console.access.require(visitor, "viewer")
    now = console.stores.accounts.get("ann")
    assert now is not None
    assert console.visitor(**session_of(now)) is not None
    visitor = console.visitor(**session_of(now))
    assert visitor is not None
    console.stores.accounts.change("default", "ann", "me", role="viewer")
    with pytest.raises(WrongCredential):  # the open page is drawn anew, with what the other role may
        console.access.require(visitor, "viewer")
    viewer = console.visitor(**session_of(now))
    assert (viewer and viewer.role) == "viewer"
    console.account("bob", "admin")
    console.stores.accounts.delete("default", "ann", "me")
    assert console.visitor(**session_of(now)) is None


def test_a_key_logs_in_where_its_tenant_has_no_accounts(console: Console) -> None:
    console.stores.tenants.create("acme")
    key = console.stores.api_keys.create("acme", KeyWishes(role="operator"))
    console.account("ann", "operator")  # of another tenant
    found = console.login._key("10.0.0.1", f" {key.key} ")
    assert found.id == key.id
    visitor = console.visitor(tenant="acme", key=key.id)
    assert visitor is not None
    assert (visitor.role, visitor.by) == ("operator", f"acme, console (key {key.id})")
    with pytest.raises(NotAllowed):
        console.login._key("10.0.0.1", console.stores.api_keys.create("acme", KeyWishes(role="read")).key)
    with pytest.raises(NotAllowed, match="have accounts"):
        console.login._key("10.0.0.1", console.stores.api_keys.create("default").key)
    console.stores.api_keys.revoke("acme", key.id)
    assert console.visitor(tenant="acme", key=key.id) is None


def test_attempts_are_limited(console: Console) -> None:
    console.account("ann", "operator")
    assert console.login._account("10.0.0.1", " ANN ", PASSWORD).name == "ann"
    for _ in range(OF_BOTH):
        with pytest.raises(WrongCredential, match="Account or password is wrong"):
            console.login._account("10.0.0.1", "ann", "wrong horse battery")
    with pytest.raises(TooMuch, match="too many attempts"):
        console.login._account("10.0.0.1", "ann", PASSWORD)
    assert console.login._account("10.0.0.2", "ann", PASSWORD).name == "ann", "nobody else is locked out"
    lines = [line for line in console.stores.audit.list("default", 100) if line.action == "console.login"]
    assert [line.by for line in lines] == ["default, console (account ann)"] * 2


def test_failed_attempts_are_forgotten_after_a_while() -> None:
    now = 100.0
    attempts = Attempts(lambda: now)
    limits = [("address a", 2)]
    attempts.begin(limits)
    attempts.succeeded(limits)
    attempts.begin(limits)
    now += 1
    attempts.begin(limits)
    with pytest.raises(TooMuch) as refused:
        attempts.begin(limits)
    assert refused.value.seconds == SECONDS - 1
    now += SECONDS - 1
    attempts.begin(limits)
    with pytest.raises(TooMuch):
        attempts.begin(limits)
    for number in range(MOST_KEPT + 10):
        attempts.begin([(str(number), 5)])
    assert len(attempts._failed) == MOST_KEPT


def test_accounts_by_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LEMO_HOME", str(tmp_path))

    def lemo(*words: str, password: str = "") -> Any:
        result = CliRunner().invoke(app, ["accounts", *words], input=f"{password}\n", catch_exceptions=False)
        assert PASSWORD not in result.output
        return json.loads(result.stdout) if "json" in words else result.stdout

    settings = Settings()
    ensure_admin(settings)
    lemo("create", "ann", "--role", "operator", password=PASSWORD)
    (ann,) = lemo("list", "--format", "json")
    assert (ann["name"], ann["role"], set(ann)) == ("ann", "operator", set(Account.model_fields))
    console = Console(settings)
    assert console.stores.accounts.authenticate("ann", PASSWORD) is not None
    lemo("password", "ann", password="another horse battery")
    assert console.stores.accounts.authenticate("ann", "another horse battery") is not None
    lemo("role", "ann", "viewer")
    assert lemo("list", "--format", "json")[0]["role"] == "viewer"
    lemo("delete", "ann")
    assert lemo("list", "--format", "json") == []
