"""Damage by a power cut or a bad disk: derived data is made again, other data is repaired, and both are reported."""

import random
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis import Redis

from lemo.diagnostics.engine_probes import probe_home, probe_snapshots
from lemo.domain.errors import Damaged, EngineUnavailable
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import SYSTEM, Scope
from lemo.embedded.aof import repair
from lemo.jobs.embeddings import embed
from lemo.jobs.report import unattended
from lemo.jobs.similarity import compute_similarity
from lemo.jobs.training import train
from lemo.scheduling import restoring
from lemo.serving.service import RecommendationService
from lemo.settings import Settings
from lemo.simulator.world import World
from lemo.stores.clickhouse.aggregates import Aggregates, hour_of
from lemo.stores.clickhouse.events import Events
from lemo.stores.connect import Stores
from lemo.stores.damage import damages
from lemo.stores.documents import TENANTS
from lemo.stores.documents.sqlite import SqliteDocuments
from servers import OwnEngine, free_port, own_embedded
from sites import add_scenario, model_of, publish_model, settings_of, touch

KEPT = b"\x00\r\nvalue\x00"
TAILS = {
    "blocks of NUL bytes": b"\0" * 8192,
    "a torn command and NUL bytes": b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$900\r\nabc" + b"\0" * 4096,
    "somebody else's bytes": random.Random(7).randbytes(5_000) + b"\r",
}


def increment(folder: Path) -> Path:
    return next((folder / "appendonlydir").glob("*.incr.aof"))


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS.keys())
def test_a_power_cut_that_leaves_rubbish_behind_the_append_only_file_loses_nothing(
    tmp_path: Path, own_redis: OwnEngine, tail: bytes
) -> None:
    with Redis.from_url(own_redis.url) as client:
        for number in range(200):
            client.set(f"key {number}", KEPT)
        client.pipeline(transaction=True).set("a", KEPT).rpush("b", KEPT).execute()
    own_redis.kill()
    file = increment(tmp_path / "redis" / "state")
    whole = file.read_bytes()
    file.write_bytes(whole + tail)

    own_redis.start()
    with Redis.from_url(own_redis.url) as client:
        assert client.dbsize() == 202
        assert client.get("key 199") == client.get("a") == KEPT
        client.set("after", KEPT)
    (told,) = damages(tmp_path / "redis")
    assert told.what == "redis"
    assert [path.read_bytes() for path in Path(told.kept).glob("*.from-*")] == [tail], "the copy is whole"
    finding = probe_home(Settings(home=tmp_path / "redis"))
    assert (finding.state, "redis" in finding.detail) == ("warning", True)
    own_redis.kill()
    own_redis.start()
    with Redis.from_url(own_redis.url) as client:
        assert client.get("after") == KEPT
    assert len(damages(tmp_path / "redis")) == 1


def test_a_file_that_ends_as_a_kill_leaves_it_is_left_to_valkey(tmp_path: Path, own_redis: OwnEngine) -> None:
    with Redis.from_url(own_redis.url) as client:
        client.set("a", KEPT)
    own_redis.kill()
    file = increment(tmp_path / "redis" / "state")
    for tail in (b"", b"*3\r\n$3\r\nSET\r\n$1\r\nb", b"*3\r\n$3\r\nSET\r\n"):
        whole = file.read_bytes()
        file.write_bytes(whole + tail)
        assert not repair(tmp_path / "redis" / "state", tmp_path / "redis")
        assert file.read_bytes() == whole + tail
        own_redis.start()
        with Redis.from_url(own_redis.url) as client:
            assert (client.get("a"), client.get("b")) == (KEPT, None)
        own_redis.kill()
    assert damages(tmp_path / "redis") == []
    own_redis.start()


