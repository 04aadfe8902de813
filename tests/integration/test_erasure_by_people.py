"""Erasure, merge and deletion as people ask for them: over HTTP and by command. The examples of the docs run here."""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from consumers import START, connected, consumer_settings, environment_of, write_events
from lemo.cli.main import app
from lemo.domain.api_key import KeyWishes
from lemo.domain.event import Event
from lemo.domain.scope import Scope
from lemo.stores.connect import Stores
from lemo.stores.documents import ERASURES
from servers import ROOT
from sites import add_scenario, running_api

Ask = Callable[..., httpx.Response]
Lemo = Callable[..., Result]


@pytest.fixture
def stores(request: pytest.FixtureRequest, tmp_path: Path, scope: Scope, milvus_uri: str) -> Iterator[Stores]:
    settings = consumer_settings(request, "redis", tmp_path).model_copy(update={"milvus_uri": milvus_uri})
    with connected(settings, scope) as stores:
        stores.events.migrate()
        users = ("user 7", "guest 81", "other")
        write_events(
            stores, scope, [Event(user_id=user, item_id="a", action="like", timestamp=START) for user in users]
        )
        yield stores


@pytest.fixture
def ask(stores: Stores, scope: Scope) -> Iterator[Ask]:
    key = stores.api_keys.create(scope.tenant_id).key
    with (
        running_api(Stores(stores.settings, interactive=True)) as address,
        httpx.Client(base_url=address, timeout=60) as http,
    ):

        def ask(method: str, path: str, **rest: Any) -> httpx.Response:
            return http.request(method, path, **({"headers": {"Authorization": f"Bearer {key}"}} | rest))

        yield ask


