"""Deletes a scenario: all that any store holds of it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from lemo.domain.errors import Conflict, EngineUnavailable
from lemo.domain.scope import Scope
from lemo.jobs.embeddings import KIND as EMBEDDING
from lemo.scheduling.jobs import JOBS
from lemo.stores.clickhouse.removal import TABLES, Table
from lemo.stores.connect import Stores
from lemo.stores.documents import KINDS, RUNS, Kind
from lemo.stores.redis.client import translate_errors
from lemo.stores.redis.lease import Lease

log = structlog.get_logger(__name__)

ROUNDS = 5
"""Most rounds of removal. A writer that was under way when the first began has ended long before the last."""
SETTLED = timedelta(minutes=2)
"""So long after a deletion a worker looks once more for what was written meanwhile."""


def delete_scenario(stores: Stores, scope: Scope, by: str) -> dict[str, int]:
    """Deletes the scenario and all its data. Returns what was removed from each store.

    Its document goes first: from then on its messages are dead letters, and its routes answer 404. A deletion that was
    cut short is completed by calling this again, or by a worker within minutes. Raises NotFound, Conflict while a
    job is at work on the scenario, and EngineUnavailable.
    """
    stores.scenarios.check_deletable(scope)
    stores.events.migrate()  # where no consumer ever ran, there are no tables
    removed: dict[str, int] = {}
    with _no_runs(stores, scope):
        stores.audit.note(scope, by, "scenario.delete", scope.scenario_id)
        stores.scenarios.begin_deletion(scope, by)
        stores.user_changes.announce()  # to the consumers
        for _ in range(ROUNDS):
            again = remove_data(stores, scope)
            for store, count in again.items():
                removed[store] = removed.get(store, 0) + count
            if not any(left_of(stores, scope).values()):
                break
        else:
            raise Conflict(
                f"Something keeps writing data of {scope}, whose deletion has begun.",
                "Delete it again; what writes may be a consumer of an older version.",
            )
    stores.key_removal.delete(stores.key_removal.keys(scope))  # what is left are the leases that were held
    remains = stores.documents.scrub()
    stores.scenarios.end_deletion(scope)
    log.info("scenario deleted", scope=str(scope), by=by, **({"remains": remains} if remains else {}))
    return removed


def remove_data(stores: Stores, scope: Scope) -> dict[str, int]:
    """Removes all that the stores hold of a scenario but its own document; returns how much of each."""
    removed = {"documents": stores.schedules.delete(scope)}
    for kind, place, ids in _documents(stores, scope):
        removed["documents"] += stores.documents.delete(kind, place, ids)
    for table in TABLES:
        count = stores.removal.count_scope(table, scope)
        if count:
            stores.removal.delete_scope(table, scope)
        removed[f"ClickHouse: {table.name}"] = count
    removed["Milvus"] = _drop_vectors(stores, scope)
    removed["snapshots"] = stores.snapshots.delete_scope(scope)
    removed["Redis"] = stores.key_removal.delete(_keys(stores, scope))
    return removed


def left_of(stores: Stores, scope: Scope) -> Mapping[str, int]:
    """What each store still holds of a scenario, but for vectors, which are dropped in one step.

    Leases, which the deletion holds itself, do not count.
    """
    counts: dict[str, Callable[[], int]] = {
        "documents": lambda: sum(len(ids) for _, _, ids in _documents(stores, scope)),
        **{f"ClickHouse: {table.name}": partial(_rows, stores, table, scope) for table in TABLES},
        "snapshots": lambda: stores.snapshots.count_objects(scope),
        "Redis": lambda: len(set(_keys(stores, scope))),
    }
    return {store: count() for store, count in counts.items()}


def remove_if_deleted(stores: Stores, scope: Scope) -> None:
    """Removes what was written to a scenario that is gone."""
    if not stores.scenarios.exists(scope):
        remove_data(stores, scope)


def finish_deletions(stores: Stores) -> None:
    """Completes deletions that were cut short, and looks once more for what was written during the others."""
    for tenant_id in stores.tenants.list():
        for scope, moment, ended in list(stores.scenarios.deletions(tenant_id)):
            if datetime.now(UTC) - moment < SETTLED:
                continue
            if not ended:
                delete_scenario(stores, scope, "worker, of a deletion that was cut short")
            else:
                if stores.scenarios.sweep_deletion(scope):
                    remove_data(stores, scope)
                stores.scenarios.forget_deletion(scope)


def _drop_vectors(stores: Stores, scope: Scope) -> int:
    """Drops the scenario's vectors; raises EngineUnavailable only where it had some."""
    embedded = stores.snapshots.current(scope, EMBEDDING) is not None
    try:
        return stores.vectors.drop_all(scope)
    except EngineUnavailable:
        if embedded:
            raise
        return 0  # the vector store is optional, and this scenario never used it


def _documents(stores: Stores, scope: Scope) -> Iterator[tuple[Kind, Scope, list[str]]]:
    """The ids of all documents of the scenario, by where they are."""
    for kind in KINDS:
        yield kind, scope, stores.documents.ids(kind, scope, {})
    yield RUNS, scope.tenant, stores.documents.ids(RUNS, scope.tenant, {"scenario_id": scope.scenario_id})


def _rows(stores: Stores, table: Table, scope: Scope) -> int:
    return stores.removal.count_scope(table, scope)


def _keys(stores: Stores, scope: Scope) -> Iterator[str]:
    leases = stores.keys("lease", "")
    return (name for name in stores.key_removal.keys(scope) if not name.startswith(leases))


@contextmanager
def _no_runs(stores: Stores, scope: Scope) -> Iterator[None]:
    """Holds the leases of all jobs on the scenario; raises Conflict where a run has one."""
    with ExitStack() as held:
        for entry in JOBS:
            lease = held.enter_context(Lease(stores.redis, entry, scope, keys=stores.keys))
            with translate_errors():
                if not lease.acquire():
                    raise Conflict(
                        f"A run of {entry} is at work on {scope}.",
                        "Delete the scenario when it has ended: `lemo runs list` shows it.",
                    )
        yield
