"""A deleted scenario leaves nothing in any store, whenever the deletion is cut short, and others stay whole."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from pymilvus import MilvusClient

from consumers import START, connected, consume, consumer_settings, letters, publish, write_events
from lemo.domain.errors import Conflict, EngineUnavailable, NotFound
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.jobs.embeddings import embed
from lemo.jobs.precompute import precompute
from lemo.jobs.profiles import profile
from lemo.jobs.report import unattended
from lemo.jobs.similarity import compute_similarity
from lemo.scheduling import scenario_deletion
from lemo.scheduling.scenario_deletion import delete_scenario, finish_deletions
from lemo.stores.connect import Stores
from lemo.stores.documents import AUDIT, KINDS
from lemo.stores.documents.schedules import Setting
from lemo.stores.redis.lease import Lease
from lemo.streams.messages import event_message
from sites import model_of, publish_model

ENTRY = "train-model-daily"


@pytest.fixture
def stores(request: pytest.FixtureRequest, tmp_path: Path, scope: Scope, milvus_uri: str) -> Iterator[Stores]:
    own = {"milvus_uri": milvus_uri, "embedding_dimensions": 8}
    with connected(consumer_settings(request, "redis", tmp_path).model_copy(update=own), scope) as stores:
        stores.events.migrate()
        yield stores


@pytest.fixture
def other(stores: Stores, scope: Scope) -> Scope:
    """A scenario of the same tenant whose name begins as the other one's, with a user whose id looks like a scope."""
    other = Scope(scope.tenant_id, f"{scope.scenario_id}-2")
    stores.scenarios.create(scope.tenant_id, scenario_from_template(other.scenario_id, "vlog"))
    fill(stores, other, f"x:{scope.tenant_id}:{scope.scenario_id}")
    return other


def fill(stores: Stores, scope: Scope, user: str = "u") -> None:
    """Data in every store."""
    items = [Item(item_id=f"item/{n}", title=f"name {n}", categories=["c"]) for n in range(6)]
    arrived = [START] * len(items)
    stores.items.upsert(scope, items, arrived)
    stores.availability.add(scope, items, arrived)
    stores.item_feed.add(scope, [item.item_id for item in items])
    stores.embedding_queue.add(scope, [item.item_id for item in items])
    events = [
        Event(user_id=f"{user}{n % 3}", item_id=f"item/{n % 6}", action="like", timestamp=START + n * 1000)
        for n in range(18)
    ]
    write_events(stores, scope, events)
    publish_model(stores, scope, "1", model_of())
    stores.runs.create(scope.tenant_id, ENTRY, scope.scenario_id, "manual")
    stores.schedules.set(ENTRY, scope, Setting(cron="1 2 * * *"), "test")
    entry = f"{stores.keys.prefix}redbeat:{ENTRY}@{scope}"
    stores.redis.hset(entry, "definition", "{}")
    stores.redis.zadd(f"{stores.keys.prefix}redbeat::schedule", {entry: 1})
    for job in (embed, profile, compute_similarity, precompute):
        job(stores, scope, unattended())


def traces(stores: Stores, scope: Scope) -> dict[str, set[str]]:
    """What the engines themselves say that they hold of a scenario: tables, keys, folders, collections."""
    name = scope.scenario_id
    found: dict[str, set[str]] = {"documents": set(), "clickhouse": set(), "redis": set()}
    with closing(sqlite3.connect(stores.settings.state / "documents.sqlite")) as file:
        for kind in set(KINDS) - {AUDIT}:  # that the scenario was there, and who deleted it, stays known
            where = "scenario = ? OR id = ? OR id LIKE ? OR json_extract(body, '$.scenario_id') = ?"
            rows = file.execute(f'SELECT id FROM "{kind.name}" WHERE {where}', (name, name, f"%/{name}", name))
            if rows.fetchone():
                found["documents"].add(kind.name)
    client = clickhouse_connect.get_client(dsn=stores.settings.clickhouse)
    database = {"d": stores.settings.clickhouse_database}
    tables = "SELECT table FROM system.columns WHERE database = {d:String} AND name = 'scenario_id'"
    for (table,) in client.query(tables, parameters=database).result_rows:
        rows_of = f"SELECT count() FROM {database['d']}.{table} WHERE scenario_id = {{s:String}}"
        if client.query(rows_of, parameters={"s": name}).result_rows[0][0]:
            found["clickhouse"].add(table)
    client.close()
    for key in stores.redis.scan_iter(f"{stores.keys.prefix}*", count=1000):
        what, *parts = key.decode().removeprefix(stores.keys.prefix).split(":")
        if parts[:2] == [scope.tenant_id, name] or (what == "lease" and parts[1:3] == [scope.tenant_id, name]):
            found["redis"].add(what)
    timers: list[Any] = list(stores.redis.zrange(f"{stores.keys.prefix}redbeat::schedule", 0, -1))
    timers += list(stores.redis.scan_iter(f"{stores.keys.prefix}redbeat:{ENTRY}*", count=10_000))
    found["redis"] |= {"redbeat" for timer in timers if timer.decode().endswith(f"@{scope}")}
    folders = [stores.settings.state / "snapshots", stores.settings.state / "snapshot-cache"]
    found["snapshots"] = {str(path) for folder in folders for path in folder.rglob(name)}
    milvus = MilvusClient(stores.settings.milvus)
    collections = [each for each in milvus.list_collections() if each.startswith(f"{stores.settings.installation}_")]
    milvus.close()
    prefix = stores.vectors._prefix(scope)
    found["milvus"] = {each for each in collections if each.startswith(prefix)}
    return found


