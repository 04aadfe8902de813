"""One bounded question to each engine: are you there, which version, and are you set up so that nothing is lost?"""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from lemo.domain.errors import LemoError
from lemo.observability.reachability import Address
from lemo.observability.report import Finding
from lemo.settings import Settings
from lemo.stores.connect import Stores

LITTLE_SPACE, NO_SPACE = 2_000_000_000, 100_000_000
"""Free bytes below which the home folder gets a warning, or counts as full."""
MUCH_LAG = 100_000
"""Waiting messages from which the consumer counts as far behind."""


def asked(address: Address, question: Callable[[], Finding]) -> Finding:
    """The finding of `question`, timed; or why the engine at `address` did not answer it."""
    away = address.reach()
    if away is not None:
        return away
    started = time.perf_counter()
    try:
        finding = question()
    except Exception as error:  # noqa: BLE001 - clients raise what they like; each error becomes a finding
        return address.explain(error)
    return finding.model_copy(update={"latency_ms": round((time.perf_counter() - started) * 1000, 2)})


def redis_address(settings: Settings, name: str = "Redis") -> Address:
    """Where Redis should be."""
    url = settings.redis(0)
    return Address(
        name=name,
        url=url,
        variable="LEMO_REDIS_URL" if settings.redis_url else "LEMO_REDIS_PORT",
        schemes=("redis", "rediss"),
        default_port=6379,
        embedded=settings.redis_url is None,
        start=f"redis-cli -h {_host(url)} -p {_port(url, 6379)} ping",
    )


def brief_redis(settings: Settings, database: int) -> Redis:
    """A client that gives up at once: a report must not wait for an engine to come back."""
    return Redis.from_url(
        settings.redis(database), socket_timeout=3, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
    )


def probe_redis(settings: Settings, database: int) -> Finding:
    """Asks one of the three databases for a sign of life."""

    def question() -> Finding:
        with brief_redis(settings, database) as client:
            client.ping()
            facts: dict[str, Any] = client.info("server")
            keys = client.dbsize()
        valkey = facts.get("valkey_version")
        version = f"Valkey {valkey}" if valkey else f"Redis {facts['redis_version']}"
        return Finding(state="ok", version=version, detail=f"{keys:,} keys in database {database}")

    return asked(redis_address(settings, f"Redis database {database}"), question)


def probe_durability(settings: Settings) -> Finding:
    """Looks whether Redis keeps what it acknowledged: append-only file, last write, eviction policy, replication."""
    address = redis_address(settings)

    def question() -> Finding:
        with brief_redis(settings, 0) as client:
            kept: dict[str, Any] = client.info("persistence")
            memory: dict[str, Any] = client.info("memory")
        policy = memory.get("maxmemory_policy", "noeviction")
        append_only = bool(kept.get("aof_enabled"))
        version = f"{'AOF on' if append_only else 'AOF off'}, {policy}"
        cli = address.start.removesuffix(" ping")
        if kept.get("aof_last_write_status", "ok") != "ok" or kept.get("rdb_last_bgsave_status", "ok") != "ok":
            return Finding(
                state="missing",
                version=version,
                detail="Redis cannot write to its disk, and refuses writes.",
                mend="Free space on the disk of Redis, then look at: " + f"{cli} info persistence",
            )
        if policy != "noeviction":
            return Finding(
                state="warning",
                version=version,
                detail=f"the eviction policy is {policy}: under memory pressure Redis drops queued tasks and messages.",
                mend=f"{cli} config set maxmemory-policy noeviction",
            )
        if not append_only:
            return Finding(
                state="warning",
                version=version,
                detail="the append-only file is off: what came since the last dump is lost when Redis restarts.",
                mend=f"{cli} config set appendonly yes",
            )
        return Finding(state="ok", version=version, detail="writes are kept, nothing is evicted")

    return asked(address, question)


def probe_documents(settings: Settings) -> Finding:
    """Asks MongoDB, or looks at the SQLite file; never makes the file."""
    if settings.mongo_url:
        url = settings.mongo_url.get_secret_value()
        seeds = urlsplit(url).netloc.rsplit("@", 1)[-1].split(",")
        address = Address(
            name="MongoDB",
            # One seed is enough for the first question; a list of hosts is no URL that Python can split.
            url=url if len(seeds) == 1 else f"{urlsplit(url).scheme}://{seeds[0]}",
            variable="LEMO_MONGO_URL",
            schemes=("mongodb",),
            default_port=27017,
            embedded=False,
            start=f"mongosh mongodb://{seeds[0]} --eval 'db.runCommand({{ping: 1}})'",
        )
        ask = _pinged(settings, "documents")
        return _timed(ask, address) if url.startswith("mongodb+srv://") else asked(address, ask)
    path = settings.state / "documents.sqlite"
    if not path.exists():
        return Finding(
            state="missing",
            detail=f"SQLite: {path} does not exist: nothing has been started with this LEMO_HOME.",
            mend="lemo up --detach",
        )
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        return Finding(state="missing", detail=f"SQLite: {path} is not writable.", mend=f"chown -R $USER {path.parent}")
    return _timed(_pinged(settings, "documents"), None)


def probe_events(settings: Settings) -> Finding:
    """Asks ClickHouse's HTTP interface."""
    url = settings.clickhouse
    address = Address(
        name="ClickHouse",
        url=url,
        variable="LEMO_CLICKHOUSE_URL" if settings.clickhouse_url else "LEMO_CLICKHOUSE_PORT",
        schemes=("http", "https"),
        default_port=8443 if url.startswith("https") else 8123,
        embedded=settings.clickhouse_url is None,
        start=f"curl {urlsplit(url).scheme}://{_host(url)}:{_port(url, 8123)}/ping",
    )
    return asked(address, _pinged(settings, "events"))