def test_damage_in_the_middle_is_for_a_person_to_decide(tmp_path: Path, own_redis: OwnEngine) -> None:
    with Redis.from_url(own_redis.url) as client:
        for number in range(20):
            client.set(f"key {number}", KEPT)
    own_redis.kill()
    file = increment(tmp_path / "redis" / "state")
    whole = file.read_bytes()
    damaged = whole[:300] + bytes(8) + whole[308:] + bytes(16)
    file.write_bytes(damaged)
    with pytest.raises(EngineUnavailable, match="commands follow") as told:
        repair(tmp_path / "redis" / "state", tmp_path / "redis")
    assert file.read_bytes() == damaged, "nothing is cut off"
    subprocess.run(told.value.hint.rpartition(": ")[2].split(), check=True)
    own_redis.start()
    with Redis.from_url(own_redis.url) as client:
        assert 0 < client.dbsize() < 20


def refused(folder: Path) -> str:
    """What an engine says that ends at its start."""
    command = [sys.executable, "-m", "lemo.embedded.redis", "--path", f"{folder / 'state'}", "--port", f"{free_port()}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    return ended.stdout + ended.stderr


def test_damage_that_ends_as_a_command_ends_is_found_once_valkey_has_refused_it(
    tmp_path: Path, own_redis: OwnEngine
) -> None:
    home = tmp_path / "redis"
    with Redis.from_url(own_redis.url) as client:
        for number in range(20):
            client.set(f"key {number}", KEPT)
    own_redis.kill()
    file = increment(home / "state")
    whole = file.read_bytes()

    file.write_bytes(whole + bytes(16) + b"\r\n")
    refused(home)
    own_redis.start()
    with Redis.from_url(own_redis.url) as client:
        assert client.dbsize() == 20
    assert len(damages(home)) == 1
    own_redis.kill()

    file.write_bytes(whole[:300] + bytes(8) + whole[308:])
    refused(home)
    assert "commands follow" in refused(home)
    file.write_bytes(whole)
    for _ in range(3):  # nothing is written in between
        own_redis.start()
        own_redis.kill()
    assert len(damages(home)) == 1
    own_redis.start()


@pytest.fixture
def stores(tmp_path: Path, redis_url: str) -> Stores:
    return Stores(settings_of(tmp_path, redis_url))


def folder_of(stores: Stores, scope: Scope, version: str) -> Path:
    return next(Path(stores.settings.snapshots).rglob(version))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_truncated_snapshot_is_as_good_as_lost_and_the_one_before_serves(stores: Stores) -> None:
    scope, _ = add_scenario(stores)
    old, new = "20260101T000000000-aaaaaa", "20260102T000000000-bbbbbb"
    publish_model(stores, scope, old, model_of(favourite=3))
    publish_model(stores, scope, new, model_of(favourite=9))
    touch(stores, scope, "u", "item/20")
    with RecommendationService(stores) as served:  # it has the new one mapped
        assert served.recommend(scope, "u", 3).model_version == new
        largest = max(folder_of(stores, scope, new).glob("*.npy"), key=lambda path: path.stat().st_size)
        damaged = largest.read_bytes()[: largest.stat().st_size // 2]
        largest.unlink()
        largest.write_bytes(damaged)
        assert served.recommend(scope, "u", 3).model_version == new
    with pytest.raises(Damaged, match="damaged"):
        stores.snapshots.open(scope, "model", new)
    with RecommendationService(stores) as served:
        answer = served.recommend(scope, "u", 3)
        assert answer.model_version == old
        assert answer.items
    cut(folder_of(stores, scope, old) / "manifest.json")
    with RecommendationService(stores) as served:
        assert served.recommend(scope, "u", 3).model_version is None
    stores.close()


def test_a_torn_write_ahead_log_of_sqlite_costs_its_torn_end_alone(tmp_path: Path) -> None:
    made = SqliteDocuments(tmp_path / "documents.sqlite")
    for number in range(50):
        made.put(TENANTS, SYSTEM, {f"tenant-{number}": {"number": number}})
    copy = tmp_path / "copy"  # of a machine that lost power: the files as they stand, with the last block torn
    copy.mkdir()
    for suffix in ("", "-wal"):
        name = f"documents.sqlite{suffix}"
        (copy / name).write_bytes((tmp_path / name).read_bytes())
    wal = copy / "documents.sqlite-wal"
    wal.write_bytes(wal.read_bytes()[:-2_000] + bytes(2_000))
    torn = SqliteDocuments(copy / "documents.sqlite")
    assert torn.get(TENANTS, SYSTEM, "tenant-48") == {"number": 48}
    torn.put(TENANTS, SYSTEM, {"after": {}})
    assert torn.count(TENANTS, SYSTEM) in (50, 51)
    for documents in (made, torn):
        documents.close()


def test_a_damaged_sqlite_file_is_told_in_words(tmp_path: Path) -> None:
    path = tmp_path / "documents.sqlite"
    made = SqliteDocuments(path)
    made.put(TENANTS, SYSTEM, {f"tenant-{number}": {"text": "x" * 500} for number in range(500)})
    made.close()
    for damaged in (bytes(4096) + path.read_bytes()[4096:], path.read_bytes()[:8192] + bytes(path.stat().st_size)):
        path.write_bytes(damaged)
        documents = SqliteDocuments(path)
        with pytest.raises(EngineUnavailable, match=str(path)) as told:
            list(documents.scan(TENANTS, SYSTEM))
        assert "move" in told.value.hint
        documents.close()


MONTHS = [int(datetime(2026, month, 9, 12, tzinfo=UTC).timestamp()) for month in (1, 2, 3)]
IN_EACH = 400


def events_of(month: int) -> list[Event]:
    return [
        Event(event_id=f"{month}-{n}", user_id=f"u{n % 7}", item_id=f"i{n % 9}", action="like", timestamp=month + n)
        for n in range(IN_EACH)
    ]


def garble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 32] = bytes(byte ^ 0x5A for byte in data[middle : middle + 32])
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.fixture
def own_clickhouse(tmp_path: Path) -> Iterator[OwnEngine]:
    engine = own_embedded("clickhouse", tmp_path / "clickhouse")
    engine.start()
    yield engine
    engine.kill()


def written(engine: OwnEngine, scope: Scope) -> tuple[Events, Aggregates]:
    """Three months of events, each a part of its own, counted by hour."""
    events, aggregates = Events(engine.url, "lemo"), Aggregates(engine.url, "lemo")
    events.migrate()
    events._command("SYSTEM STOP MERGES lemo.events", scope)
    for month in MONTHS:
        aggregates.mark("abc", [(scope, hour_of(month * 1000))])
        events.insert([(scope, event) for event in events_of(month)])
    aggregates.refresh("abc")
    return events, aggregates


def table_folders(home: Path, table: str) -> list[Path]:
    return [folder.resolve() for folder in (home / "state" / "data" / "data" / "lemo").glob(table)]


def second_part(home: Path) -> Path:
    (folder,) = table_folders(home, "events")
    return sorted(folder.glob("all_2_2_*"))[-1]


def asked_twice(ask: Callable[[], int]) -> int:
    """What changed in place is noticed by the query that reads it."""
    try:
        return ask()
    except EngineUnavailable:
        return ask()


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        pytest.param("data.bin", cut, id="a torn file"),
        pytest.param("count.txt", empty, id="an empty file", marks=pytest.mark.long),
        pytest.param("data.bin", garble, id="changed bytes", marks=pytest.mark.long),
    ],
)
def test_a_damaged_part_of_the_events_costs_its_rows_alone_and_is_told(
    tmp_path: Path, own_clickhouse: OwnEngine, scope: Scope, file: str, damage: Callable[[Path], None]
) -> None:
    home = tmp_path / "clickhouse"
    events, aggregates = written(own_clickhouse, scope)
    own_clickhouse.kill()
    damage(second_part(home) / file)

    own_clickhouse.start()
    assert asked_twice(lambda: events.interactions(scope).num_rows) == events.count(scope) == 2 * IN_EACH
    assert {event.event_id.split("-")[0] for event in events.history(scope, "u1", 500)} == {
        str(month) for month in (MONTHS[0], MONTHS[2])
    }
    assert sum(period.events for period in aggregates.counts(scope, "hour")) == 2 * IN_EACH
    (told,) = damages(home)
    assert "lemo.events" in told.why
    assert f"{IN_EACH} of 2026-02" in told.done
    assert "Import" in told.done
    assert next(Path(told.kept).glob("*/columns.txt")).exists(), "the part is kept"
    finding = probe_home(Settings(home=home))
    assert (finding.state, "2026-02" in finding.detail) == ("warning", True)

    (marked,) = aggregates.abandoned(600)  # what the next consumer takes up at once
    aggregates.refresh(marked)
    assert sum(period.events for period in aggregates.counts(scope, "hour")) == 2 * IN_EACH
    for month in MONTHS:  # an import again, or a replay
        aggregates.mark("abd", [(scope, hour_of(month * 1000))])
        events.insert([(scope, event) for event in events_of(month)])
    aggregates.refresh("abd")
    assert events.count(scope) == 3 * IN_EACH
    assert sum(period.events for period in aggregates.counts(scope, "hour")) == 3 * IN_EACH
    assert len(damages(home)) == 1