def test_nothing_is_left_of_a_deleted_scenario_and_all_of_another(stores: Stores, scope: Scope, other: Scope) -> None:
    fill(stores, scope)
    before, others = traces(stores, scope), traces(stores, other)
    assert {"items", "profiles", "runs", "schedules", "schedule_changes", "scenarios"} <= before["documents"]
    assert before["clickhouse"] >= {"events", "events_hourly"}
    assert before["redis"] >= {"history", "seen", "recommended", "latest", "availability", "item-feed", "redbeat"}
    assert all(before.values()), before

    removed = delete_scenario(stores, scope, "test")
    line = stores.audit.list(scope.tenant_id, 1)[0]
    assert (line.action, line.subject, line.by) == ("scenario.delete", scope.scenario_id, "test")
    assert removed["ClickHouse: events"] == 18
    assert removed["documents"] >= 6
    left = traces(stores, scope)
    # Until no writer can be at work any more.
    assert left.pop("documents") == {"deleted_scenarios"}
    assert not any(left.values()), left
    assert traces(stores, other) == others
    assert stores.events.count(other) == 18

    # What comes late is a dead letter, and the name is free again.
    late = event_message(scope, Event(user_id="u1", item_id="item/1", action="like", timestamp=START))
    publish(stores, stores.settings.kafka_event_topic, [late])
    consume(stores.settings, stores)
    assert [letter.fault for letter in letters(stores, scope.tenant_id)] == ["unknown-scenario"]
    with pytest.raises(NotFound):
        delete_scenario(stores, Scope(scope.tenant_id, "never-was"), "test")
    stores.scenarios.create(scope.tenant_id, scenario_from_template(scope.scenario_id, "news"))
    publish(stores, stores.settings.kafka_event_topic, [late])
    consume(stores.settings, stores)
    assert stores.events.count(scope) == 1


@pytest.mark.parametrize(
    "step",
    ["delete_scope", pytest.param("drop_all", marks=pytest.mark.long), pytest.param("delete", marks=pytest.mark.long)],
)
def test_a_deletion_that_was_cut_short_goes_on(
    stores: Stores, scope: Scope, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """By repeating it, or by a worker; meanwhile nobody can make a scenario of this name."""
    fill(stores, scope)
    place = {"delete_scope": stores.removal, "drop_all": stores.vectors, "delete": stores.key_removal}[step]

    def gone(*_: Any) -> int:
        raise EngineUnavailable("It is away.")

    with monkeypatch.context() as patch:
        patch.setattr(place, step, gone)
        with pytest.raises(EngineUnavailable):
            delete_scenario(stores, scope, "test")
    with pytest.raises(NotFound):
        stores.scenarios.get(scope)
    with pytest.raises(Conflict, match="is being deleted"):
        stores.scenarios.create(scope.tenant_id, scenario_from_template(scope.scenario_id, "vlog"))
    if step == "drop_all":
        delete_scenario(stores, scope, "test")
    else:
        monkeypatch.setattr(scenario_deletion, "SETTLED", timedelta(0))
        finish_deletions(stores)
    left = traces(stores, scope)
    assert left.pop("documents") == {"deleted_scenarios"}
    assert not any(left.values()), left
    monkeypatch.setattr(scenario_deletion, "SETTLED", timedelta(0))
    finish_deletions(stores)
    assert traces(stores, scope)["documents"] == set()


def test_a_scenario_on_which_a_job_is_at_work_is_not_deleted(stores: Stores, scope: Scope) -> None:
    with Lease(stores.redis, ENTRY, scope, keys=stores.keys) as lease:
        assert lease.acquire()
        with pytest.raises(Conflict, match=ENTRY):
            delete_scenario(stores, scope, "test")
        assert stores.scenarios.exists(scope)
    delete_scenario(stores, scope, "test")
    assert not stores.scenarios.exists(scope)
