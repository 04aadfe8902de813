"""What Redis or the vector store has lost comes back by itself: a thread of each worker has it made anew."""

import threading
import time

import structlog
from redis.exceptions import RedisError

from lemo.domain.errors import LemoError, NotFound
from lemo.domain.scope import Scope
from lemo.jobs.embeddings import KIND
from lemo.serving.restore import queue_all, restore
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.tasks.dispatch import request_embedding

log = structlog.get_logger()

LOOK_SECONDS = 3
CLOSE_SECONDS = 60
"""How often it is asked what costs more: whether a list of newest items has run low, and whether vectors are there."""


def start_restoring(settings: Settings) -> None:
    """Looks for what is lost in a thread of the worker's main process for as long as it lives."""
    threading.Thread(target=_watch, args=(settings,), name="restoring", daemon=True).start()


def _watch(settings: Settings) -> None:
    stores = Stores(settings)
    low_at = 0.0
    while True:
        look_closely = time.monotonic() >= low_at
        try:
            restore_all(stores, look_closely)
        except (LemoError, RedisError) as error:
            log.warning("cannot look for what Redis has lost now", error=str(error))
        if look_closely:
            try:
                restore_vectors(stores)
            except (LemoError, RedisError) as error:
                log.warning("cannot look whether vectors are lost now", error=str(error))
            low_at = time.monotonic() + CLOSE_SECONDS
        time.sleep(LOOK_SECONDS)


def restore_all(stores: Stores, look_closely: bool = True) -> list[Scope]:
    """Rebuilds what may be shown where it was lost, where a catalogue has begun, and where newest items run low."""
    scopes = _scopes(stores)
    lost, due = stores.availability.lost(scopes), stores.availability.due(scopes)
    low = (
        [scope for scope in stores.availability.cut(scopes) if stores.availability.runs_low(scope)]
        if look_closely
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