def test_damaged_aggregates_are_made_anew_and_cost_no_event(
    tmp_path: Path, own_clickhouse: OwnEngine, scope: Scope
) -> None:
    home = tmp_path / "clickhouse"
    events, aggregates = written(own_clickhouse, scope)
    own_clickhouse.kill()
    for part in [part for folder in table_folders(home, "events_hourly") for part in folder.glob("all_*")]:
        cut(part / "data.bin")

    own_clickhouse.start()
    assert events.count(scope) == 3 * IN_EACH
    for _ in range(2):
        assert sum(period.events for period in aggregates.counts(scope, "hour")) == 3 * IN_EACH
        for marked in aggregates.abandoned(600):
            aggregates.refresh(marked)
    (told,) = damages(home)
    assert "made anew" in told.done


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        ("store/*/*/events.sql", cut),
        pytest.param("metadata/lemo.sql", zeros, marks=pytest.mark.long),
        pytest.param("store/*/*/format_version.txt", empty, marks=pytest.mark.long),
        ("store/*/*/mutation_*.txt", cut),
    ],
)
def test_a_damaged_definition_is_what_it_was_and_costs_no_event(
    tmp_path: Path, own_clickhouse: OwnEngine, scope: Scope, pattern: str, damage: Callable[[Path], None]
) -> None:
    home = tmp_path / "clickhouse"
    events, _ = written(own_clickhouse, scope)
    events._command("SYSTEM START MERGES lemo.events", scope)
    events.delete_before(scope, 1)  # leaves its record there
    own_clickhouse.kill()
    found = (home / "state" / "data").glob(pattern)
    (file,) = [file for file in found if file.suffix == ".sql" or file.parent in table_folders(home, "events")]
    damage(file)

    own_clickhouse.start()
    assert events.count(scope) == 3 * IN_EACH
    events.insert([(scope, Event(event_id="x", user_id="u", item_id="i", action="like", timestamp=MONTHS[0]))])
    assert events.count(scope) == 3 * IN_EACH + 1
    (told,) = damages(home)
    assert file.name in told.why


