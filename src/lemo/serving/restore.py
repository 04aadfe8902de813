"""Rebuilds the availability sets in Redis from the documents and the item ids of snapshots."""

import time
from collections.abc import Callable, Iterable
from itertools import islice

import structlog

from lemo.domain.errors import NotFound
from lemo.domain.scope import Scope
from lemo.recommenders.data.strings import unpack_strings
from lemo.stores.connect import Stores

log = structlog.get_logger()

_QUEUE_BATCH = 10_000
_WAIT_SECONDS = 0.5


def restore(stores: Stores, scope: Scope, also: Iterable[str] = ()) -> bool:
    """Rebuilds the availability of a scope's items. Returns False while another process does.

    Items of the snapshots in service, and of `also`, that are not in the catalogue become unavailable, as the
    scenario's `catalogue` says. Where Redis lost the availability, it lost the embedding queue too. All items are
    queued again then, and only texts without a vector are embedded.
    """
    scenario = stores.scenarios.get(scope)
    lost = stores.availability.built_at(scope) is None
    if lost:
        queue_all(stores, scope)
    snapshot_ids = set(also)
    for kind in ("model", "similar"):
        snapshot_ids.update(snapshot_items(stores, scope, kind))
    restored = stores.availability.rebuild(scope, stores.items.entries(scope), snapshot_ids, scenario.catalogue)
    if restored and lost:
        log.info("availability of items rebuilt from the documents", scope=str(scope))
    return restored


def queue_all(stores: Stores, scope: Scope) -> None:
    """Queues all items for embedding. Only texts without a vector are embedded."""
    for ids in _batches(entry.item_id for entry in stores.items.entries(scope)):
        stores.embedding_queue.add(scope, ids)


def restore_for(stores: Stores, scope: Scope, item_ids: Iterable[str], check: Callable[[], None]) -> None:
    """Rebuilds the availability before a snapshot with these items is put in service.

    Waits while another process rebuilds it, and calls `check` meanwhile.
    """
    ids = list(item_ids)
    while not restore(stores, scope, ids):
        check()
        time.sleep(_WAIT_SECONDS)


def snapshot_items(stores: Stores, scope: Scope, kind: str) -> list[str]:
    """The items of the snapshot in service; empty without one, or where its format has no item ids."""
    version = stores.snapshots.current(scope, kind)
    if version is None:
        return []
    try:
        return unpack_strings("item_ids", stores.snapshots.open(scope, kind, version).arrays)
    except (NotFound, KeyError):
        return []


def _batches(ids: Iterable[str]) -> Iterable[list[str]]:
    rest = iter(ids)
    while batch := list(islice(rest, _QUEUE_BATCH)):
        yield batch
