"""The doctor writes where the product writes, by the product's own clients: what answers and takes nothing is told."""

import os
import subprocess
import uuid
from pathlib import Path

from redis import Redis

import servers
from lemo.diagnostics.engine_probes import probe_documents, probe_events, probe_home, probe_snapshots
from lemo.diagnostics.redis_probes import probe_redis
from lemo.settings import Settings
from lemo.stores.connect import Stores
from small_disk import small_disk


def test_a_redis_at_its_memory_limit_is_reported(own_redis: servers.OwnEngine, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, redis_url=own_redis.url)
    assert [probe_redis(settings, database).state for database in range(3)] == ["ok"] * 3
    with Redis.from_url(own_redis.url) as client:
        client.config_set("maxmemory", 1)
        for database in range(3):
            finding = probe_redis(settings, database)
            assert finding.state == "missing"
            assert "refuses writes" in finding.detail
        client.config_set("maxmemory", 0)
        assert client.info("keyspace") == {}, "the probe cleans up"


def test_a_redis_that_is_a_replica_is_reported(own_redis: servers.OwnEngine, tmp_path: Path, free_port: int) -> None:
    with Redis.from_url(own_redis.url) as client:
        client.replicaof("127.0.0.1", free_port)
        finding = probe_redis(Settings(home=tmp_path, redis_url=own_redis.url), 0)
    assert finding.state == "missing"
    assert "refuses writes" in finding.detail


def test_events_are_written_to_and_nothing_stays(tmp_path: Path, clickhouse_url: str) -> None:
    database = f"writes_{uuid.uuid4().hex[:8]}"
    settings = Settings(home=tmp_path, clickhouse_url=clickhouse_url, clickhouse_database=database)
    assert "no tables" in probe_events(settings).detail
    stores = Stores(settings)
    stores.events.migrate()
    assert probe_events(settings).state == "ok"
    left = stores.events._ask(lambda client: client.query(f"SELECT count() FROM {database}.write_probe").first_row[0])
    assert left == 0
    stores.close()


def test_documents_snapshots_and_home_are_written_to_and_nothing_stays(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    stores = Stores(settings)
    stores.documents.ping()
    (settings.state / "snapshots").mkdir(parents=True)
    before = sorted(path.name for path in settings.state.rglob("*") if path.is_file())
    for probe in (probe_documents, probe_snapshots, probe_home):
        assert probe(settings).state in ("ok", "warning"), probe(settings)
    stores.close()
    after = sorted(path.name for path in settings.state.rglob("*") if path.is_file())
    assert set(after) - set(before) <= {"documents.sqlite-wal", "documents.sqlite-shm"}


def test_documents_that_take_no_writes_are_reported(tmp_path: Path) -> None:
    """Another process holds the write lock, as a full or read-only disk does: reading goes on."""
    import sqlite3

    settings = Settings(home=tmp_path / "home", answer_seconds=0.5)
    stores = Stores(settings)
    stores.documents.ping()
    holder = sqlite3.connect(settings.state / "documents.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    finding = probe_documents(settings)
    assert finding.state == "missing"
    assert finding.hint
    holder.execute("ROLLBACK")
    holder.close()
    stores.close()
    assert probe_documents(settings).state == "ok"


def test_a_home_that_is_read_only_is_reported(tmp_path: Path) -> None:
    if os.getuid() != 0:
        tmp_path.chmod(0o500)
        assert probe_home(Settings(home=tmp_path)).state == "missing"
        return
    # Root may write wherever the disk may be written.
    with small_disk(tmp_path / "home", megabytes=1) as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk.folder], check=True)
        assert probe_home(Settings(home=disk.folder)).state == "missing"
