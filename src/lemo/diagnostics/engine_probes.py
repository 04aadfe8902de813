"""Probes of the engines: whether each answers, its version, and whether it can be written to."""

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from lemo.diagnostics.probing import probe_at, timed_probe
from lemo.diagnostics.reachability import Address, host_of, port_of
from lemo.diagnostics.redis_probes import PROBE
from lemo.diagnostics.report import Finding
from lemo.domain.errors import LemoError, NotFound
from lemo.domain.scope import Scope
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.damage import FOLDER, damages
from lemo.stores.documents import WRITE_PROBES

if TYPE_CHECKING:
    from pymongo import MongoClient

_MADE_BY = {
    "model": "train-model-daily",
    "similar": "compute-item-similarity-hourly",
    "similarity-state": "compute-item-similarity-hourly",
    "embedding": "embed-items",
}
"""Each kind of snapshot, and the job that makes another."""
LITTLE_SPACE, NO_SPACE = 2_000_000_000, 100_000_000
"""Free bytes below which the home folder gets a warning, or counts as full."""


def probe_documents(settings: Settings) -> Finding:
    """Pings MongoDB, or checks the SQLite file without creating it."""
    if settings.mongo_url:
        return _probe_mongo(settings)
    path = settings.state / "documents.sqlite"
    if not path.exists():
        return Finding(
            state="missing",
            detail=f"SQLite: {path} does not exist: nothing has been started with this LEMO_HOME.",
            hint="lemo up --detach",
        )
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        return Finding(state="missing", detail=f"SQLite: {path} is not writable.", hint=f"chown -R $USER {path.parent}")
    return timed_probe(_written(settings, "documents"), _as_it_says)


def _probe_mongo(settings: Settings) -> Finding:
    url = settings.mongo_url.get_secret_value() if settings.mongo_url else ""
    seeds = urlsplit(url).netloc.rsplit("@", 1)[-1].split(",")
    tls = "tls=true" in url or "ssl=true" in url or url.startswith("mongodb+srv")
    address = Address(
        name="MongoDB",
        # The first host is enough here. Python cannot parse a URL with a list of hosts.
        url=url if len(seeds) == 1 else f"{urlsplit(url).scheme}://{seeds[0]}",
        variable="LEMO_MONGO_URL",
        schemes=("mongodb",),
        default_port=27017,
        embedded=False,
        start=f"mongosh 'mongodb://{seeds[0]}/{'?tls=true' if tls else ''}' --eval 'db.runCommand({{ping: 1}})'",
        tls_scheme="" if tls else "?tls=true at the end of LEMO_MONGO_URL",
        authority="add &tlsCAFile=/path/to/ca.pem to LEMO_MONGO_URL",
    )

    def probe() -> Finding:
        with brief_mongo(settings) as client:
            version = client.server_info()["version"]
            # The version needs no password; this needs the right one.
            kinds = client[settings.mongo_database].list_collection_names()
            hello = client.admin.command("hello")
            if hello.get("isWritablePrimary", True):
                probes = client[settings.mongo_database][WRITE_PROBES.name]
                probes.delete_one({"_id": probes.insert_one({}).inserted_id})
        said = f"{len(kinds)} collections in {settings.mongo_database}"
        kind = f", replica set {hello['setName']}" if "setName" in hello else ""
        if not hello.get("isWritablePrimary", True):
            return Finding(
                state="missing",
                version=f"MongoDB {version}",
                detail="MongoDB: this member is not the primary, and takes no writes.",
                hint="Name the whole replica set in LEMO_MONGO_URL: mongodb://a,b,c/?replicaSet=NAME",
            )
        return Finding(state="ok", version=f"MongoDB {version}", detail=said + kind)

    if url.startswith("mongodb+srv://"):
        return timed_probe(probe, address.explain)
    return probe_at(address, probe)


def brief_mongo(settings: Settings) -> "MongoClient[dict[str, Any]]":
    """The product's own client with short time-outs; raises pymongo's error for an invalid URL."""
    from lemo.stores.documents.mongo import mongo_client

    url = settings.mongo_url.get_secret_value() if settings.mongo_url else ""
    return mongo_client(url, PROBE)


def probe_events(settings: Settings) -> Finding:
    """Reads the version of ClickHouse and of Lemo's tables."""
    url = settings.clickhouse
    address = Address(
        name="ClickHouse",
        url=url,
        variable="LEMO_CLICKHOUSE_URL" if settings.clickhouse_url else "LEMO_CLICKHOUSE_PORT",
        schemes=("http", "https"),
        default_port=8443 if url.startswith("https") else 8123,
        embedded=settings.clickhouse_url is None,
        start=f"curl {urlsplit(url).scheme}://{host_of(url)}:{port_of(url, 8123)}/ping",
        tls_scheme="https",
    )

    def probe() -> Finding:
        from lemo.stores.clickhouse.events import SCHEMA_VERSION

        with closing(Stores(settings, interactive=True)) as stores:
            version, schema = stores.events.ping(), stores.events.schema()
            if schema is None:
                detail = f"no tables in {settings.clickhouse_database} yet: the consumer makes them"
                return Finding(state="ok", version=version, detail=detail)
            stores.events.check_writes()
        if schema < SCHEMA_VERSION:
            return Finding(
                state="warning",
                version=f"{version}, schema {schema}",
                detail=f"ClickHouse: the tables have schema {schema}, and this Lemo writes schema {SCHEMA_VERSION}.",
                hint="Start this version's consumer, which brings them up to date: lemo consumer",
            )
        return Finding(
            state="ok",
            version=f"{version}, schema {schema}",
            detail=f"schema {schema} of {settings.clickhouse_database}",
        )

    return probe_at(address, probe)


