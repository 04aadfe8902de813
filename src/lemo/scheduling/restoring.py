"""Restores what Redis or the vector store has lost: a thread of each worker rebuilds it."""

import threading
import time

import structlog
from redis.exceptions import RedisError

from lemo.domain.errors import LemoError, NotFound
from lemo.domain.scope import Scope
from lemo.jobs.embeddings import KIND
from lemo.scheduling.dispatch import request_embedding
from lemo.scheduling.scenario_deletion import finish_deletions
from lemo.serving.restore import queue_all, restore
from lemo.settings import Settings
from lemo.stores.connect import Stores

log = structlog.get_logger()

CHECK_SECONDS = 3
COSTLY_CHECK_SECONDS = 60
"""Interval between checks that cost more: whether newest items run low, and whether vectors exist."""


def start_restoring(settings: Settings) -> None:
    """Starts the thread, in the worker's main process, for as long as that lives."""
    threading.Thread(target=_watch, args=(settings,), name="restoring", daemon=True).start()


def _watch(settings: Settings) -> None:
    stores = Stores(settings)
    next_costly_check = 0.0
    while True:
        costly_checks = time.monotonic() >= next_costly_check
        try:
            restore_all(stores, costly_checks)
        except (LemoError, RedisError) as error:
            log.warning("cannot check what Redis has lost now", error=str(error))
        if costly_checks:
            try:
                restore_vectors(stores)
            except (LemoError, RedisError) as error:
                log.warning("cannot check now whether vectors are lost", error=str(error))
            try:
                finish_deletions(stores)
            except (LemoError, RedisError) as error:
                log.warning("the deletion of a scenario waits", error=str(error))
            next_costly_check = time.monotonic() + COSTLY_CHECK_SECONDS
        time.sleep(CHECK_SECONDS)


def restore_all(stores: Stores, costly_checks: bool = True) -> list[Scope]:
    """Rebuilds the availability of scopes where it was lost, is due, or where the newest items run low.

    Returns the scopes that were rebuilt.
    """
    scopes = _scopes(stores)
    lost, due = stores.availability.lost(scopes), stores.availability.due(scopes)
    low = (
        [scope for scope in stores.availability.cut(scopes) if stores.availability.runs_low(scope)]
        if costly_checks
        else []
    )
    restored = [scope for scope in dict.fromkeys([*lost, *due, *low]) if restore(stores, scope)]
    for scope in lost:
        if scope in restored:
            request_embedding(stores, scope)
    return restored


def restore_vectors(stores: Stores) -> list[Scope]:
    """Has the items of scopes embedded again whose vectors are gone, or what made them: damaged, or another Milvus."""
    lost = []
    for scope in _scopes(stores):
        version = stores.snapshots.current(scope, KIND)
        if version is None or (version in stores.vectors.versions(scope) and _opens(stores, scope, version)):
            continue
        if stores.snapshots.current(scope, KIND) != version or _embedding(stores, scope):
            continue
        log.warning(
            "vectors, or what made them, are lost: all items are embedded again", scope=str(scope), version=version
        )
        queue_all(stores, scope)
        request_embedding(stores, scope)
        lost.append(scope)
    return lost


def _opens(stores: Stores, scope: Scope, version: str) -> bool:
    """Whether the model of the vectors is whole."""
    try:
        stores.snapshots.open(scope, KIND, version)
    except NotFound:
        return False
    return True


def _embedding(stores: Stores, scope: Scope) -> bool:
    runs = stores.runs.list(scope.tenant_id, "embed-items", scope.scenario_id, limit=5)
    return any(run.outcome in ("queued", "running") for run in runs)


def _scopes(stores: Stores) -> list[Scope]:
    return [
        Scope(tenant_id, scenario.scenario_id)
        for tenant_id in stores.tenants.list()
        for scenario in stores.scenarios.list(tenant_id)
    ]