@pytest.fixture
def lemo(stores: Stores, scope: Scope, monkeypatch: pytest.MonkeyPatch) -> Lemo:
    key = stores.api_keys.create(scope.tenant_id).key
    for name, value in (environment_of(stores.settings) | {"LEMO_KEY": key}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LEMO_MILVUS_URI", stores.settings.milvus)

    def lemo(*words: str) -> Result:
        return CliRunner().invoke(app, [*words])

    return lemo


def users(stores: Stores, scope: Scope) -> set[str]:
    return set(stores.events.interactions(scope)["user_id"].to_pylist())


def logged(stores: Stores, scope: Scope) -> tuple[str, str, str]:
    """Action, subject and who of the newest line of the audit log."""
    (line,) = stores.audit.list(scope.tenant_id, 1)
    return line.action, line.subject, line.by


def test_a_user_is_erased_and_the_receipt_is_checked_over_http(stores: Stores, scope: Scope, ask: Ask) -> None:
    answer = ask("DELETE", "/v1/users", params={"user_id": "user 7"})
    assert answer.status_code == 200, answer.text
    receipt = answer.json()
    assert receipt["clean"]
    assert "user 7" not in answer.text
    assert {part["store"]: part["removed"] for part in receipt["stores"]}["ClickHouse: events"] == 1
    assert receipt["erased_by"].startswith(f"{scope.tenant_id}, API (key ")
    assert users(stores, scope) == {"guest 81", "other"}
    assert logged(stores, scope) == ("user.erase", f"receipt {receipt['receipt_id']}", receipt["erased_by"])

    named = {"receipt_id": receipt["receipt_id"]}
    assert ask("GET", "/v1/users/erasures", params=named).json() == receipt
    again = ask("GET", "/v1/users/erasures", params=named | {"user_id": "user 7"}).json()
    assert again["clean"]
    assert again["verified_at"] > receipt["verified_at"]
    wrong = ask("GET", "/v1/users/erasures", params=named | {"user_id": "other"})
    assert (wrong.status_code, "another user" in wrong.text) == (422, True)
    assert ask("GET", "/v1/users/erasures", params={"receipt_id": "x"}).status_code == 404
    missing = ask("DELETE", "/v1/users", params={"user_id": "user 7", "scenario": "none-such"})
    assert missing.status_code == 404


def test_a_user_of_another_tenant_is_not_touched(stores: Stores, scope: Scope, ask: Ask) -> None:
    _, key = add_scenario(stores)
    headers = {"Authorization": f"Bearer {key}"}
    receipt = ask("DELETE", "/v1/users", params={"user_id": "user 7"}, headers=headers).json()
    assert receipt["clean"]
    body = {"from": "guest 81", "into": "user 7"}
    assert ask("POST", "/v1/users/merge", json=body, headers=headers).json()["events"] == 0
    assert ask("DELETE", f"/v1/scenarios/{scope.scenario_id}", headers=headers).status_code == 404
    assert users(stores, scope) == {"user 7", "guest 81", "other"}
    assert len(stores.history.read(scope, "user 7")) == 1
    shown = ask("GET", "/v1/users/erasures", params={"receipt_id": receipt["receipt_id"]})
    assert shown.status_code == 404
    operator = stores.api_keys.create(scope.tenant_id, KeyWishes(role="operator")).key
    refused = ask("DELETE", "/v1/users", params={"user_id": "other"}, headers={"Authorization": f"Bearer {operator}"})
    assert refused.status_code == 403


def test_users_are_merged_over_http(stores: Stores, scope: Scope, ask: Ask) -> None:
    body = {"from": "guest 81", "into": "user 7"}
    merged = ask("POST", "/v1/users/merge", json=body)
    assert merged.json() == {"into": "user 7", "events": 1, "scenarios": [scope.scenario_id]}
    action, subject, by = logged(stores, scope)
    assert (action, subject, by.startswith(scope.tenant_id)) == ("user.merge", "all scenarios", True)
    assert ask("POST", "/v1/users/merge", json=body).json()["events"] == 0
    circle = ask("POST", "/v1/users/merge", json={"from": "user 7", "into": "guest 81"})
    assert (circle.status_code, "chains" in circle.json()["detail"]) == (409, True)
    erased = ask("DELETE", "/v1/users", params={"user_id": "guest 81"})
    assert (erased.status_code, "Erase that other user" in erased.json()["detail"]) == (409, True)
    assert ask("POST", "/v1/users/merge", json={"from": "a", "to": "b"}).status_code == 422
    assert users(stores, scope) == {"user 7", "other"}


def test_a_scenario_is_deleted_over_http(stores: Stores, scope: Scope, ask: Ask) -> None:
    path = f"/v1/scenarios/{scope.scenario_id}"
    deleted = ask("DELETE", path)
    assert deleted.status_code == 200, deleted.text
    assert deleted.json()["removed"]["ClickHouse: events"] == 3
    assert logged(stores, scope)[:2] == ("scenario.delete", scope.scenario_id)
    assert ask("DELETE", path).status_code == 404
    assert ask("GET", "/v1/scenarios").json() == {"scenarios": []}
    assert users(stores, scope) == set()


def test_users_and_scenarios_by_command(stores: Stores, scope: Scope, lemo: Lemo) -> None:
    merged = lemo("users", "merge", "guest 81", "user 7", "--format", "json")
    assert json.loads(merged.stdout)["events"] == 1, merged.output
    erased = lemo("users", "erase", "user 7", "--yes", "--format", "json")
    receipt = json.loads(erased.stdout)
    assert (erased.exit_code, receipt["clean"]) == (0, True)
    assert "command line" in receipt["erased_by"]
    assert users(stores, scope) == {"other"}
    checked = lemo("users", "erase", "user 7", "--check", receipt["receipt_id"])
    assert checked.exit_code == 0, checked.output
    assert "ClickHouse: events" in checked.stdout
    event = Event(user_id="user 7", item_id="item/1", action="like", timestamp=START)
    stores.events.insert([(scope, event)])  # as a backup might
    found = lemo("users", "erase", "user 7", "--check", receipt["receipt_id"])
    assert found.exit_code == 1, found.output

    refused = lemo("scenarios", "delete", scope.scenario_id)
    assert refused.exit_code == 1
    assert "not confirmed" in str(refused.exception)
    assert stores.scenarios.exists(scope)
    deleted = lemo("scenarios", "delete", scope.scenario_id, "--yes", "--format", "json")
    assert json.loads(deleted.stdout)["ClickHouse: events"] == 2, deleted.output
    assert not stores.scenarios.exists(scope)


def examples() -> list[str]:
    """The commands in docs/users-and-items.md, each on one line."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "users-and-items.md").read_text(), re.S)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def test_the_examples_of_the_docs_run(stores: Stores, scope: Scope, ask: Ask, lemo: Lemo) -> None:
    """By command and over HTTP one after the other: what is done is done again, and the answer is the same."""
    receipt = "7f3a90c1d2e84b6f9a51c0de83b7a642"
    lines = examples()
    assert len(lines) == 8
    for line in lines:
        newest = stores.documents.find(ERASURES, scope.tenant, order="-erased_at", limit=1)
        here = line.replace(receipt, newest[0][0] if newest else receipt)
        words = [word.replace("shop", scope.scenario_id) for word in shlex.split(here)]
        if "delete" in words and words[0] == "lemo":
            words.append("--yes")
        if words[0] == "lemo":
            done = lemo(*words[1:])
            assert done.exit_code == 0, (line, done.output, done.exception)
        else:
            assert words[0] == "curl"
            method = words[words.index("-X") + 1] if "-X" in words else "GET"
            body = words[words.index("-d") + 1] if "-d" in words else None
            path = words[-1].removeprefix("http://127.0.0.1:8000")
            gone = method == "DELETE" and "/scenarios/" in path  # the command has deleted it
            assert ask(method, path, content=body).status_code == (404 if gone else 200), line
    assert users(stores, scope) == set()