def probe_vectors(settings: Settings) -> Finding:
    """Reads the version and the collections of Milvus."""
    address = Address(
        name="Milvus",
        url=settings.milvus,
        variable="LEMO_MILVUS_URI" if settings.milvus_uri else "LEMO_MILVUS_PORT",
        schemes=("http", "https", "tcp"),
        default_port=19530,
        embedded=not settings.milvus_uri,
        start=f"nc -vz {host_of(settings.milvus)} {port_of(settings.milvus, 19530)}",
        tls_scheme="https",
    )

    def probe() -> Finding:
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its log lines about TLS would appear in the report
        stores = Stores(settings, interactive=True)
        try:
            version = stores.vectors.ping()
            collections, in_use = stores.vectors.census()
        finally:
            stores.close()
        shown = ", ".join(collections[:3]) + (", ..." if len(collections) > 3 else "")
        detail = f"{len(collections)} collections, {in_use} of them in use{': ' if shown else ''}{shown}"
        return Finding(state="ok", version=version, detail=detail)

    return probe_at(address, probe)


def probe_snapshots(settings: Settings) -> Finding:
    """Checks that the object store or the folder of snapshots can be written."""
    place = settings.snapshots
    if "://" in place and not place.startswith("file://"):
        if not settings.s3_endpoint:
            return timed_probe(_written(settings, "snapshots"), _as_it_says)
        address = Address(
            name="S3",
            url=settings.s3_endpoint,
            variable="LEMO_S3_ENDPOINT",
            schemes=("http", "https"),
            default_port=443 if settings.s3_endpoint.startswith("https") else 80,
            embedded=False,
            start=f"curl -I {settings.s3_endpoint}",
        )
        return probe_at(address, _written(settings, "snapshots"))
    folder = Path(place.removeprefix("file://"))
    nearest = next((parent for parent in (folder, *folder.parents) if parent.exists()), folder)
    if not os.access(nearest, os.W_OK):
        return Finding(
            state="missing", detail=f"snapshots: {nearest} is not writable.", hint=f"chown -R $USER {nearest}"
        )
    if folder.exists():  # the first training creates it
        finding = timed_probe(_written(settings, "snapshots"), _as_it_says)
        return timed_probe(_whole_snapshots(settings), _as_it_says) if finding.state == "ok" else finding
    return Finding(state="ok", version="folder", detail=str(folder))


def _whole_snapshots(settings: Settings) -> Callable[[], Finding]:
    """A probe that opens the snapshots in use. Only for a folder: S3 would send all of their data."""

    def probe() -> Finding:
        damaged = []
        with closing(Stores(settings, interactive=True)) as stores:
            for tenant_id in stores.tenants.list():
                for scope in [Scope(tenant_id, each.scenario_id) for each in stores.scenarios.list(tenant_id)]:
                    for kind, entry in _MADE_BY.items():
                        version = stores.snapshots.current(scope, kind)
                        try:
                            if version is not None:
                                stores.snapshots.open(scope, kind, version)
                        except NotFound as error:
                            damaged.append((scope, entry, error.message))
            place = stores.snapshots.ping()
        if not damaged:
            return Finding(state="ok", version=str(place or ""))
        scope, entry, message = damaged[0]
        return Finding(
            state="warning",
            version=str(place or ""),
            detail=f"{len(damaged)} of the snapshots in service cannot be opened: {message} Until its job has made "
            "another, the version before serves, or popular items.",
            hint=f"lemo jobs run {entry} --scenario {scope.scenario_id} --wait",
        )

    return probe


def probe_home(settings: Settings) -> Finding:
    """Checks that the home folder can be written and has free space."""
    home = settings.state
    nearest = next((parent for parent in (home, *home.parents) if parent.exists()), home)
    if not os.access(nearest, os.W_OK):
        return Finding(state="missing", detail=f"{nearest} is not writable.", hint=f"chown -R $USER {nearest}")
    try:
        with NamedTemporaryFile(dir=nearest, prefix=".lemo-doctor-") as file:
            file.write(b"0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return Finding(
            state="missing",
            detail=f"{nearest} cannot be written: {error.strerror}.",
            hint=f"Free some space, or mount it writable: df -h {nearest}",
        )
    free = shutil.disk_usage(nearest).free
    said = f"{free / 1e9:.1f} GB free"
    if free < LITTLE_SPACE:
        return Finding(
            state="missing" if free < NO_SPACE else "warning",
            version=said,
            detail=f"the disk of {home} is nearly full: {said}.",
            hint=f"Free some space, or move LEMO_HOME. What is large: du -xh -d1 {nearest} | sort -h",
        )
    damaged = damages(home)
    if damaged:
        last = damaged[-1]
        return Finding(
            state="warning",
            version=said,
            detail=f"{len(damaged)} damaged and set aside, last {last.what} at {last.found_at:%Y-%m-%d %H:%M} UTC: "
            f"{last.why} {last.done}",
            hint=f"Look at the disk; when nothing of it is needed any more: rm -r {home / FOLDER}",
        )
    return Finding(state="ok", version=said, detail=str(home))


def _written(settings: Settings, name: Literal["documents", "snapshots"]) -> Callable[[], Finding]:
    """A probe that connects to a store, writes to it, removes what it wrote, and closes the store."""

    def probe() -> Finding:
        with closing(Stores(settings, interactive=True)) as stores:
            store = stores.documents if name == "documents" else stores.snapshots
            version = store.ping()
            store.check_writes()
        return Finding(state="ok", version=str(version or ""))

    return probe


def _as_it_says(error: Exception) -> Finding:
    """Explains errors of stores without host and port."""
    hint = error.hint if isinstance(error, LemoError) else "Look at the settings: lemo settings"
    return Finding(state="missing", detail=error.message if isinstance(error, LemoError) else str(error), hint=hint)
