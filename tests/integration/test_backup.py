"""A backup under load, restored elsewhere, holds all that was acknowledged before it; nothing half is restored."""

import json
import stat
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from command_lines import run_command
from consumers import Running, all_taken, connected, consume, letters, publish, wait
from lemo.backup.contents import About
from lemo.backup.make import make_backup
from lemo.backup.remote import backup_to, restore_from
from lemo.backup.restore import restore_backup
from lemo.domain.errors import Conflict, Damaged, InvalidInput
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.embedded import supervisor
from lemo.settings import Settings
from lemo.stores.bootstrap import ensure_admin
from lemo.stores.clickhouse.removal import TABLES as TABLES_OF_SCENARIOS
from lemo.stores.clickhouse.served import ServedRow
from lemo.stores.clickhouse.transfer import TABLES, TableTransfer
from lemo.stores.connect import Stores
from lemo.stores.documents.transfer import KEPT
from lemo.streams import Message
from lemo.streams.messages import event_message, item_message
from lemo.streams.topics import Topics
from servers import OwnEngine, environment, new_database, own_embedded
from sites import model_of, publish_model

TOPIC = "user-behaviors"
NOW = 1_700_000_000.0


def settings_of(home: Path, redis: OwnEngine, clickhouse_url: str) -> Settings:
    return Settings(
        home=home,
        redis_url=SecretStr(redis.url),
        clickhouse_url=SecretStr(clickhouse_url),
        clickhouse_database=new_database("backup"),
    )


@pytest.fixture
def other_redis(tmp_path: Path) -> Iterator[OwnEngine]:
    redis = own_embedded("redis", tmp_path / "other-redis")
    redis.start()
    yield redis
    redis.kill()


@pytest.fixture
def stores(tmp_path: Path, own_redis: OwnEngine, clickhouse_url: str, scope: Scope) -> Iterator[Stores]:
    with connected(settings_of(tmp_path / "home", own_redis, clickhouse_url), scope) as made:
        ensure_admin(made.settings)
        made.events.migrate()
        yield made


@pytest.fixture
def target(tmp_path: Path, other_redis: OwnEngine, clickhouse_url: str) -> Settings:
    return settings_of(tmp_path / "elsewhere", other_redis, clickhouse_url)


def event(number: int) -> Event:
    return Event(user_id=f"u{number % 50}", item_id=f"i{number % 20}", action="like", timestamp=NOW + number)


def served(scope: Scope, request_id: str, at: int) -> ServedRow:
    return ServedRow(
        tenant_id=scope.tenant_id,
        scenario_id=scope.scenario_id,
        at=at,
        request_id=request_id,
        kind="recommendations",
        user_id="u1",
        session=[],
        of_items=[],
        placement="",
        item_ids=["i1", "i2"],
        sources=["model", "model"],
        explored=[False, True],
        propensities=[None, 0.5],
        model_version="1",
        pipeline_version=None,
        experiment="",
        arm="",
        degraded=False,
        took_us=100,
        share=1.0,
    )


class Load:
    """Somebody who sends events without a pause; `acknowledged` are those whose sending has returned."""

    def __init__(self, stores: Stores, scope: Scope) -> None:
        self.acknowledged: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, args=(stores, scope))

    def _send(self, stores: Stores, scope: Scope) -> None:
        publisher = stores.log.publisher()
        for start in range(0, 1_000_000, 20):
            if self._stop.is_set():
                break
            events = [event(number) for number in range(start, start + 20)]
            publisher.publish(TOPIC, [event_message(scope, each) for each in events])
            self.acknowledged += [each.event_id for each in events]
        publisher.close()

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)


def ids(stores: Stores, scope: Scope) -> set[str]:
    return set(stores.events.interactions(scope)["event_id"].to_pylist())


