"""States that older programs wrote, brought to this one: every count, aggregate and answer is as it was.

scripts/write-state wrote each with the last commit that had its schema.
"""

import json
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from lemo.domain.errors import Outdated
from lemo.domain.scope import Scope
from lemo.serving.service import RecommendationService
from lemo.settings import Settings
from lemo.stores.clickhouse.events import SCHEMA_VERSION, Events
from lemo.stores.connect import Stores
from lemo.stores.documents.schedules import ALL_SCOPES
from lemo.stores.state_version import STATE_VERSION
from lemo.stores.upgrade import upgrade
from servers import ANSWERS, ROOT, OwnEngine

STATES = sorted((ROOT / "tests" / "deploy" / "states").glob("*.tar.xz"))
SHOP = Scope("default", "shop")
OTHER_MODELS = ("0bbe28d7eeb3658c1b627306d61769d84c84704b", "38dc4b953f9209cf687c6cf0df4aa8c3a2f00e67")
"""Commits whose models are of a form that is no longer read: training makes a new one, and the error says so."""
pytestmark = pytest.mark.deploy


class Old:
    """An unpacked state with its engines: `told` is what the old program told of it."""

    def __init__(self, settings: Settings, told: dict[str, Any]) -> None:
        self.settings, self.told = settings, told

    def stores(self) -> "closing[Stores]":
        return closing(Stores(self.settings))


@pytest.fixture(params=STATES, ids=lambda file: file.name.partition(".")[0])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Old]:
    with tarfile.open(request.param) as tar:
        tar.extractall(tmp_path, filter="data")
    home = tmp_path / "home"

    def engine(name: str, scheme: str) -> OwnEngine:
        command = [sys.executable, "-m", f"lemo.embedded.{name}", "--path", str(home / name), "--port"]
        return OwnEngine(tmp_path / name, scheme, lambda port: [*command, str(port)], ANSWERS[name])

    with ExitStack() as stack:
        urls = {}
        for name, scheme in (("redis", "redis"), ("clickhouse", "http")):
            started = engine(name, scheme)
            started.start()
            stack.callback(started.stop)
            urls[f"{name}_url"] = SecretStr(started.url)
        yield Old(Settings(home=home, **urls), json.loads((tmp_path / "told.json").read_text()))


class Killed(BaseException):
    """The end of a process."""


def killed_after(statements: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Has the tables' migration end after so many statements; returns how many there were since."""
    done = 0
    ask = Events._ask

    class Client:
        def __init__(self, client: Any) -> None:
            self._client = client

        def __getattr__(self, name: str) -> Any:
            nonlocal done
            if name in ("command", "insert"):
                if done == statements:
                    raise Killed
                done += 1
            return getattr(self._client, name)

    monkeypatch.setattr(Events, "_ask", lambda self, run: ask(self, lambda client: run(Client(client))))
    return lambda: done


def test_counts_aggregates_and_answers_are_as_they_were(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    for statements in range(100):
        with monkeypatch.context() as patched, old.stores() as stores:
            count = killed_after(statements, patched)
            try:
                upgrade(stores)
            except Killed:
                continue
            assert count() > 0
            break
    with old.stores() as stores:
        again = upgrade(stores)
        assert [(each.before, each.now) for each in again] == [
            (STATE_VERSION, STATE_VERSION),
            (SCHEMA_VERSION, SCHEMA_VERSION),
        ]
        key = (old.settings.home / "admin.key").read_text().strip()
        assert stores.api_keys.find(key) is not None
        assert stores.schedules.of("cleanup-expired-cache-daily", ALL_SCOPES).paused
        assert [each.version for each in stores.models.list(SHOP)] == [each["version"] for each in old.told["models"]]
        assert sum(not item.deleted for item in stores.items.scan(SHOP)) == old.told["stats"]["items"]
        events = stores.events.interactions(SHOP)
        assert len(events) == old.told["stats"]["events"]
        assert len(set(events["user_id"].to_pylist())) == old.told["stats"]["users"]

        def hours() -> list[dict[str, Any]]:
            found = stores.aggregates.counts(SHOP, "hour", 10_000)
            return [
                {"start": each.start.isoformat(), "events": each.events, "users": each.users, "items": each.items}
                | {"actions": dict(each.actions)}
                for each in found
            ]

        assert hours() == old.told["hours"], "they are right before they are counted anew"
        for epoch in stores.aggregates.abandoned(0):  # as a consumer does after a while
            stores.aggregates.refresh(epoch)
        assert stores.aggregates.abandoned(0) == []
        assert hours() == old.told["hours"]
        with RecommendationService(stores, watch=False) as service:
            answers = service.recommend_many(SHOP, list(old.told["lists"]), 10)
            if old.told["commit"] in OTHER_MODELS:
                with pytest.raises(Outdated, match="written by a version of Lemo that this one cannot read"):
                    list(answers)
            else:
                assert {user: [each.item_id for each in answer.items] for user, answer in answers} == old.told["lists"]
            for item_id, similar in old.told["similar"].items():
                assert [each.item_id for each in service.similar(SHOP, item_id, 5).items] == similar
            assert {each.item_id for each in service.latest(SHOP, 40).items} == set(old.told["latest"])