@pytest.fixture
def own_milvus(tmp_path: Path) -> Iterator[OwnEngine]:
    engine = own_embedded("milvus", tmp_path / "milvus")
    engine.start()
    yield engine
    engine.kill()


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        ("aliases.json", cut),
        pytest.param("collections/*/schema.json", zeros, marks=pytest.mark.long),
        pytest.param("collections/*/wal/*.arrow", cut, marks=pytest.mark.long),
        pytest.param("collections/*/manifest.json", empty, marks=pytest.mark.long),
        ("collections/*/partitions/*/data/*.parquet", cut),
    ],
)
def test_a_damaged_folder_of_milvus_lite_is_set_aside_and_its_vectors_are_made_again(
    tmp_path: Path,
    redis_url: str,
    own_milvus: OwnEngine,
    monkeypatch: pytest.MonkeyPatch,
    pattern: str,
    damage: Callable[[Path], None],
) -> None:
    monkeypatch.setattr(restoring, "request_embedding", lambda _stores, _scope: None)  # no worker reads the broker here
    home = tmp_path / "milvus"
    settings = settings_of(tmp_path, redis_url)
    stores = Stores(settings.model_copy(update={"milvus_uri": own_milvus.url, "embedding_dimensions": 8}))
    scope, _ = add_scenario(stores)
    items = [Item(item_id=f"i{n}", title=f"word{n % 5} word{n % 3} other{n}") for n in range(60)]
    stores.items.upsert(scope, items, [1] * len(items))
    stores.embedding_queue.add(scope, [item.item_id for item in items])
    embed(stores, scope, unattended())
    assert stores.vectors.count(scope) == len(items)
    assert restoring.restore_vectors(stores) == []
    own_milvus.kill()
    if "wal" not in pattern and "collections" in pattern:  # a start writes what the log holds into files
        own_milvus.start()
        stores.vectors.count(scope)
        own_milvus.kill()
    (file,) = (home / "state" / "data").glob(pattern)
    damage(file)

    own_milvus.start()
    assert restoring.restore_vectors(stores) == [scope]
    embed(stores, scope, unattended())
    assert stores.vectors.count(scope) == len(items)
    assert len(stores.vectors.fetch(scope, ["i0", "i59"])) == 2
    assert restoring.restore_vectors(stores) == []
    (told,) = damages(home)
    assert told.what == "milvus"
    assert next(Path(told.kept).rglob(file.name)).exists()
    stores.close()