def test_what_was_acknowledged_before_a_backup_under_load_is_restored(
    stores: Stores, other_redis: OwnEngine, clickhouse_url: str, scope: Scope, tmp_path: Path
) -> None:
    publish(stores, "items-ingest", [item_message(scope, Item(item_id=f"i{number}")) for number in range(20)])
    publish(stores, TOPIC, [Message(b"not JSON", b"", {})])
    publish_model(stores, scope, "1", model_of([f"i{number}" for number in range(20)]))
    file = tmp_path / "lemo.tar.gz"
    with Load(stores, scope) as load:
        with Running(stores.settings):
            wait(lambda: len(ids(stores, scope)) > 200, "the consumer took nothing")
            before = set(load.acknowledged)
            about = make_backup(stores, file)
            after = len(load.acknowledged)
        # With nobody to take them in, messages wait in the log.
        wait(lambda: len(load.acknowledged) > after + 100, "nothing was sent")
        waiting = set(load.acknowledged)
        second = make_backup(stores, tmp_path / "second.tar.gz")
    assert second.messages > 100
    assert about.models > 0
    restored_ids = {}
    for name, archive, expected in (("first", file, before), ("second", tmp_path / "second.tar.gz", waiting)):
        settings = settings_of(tmp_path / name, other_redis, clickhouse_url)
        restore_backup(settings, archive)
        restored = Stores(settings)
        with Running(settings):
            wait(lambda restored=restored: all_taken(restored), "the consumer did not take everything")  # type: ignore[misc]
        restored_ids[name] = ids(restored, scope)
        assert expected <= restored_ids[name]
        assert {item.item_id for item in restored.items.scan(scope)} == {f"i{number}" for number in range(20)}
        assert len(letters(restored, "")) == 1
        assert restored.snapshots.current(scope, "model") == "1"
        assert restored.snapshots.open(scope, "model", "1").arrays
        key = settings.admin_key_file.read_text().strip()
        assert restored.api_keys.find(key) is not None
        assert stat.S_IMODE(settings.admin_key_file.stat().st_mode) == 0o600
        restored.redis.flushdb()  # for the next one
        restored.close()
    assert restored_ids["second"] <= set(load.acknowledged)


@pytest.mark.long
def test_what_is_taken_in_between_two_parts_of_a_backup_is_in_one_of_them(
    stores: Stores, other_redis: OwnEngine, clickhouse_url: str, scope: Scope, tmp_path: Path
) -> None:
    parts = ("messages", "documents", "tables")
    for step, name in enumerate(parts):
        publish(stores, TOPIC, [event_message(scope, event(number)) for number in range(step * 10, step * 10 + 10)])
        publish(stores, "items-ingest", [item_message(scope, Item(item_id=f"i{step}"))])
        seen: list[str] = []

        def take_in(part: str, name: str = name, seen: list[str] = seen) -> None:
            seen.append(part)
            if part == name:
                consume(stores.settings, stores)

        make_backup(stores, tmp_path / f"{name}.tar.gz", watch=take_in)
        assert set(parts) < set(seen)
        settings = settings_of(tmp_path / name, other_redis, clickhouse_url)
        restore_backup(settings, tmp_path / f"{name}.tar.gz")
        restored = Stores(settings)
        consume(settings, restored)
        assert len(ids(restored, scope)) == step * 10 + 10
        assert {item.item_id for item in restored.items.scan(scope)} == {f"i{number}" for number in range(step + 1)}
        restored.redis.flushdb()
        restored.close()


def test_every_table_is_copied_or_counted_anew() -> None:
    counted = {
        "events_hourly",
        "events_marks",
        "analytics_hours",
        "analytics_numbers",
        "analytics_outcomes",
        "event_sessions",
        "realtime_minutes",
        "realtime_positions",
    }
    assert {table.name for table in TABLES_OF_SCENARIOS} == {*TABLES, *counted}


