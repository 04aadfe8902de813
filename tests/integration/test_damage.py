"""What a power cut or a bad disk leaves behind: what can be made anew is, what cannot is mended, and both are told."""

import random
import subprocess
from pathlib import Path

import pytest
from redis import Redis

from lemo.diagnostics.engine_probes import probe_home
from lemo.domain.errors import Damaged, EngineUnavailable
from lemo.domain.scope import SYSTEM, Scope
from lemo.embedded.aof import hint
from lemo.serving.service import RecommendationService
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.damage import damages
from lemo.stores.documents import TENANTS
from lemo.stores.documents.sqlite import SqliteDocuments
from servers import OwnEngine
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
        assert not hint(tmp_path / "redis" / "state", tmp_path / "redis")
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
        hint(tmp_path / "redis" / "state", tmp_path / "redis")
    assert file.read_bytes() == damaged, "nothing is cut off"
    subprocess.run(told.value.hint.rpartition(": ")[2].split(), check=True)
    own_redis.start()
    with Redis.from_url(own_redis.url) as client:
        assert 0 < client.dbsize() < 20


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