def test_each_job_makes_its_damaged_snapshot_anew_and_the_doctor_tells_until_then(
    tmp_path: Path, redis_url: str, clickhouse_url: str, milvus_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "request_embedding", lambda _stores, _scope: None)  # no worker reads the broker here
    settings = settings_of(tmp_path, redis_url).model_copy(
        update={"clickhouse_url": SecretStr(clickhouse_url), "milvus_uri": milvus_uri, "embedding_dimensions": 8}
    )
    stores = Stores(settings)
    stores.events.migrate()
    scope = Scope(f"tenant-{uuid.uuid4().hex[:12]}", "shop")
    stores.tenants.create(scope.tenant_id)
    stores.scenarios.create(scope.tenant_id, scenario_from_template(scope.scenario_id, "ecommerce"))
    dataset = World(seed=3, scale=0.1).datasets()[2]
    items = list(dataset.items)
    stores.items.upsert(scope, items, [1] * len(items))
    stores.embedding_queue.add(scope, [item.item_id for item in items])
    stores.events.insert([(scope, event) for event in dataset.events])
    jobs = {"similar": compute_similarity, "similarity-state": compute_similarity, "embedding": embed, "model": train}
    for job in (embed, train, compute_similarity):
        job(stores, scope, unattended())
    assert compute_similarity(stores, scope, unattended()).detail["full"] is False
    assert probe_snapshots(settings).state == "ok"

    for kind, job in jobs.items():
        version = stores.snapshots.current(scope, kind)
        assert version is not None
        for array in folder_of(stores, scope, version).parent.parent.joinpath(kind, version).glob("*.npy"):
            cut(array)
        told = probe_snapshots(settings)
        assert (told.state, "cannot be opened" in told.detail) == ("warning", True), kind
        assert told.hint.startswith("lemo jobs run")
        assert restoring.restore_vectors(stores) == ([scope] if kind == "embedding" else [])
        job(stores, scope, unattended())
        renewed = stores.snapshots.current(scope, kind)
        assert renewed not in (None, version), kind
        assert stores.snapshots.open(scope, kind, str(renewed)).arrays
        assert probe_snapshots(settings).state == "ok", kind
    stores.close()