@pytest.mark.long
def test_answers_of_many_weeks_and_counts_are_as_before(
    stores: Stores, target: Settings, scope: Scope, tmp_path: Path
) -> None:
    stores.events.insert([(scope, event(number * 1_000)) for number in range(50)])
    weeks = [served(scope, f"r{week}", int(NOW * 1000) + week * 7 * 86_400_000) for week in range(102)]
    for start in range(0, len(weeks), 51):  # the consumer's inserts hold fewer weeks
        stores.served.insert(weeks[start : start + 51])
    make_backup(stores, tmp_path / "lemo.tar.gz")
    restore_backup(target, tmp_path / "lemo.tar.gz")
    with closing(TableTransfer(target.clickhouse, target.clickhouse_database)) as transfer:
        assert transfer.count("served_answers") == 102
    restored = Stores(target)

    def counted() -> int:
        return sum(hour.events for hour in restored.aggregates.counts(scope, "hour"))

    with Running(target):
        wait(lambda: counted() == 50, "the aggregates were not counted anew")
    restored.close()


def test_an_archive_is_for_its_owner_alone_and_replaces_none(stores: Stores, tmp_path: Path) -> None:
    file = tmp_path / "lemo.tar.gz"
    make_backup(stores, file, models=False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = file.read_bytes()
    with pytest.raises(Conflict, match="exists"):
        make_backup(stores, file)
    assert file.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".lemo")] == []


