"""Probes of Redis: its three databases, and whether it keeps what it acknowledged."""

import uuid
from concurrent.futures import TimeoutError as Late
from typing import Any

from redis import Redis

from lemo.diagnostics.probing import probe_at
from lemo.diagnostics.reachability import Address, host_of, port_of
from lemo.diagnostics.report import Finding
from lemo.domain.deadlines import Deadlines
from lemo.domain.errors import LemoError
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.installation import Owner, known_id, owner_of, refusal
from lemo.stores.redis.client import Keys, connect_redis
from lemo.threads import run_in_thread

PROBE = Deadlines(connect=2.0, answer=2.8, retries=0)
"""How long the product's clients wait in a probe: a report takes five seconds in all."""

_DOCUMENTS_SECONDS = 2.0
"""Longest wait for the documents, so that they do not make Redis look unavailable."""


def redis_address(settings: Settings, name: str = "Redis") -> Address:
    """Where Redis should be."""
    url = settings.redis(0)
    tls = "--tls " if url.startswith("rediss") else ""
    return Address(
        name=name,
        url=url,
        variable="LEMO_REDIS_URL" if settings.redis_url else "LEMO_REDIS_PORT",
        schemes=("redis", "rediss"),
        default_port=6379,
        embedded=settings.redis_url is None,
        start=f"redis-cli {tls}-h {host_of(url)} -p {port_of(url, 6379)} ping",
        tls_scheme="rediss",
        authority="add ?ssl_ca_certs=/path/to/ca.pem to LEMO_REDIS_URL",
    )


def brief_redis(settings: Settings, database: int) -> Redis:
    """The product's own client with short time-outs: a report must not wait for an engine to restart."""
    return connect_redis(settings.redis(database), PROBE)


def probe_redis(settings: Settings, database: int) -> Finding:
    """Pings one of the three databases, and writes to it: a full Redis still answers reads."""
    probe_key = Keys(settings.installation)("doctor", uuid.uuid4().hex)

    def probe() -> Finding:
        with brief_redis(settings, database) as client:
            client.set(probe_key, 1, ex=10)
            client.delete(probe_key)
            facts: dict[str, Any] = client.info("server")
            keys = client.dbsize()
            other = _other_owner(settings, client) if database == 0 else None
        if other:
            detail, hint = refusal(settings, other)
            return Finding(state="missing", detail=detail, hint=hint)
        valkey = facts.get("valkey_version")
        version = f"Valkey {valkey}" if valkey else f"Redis {facts['redis_version']}"
        return Finding(state="ok", version=version, detail=f"{keys:,} keys in database {database}")

    return probe_at(redis_address(settings, f"Redis database {database}"), probe)


def _other_owner(settings: Settings, client: Redis) -> Owner | None:
    """The installation that Redis belongs to, unless it is ours."""
    owner = owner_of(client, Keys(settings.installation))
    if owner is None:
        return None

    def ask() -> str | None:
        stores = Stores(settings)
        try:
            return known_id(stores.documents)
        finally:
            stores.close()

    try:
        mine = run_in_thread(ask, "doctor").result(timeout=_DOCUMENTS_SECONDS)
    except (LemoError, Late):  # the probe of the documents reports it
        return None
    return owner if mine not in (None, owner.id) else None


def probe_durability(settings: Settings) -> Finding:
    """Checks that Redis keeps what it acknowledged: append-only file, last write, eviction policy, replication."""
    address = redis_address(settings)

    def probe() -> Finding:
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
                hint="Free space on the disk of Redis, then look at: " + f"{cli} info persistence",
            )
        if policy != "noeviction":
            return Finding(
                state="warning",
                version=version,
                detail=f"the eviction policy is {policy}: under memory pressure Redis drops queued tasks and messages.",
                hint=f"{cli} config set maxmemory-policy noeviction",
            )
        if not append_only:
            return Finding(
                state="warning",
                version=version,
                detail="the append-only file is off: what came since the last dump is lost when Redis restarts.",
                hint=f"{cli} config set appendonly yes",
            )
        return Finding(state="ok", version=version, detail="writes are kept, nothing is evicted")

    return probe_at(address, probe)