def probe_vectors(settings: Settings) -> Finding:
    """Asks Milvus."""
    address = Address(
        name="Milvus",
        url=settings.milvus,
        variable="LEMO_MILVUS_URI" if settings.milvus_uri else "LEMO_MILVUS_PORT",
        schemes=("http", "https", "tcp"),
        default_port=19530,
        embedded=not settings.milvus_uri,
        start=f"nc -vz {_host(settings.milvus)} {_port(settings.milvus, 19530)}",
    )
    return asked(address, _pinged(settings, "vectors"))


def probe_snapshots(settings: Settings) -> Finding:
    """Asks the object store, or looks whether the folder can be written."""
    place = settings.snapshots
    if "://" in place and not place.startswith("file://"):
        if not settings.s3_endpoint:
            return _timed(_pinged(settings, "snapshots"), None)
        address = Address(
            name="S3",
            url=settings.s3_endpoint,
            variable="LEMO_S3_ENDPOINT",
            schemes=("http", "https"),
            default_port=443 if settings.s3_endpoint.startswith("https") else 80,
            embedded=False,
            start=f"curl -I {settings.s3_endpoint}",
        )
        return asked(address, _pinged(settings, "snapshots"))
    folder = Path(place.removeprefix("file://"))
    nearest = next((parent for parent in (folder, *folder.parents) if parent.exists()), folder)
    if not os.access(nearest, os.W_OK):
        return Finding(
            state="missing", detail=f"snapshots: {nearest} is not writable.", mend=f"chown -R $USER {nearest}"
        )
    return Finding(state="ok", version="folder", detail=str(folder))


def probe_home(settings: Settings) -> Finding:
    """Looks whether the home folder can be written and has space."""
    home = settings.state
    nearest = next((parent for parent in (home, *home.parents) if parent.exists()), home)
    if not os.access(nearest, os.W_OK):
        return Finding(state="missing", detail=f"{nearest} is not writable.", mend=f"chown -R $USER {nearest}")
    free = shutil.disk_usage(nearest).free
    said = f"{free / 1e9:.1f} GB free"
    if free < LITTLE_SPACE:
        return Finding(
            state="missing" if free < NO_SPACE else "warning",
            version=said,
            detail=f"the disk of {home} is nearly full: {said}.",
            mend=f"Free some space, or move LEMO_HOME. What is large: du -xh -d1 {nearest} | sort -h",
        )
    return Finding(state="ok", version=said, detail=str(home))


def probe_log(settings: Settings) -> Finding:
    """Asks the ingest log, and how far the consumer group is behind on each topic."""
    topics = [*settings.kafka_item_ingest_topics, settings.kafka_event_topic]

    def question() -> Finding:
        log = Stores(settings).log
        version = log.ping()
        try:
            lag = log.lag(topics, settings.kafka_group)
        except LemoError as error:
            # The engine answered, so what is amiss is a topic or the group.
            return Finding(
                state="warning", version=version, detail=error.message, mend=error.mend or "Start: lemo consumer"
            )
        waiting = ", ".join(f"{topic} {lag[topic]:,}" for topic in topics if topic in lag)
        absent = [topic for topic in topics if topic not in lag]
        if absent:
            return Finding(
                state="warning",
                version=version,
                detail=f"topics that do not exist: {', '.join(absent)}.",
                mend="Start the consumer, which makes them: lemo consumer",
            )
        if sum(lag.values()) > MUCH_LAG:
            return Finding(
                state="warning",
                version=version,
                detail=f"the group {settings.kafka_group} is far behind: {waiting}.",
                mend="Start the consumer, or one more of them: lemo consumer",
            )
        return Finding(state="ok", version=version, detail=f"waiting for {settings.kafka_group}: {waiting}")

    return asked(log_address(settings), question)


def log_address(settings: Settings) -> Address:
    """Where the ingest log should be: Kafka's first server, or Redis."""
    if not settings.kafka_bootstrap_servers:
        return redis_address(settings, "Redis Streams")
    first = settings.kafka_bootstrap_servers.split(",")[0].strip()
    return Address(
        name="Kafka",
        url=f"kafka://{first}",
        variable="LEMO_KAFKA_BOOTSTRAP_SERVERS",
        schemes=("kafka",),
        default_port=9092,
        embedded=False,
        start=f"kafka-broker-api-versions.sh --bootstrap-server {first}",
    )


def _pinged(settings: Settings, store: str) -> Callable[[], Finding]:
    """A question that connects one store, pings it and lets it go."""

    def question() -> Finding:
        stores = Stores(settings)
        try:
            return Finding(state="ok", version=str(getattr(stores, store).ping() or ""))
        finally:
            stores.close()

    return question


def _timed(question: Callable[[], Finding], address: Address | None) -> Finding:
    """Like `asked`, for what has no host and port to try first."""
    started = time.perf_counter()
    try:
        finding = question()
    except Exception as error:  # noqa: BLE001 - clients raise what they like; each error becomes a finding
        if address is not None:
            return address.explain(error)
        mend = error.mend if isinstance(error, LemoError) else "Look at the settings: lemo settings"
        message = error.message if isinstance(error, LemoError) else str(error)
        return Finding(state="missing", detail=message, mend=mend)
    return finding.model_copy(update={"latency_ms": round((time.perf_counter() - started) * 1000, 2)})


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _port(url: str, default: int) -> int:
    try:
        return urlsplit(url).port or default
    except ValueError:
        return default