def test_half_an_archive_restores_nothing_and_the_whole_one_then_does(
    stores: Stores, target: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "lemo.tar.gz"
    make_backup(stores, file)
    half = tmp_path / "half.tar.gz"
    half.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(Damaged, match="no whole backup"):
        restore_backup(target, half)
    assert not (target.state / "documents.sqlite").exists()
    with pytest.raises(InvalidInput, match="There is no file"):
        restore_backup(target, tmp_path / "nothing.tar.gz")
    restore_backup(target, file)
    assert (target.state / "documents.sqlite").exists()
    assert not (target.state / "restoring").exists()
    with pytest.raises(Conflict, match="holds an installation already"):
        restore_backup(target, file)


def test_engines_that_hold_something_are_not_mixed_with_the_backup(
    stores: Stores, target: Settings, scope: Scope, tmp_path: Path
) -> None:
    file = tmp_path / "lemo.tar.gz"
    make_backup(stores, file)
    there = Stores(target)
    publish(there, TOPIC, [event_message(scope, event(1))])
    there.close()
    with pytest.raises(Conflict, match="hold messages or events"):
        restore_backup(target, file)


def test_another_installation_is_refused(stores: Stores, target: Settings, tmp_path: Path) -> None:
    file = tmp_path / "lemo.tar.gz"
    make_backup(stores, file)
    with pytest.raises(InvalidInput, match="is of the installation 'lemo'"):
        restore_backup(target.model_copy(update={"installation": "other"}), file)


@pytest.mark.long
def test_from_this_machine_to_a_cluster_and_back(
    own_redis: OwnEngine,
    other_redis: OwnEngine,
    clickhouse_url: str,
    mongo_url: str,
    kafka_servers: str,
    s3_url: str,
    s3_bucket: str,
    tmp_path: Path,
    scope: Scope,
) -> None:
    name = f"b{uuid.uuid4().hex[:12]}"

    def settings(home: str, redis: OwnEngine, **more: Any) -> Settings:
        return Settings(
            home=tmp_path / home,
            installation=name,
            redis_url=SecretStr(redis.url),
            clickhouse_url=SecretStr(clickhouse_url),
            clickhouse_database=new_database("backup"),
            **more,
        )

    def state(stores: Stores) -> dict[str, Any]:
        """What both hold alike, whatever engines they have."""
        transfer, topics = stores.snapshot_transfer(), Topics(stores.settings)
        return {
            "documents": {kind.name: {
                str(at): stores.documents.get_versioned(kind, at, [id for id, _ in stores.documents.scan(kind, at)])
                for at in stores.documents.scopes(kind)
            } for kind in KEPT},
            "events": ids(stores, scope),
            "models": sorted(transfer.names()),
            "waiting": {
                topic: sorted((each.value, each.key, tuple(each.headers.items())) for each in stores.log.scan(topic))
                for topic in (topics.events, *topics.written)
            },
        }  # fmt: skip

    with connected(settings("here", own_redis), scope) as here:
        ensure_admin(here.settings)
        here.events.migrate()
        here.items.upsert(scope, [Item(item_id=f"i{number}") for number in range(20)], list(range(20)))
        here.events.insert([(scope, event(number)) for number in range(30)])
        publish_model(here, scope, "1", model_of([f"i{number}" for number in range(20)]))
        here.log.create_topics(Topics(here.settings).fixed)
        publish(here, here.settings.kafka_event_topic, [event_message(scope, event(number)) for number in range(40)])
        publish(here, here.settings.kafka_dead_letter_topic, [Message(b"no JSON", b"key", {"reason": b"it is none"})])
        before = state(here)
        make_backup(here, tmp_path / "1.tar.gz")
    cluster = settings(
        "cluster",
        other_redis,
        mongo_url=SecretStr(mongo_url),
        mongo_database=name,
        kafka_bootstrap_servers=kafka_servers,
        snapshots_url=SecretStr(f"s3://{s3_bucket}/models"),
        s3_endpoint=s3_url,
        s3_access_key_id="any",
        s3_secret_access_key=SecretStr("any"),
    )
    restore_backup(cluster, tmp_path / "1.tar.gz")
    with closing(Stores(cluster)) as there:
        assert state(there) == before
        with pytest.raises(Conflict, match="holds documents already"):
            restore_backup(cluster, tmp_path / "1.tar.gz")
        consume(cluster, there)
        taken_in = state(there)
        assert len(taken_in["events"]) == 40
        archive = f"s3://{s3_bucket}/backups/of today.tar.gz"
        backup_to(there, archive, True, print)
        with pytest.raises(Conflict, match="exists"):
            backup_to(there, archive, True, print)
    fresh = own_embedded("redis", tmp_path / "fresh-redis")
    fresh.start()
    keys = {"s3_endpoint": s3_url, "s3_access_key_id": "any", "s3_secret_access_key": SecretStr("any")}
    back = settings("back", fresh, **keys)
    with pytest.raises(InvalidInput, match="There is no s3://"):
        restore_from(back, f"{archive}-", print)
    restore_from(back, archive, print)
    assert not list(back.state.glob("archive-*"))
    with closing(Stores(back)) as again:
        returned = state(again)
        assert again.snapshots.open(scope, "model", "1").arrays
        assert again.api_keys.find(back.admin_key_file.read_text().strip()) is not None
    fresh.kill()
    assert returned["waiting"].pop(Topics(back).events) == [], "what the group has committed is no longer copied"
    del taken_in["waiting"][Topics(back).events]
    assert returned == taken_in


def test_the_commands_restore_on_engines_of_this_machine_and_stop_them(
    stores: Stores, scope: Scope, tmp_path: Path
) -> None:
    stores.events.insert([(scope, event(number)) for number in range(30)])
    settings = stores.settings

    def lemo(env: dict[str, str], *words: str) -> About:
        done = run_command([*words, "--format", "json"], env)
        assert done.returncode == 0, done.stderr
        (row,) = json.loads(done.stdout)
        assert row["events"] == 30
        return row  # type: ignore[no-any-return]

    here = environment(settings.state) | {
        "LEMO_REDIS_URL": settings.redis(0).removesuffix("/0"),
        "LEMO_CLICKHOUSE_URL": settings.clickhouse,
        "LEMO_CLICKHOUSE_DATABASE": settings.clickhouse_database,
    }
    file = tmp_path / "a backup.tar.gz"
    lemo(here, "backup", str(file))
    home = tmp_path / "a new home"
    lemo(environment(home), "restore", str(file))
    assert supervisor.running(Settings(home=home)) is None
    assert (home / "documents.sqlite").exists()
    assert (home / "admin.key").read_text() == settings.admin_key_file.read_text()
    assert any((home / "clickhouse").rglob("*.bin"))
