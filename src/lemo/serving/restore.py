"""Makes whole what Redis keeps of a catalogue, from the documents, which are the truth, and the ids of snapshots."""

import time
from collections.abc import Callable, Iterable
from itertools import islice

import structlog

from lemo.domain.errors import NotFound
from lemo.domain.scope import Scope
from lemo.recommenders.data.strings import unpack_strings
from lemo.stores.connect import Stores

log = structlog.get_logger()

_QUEUED_AT_ONCE = 10_000
_WAIT_SECONDS = 0.5


def restore(stores: Stores, scope: Scope, also: Iterable[str] = ()) -> bool:
    """Rebuilds which items of a scope may be shown; False where another process is at it.

    Ids that the snapshots in service, or `also`, hold and the catalogue does not are kept out of answers, as the
    scenario's `catalogue` has it. Where all of it was lost, so was the queue of items that wait for their content
    vector: all items are queued again, of which only those are embedded whose text has no vector yet.
    """
    scenario = stores.scenarios.get(scope)
    lost = stores.availability.built_at(scope) is None
    if lost:
        queue_all(stores, scope)
    answered = set(also)
    for kind in ("model", "similar"):
        answered.update(snapshot_items(stores, scope, kind))
    restored = stores.availability.rebuild(scope, stores.items.entries(scope), answered, scenario.catalogue)
    if restored and lost:
        log.info("which items may be shown was read again from the documents", scope=str(scope))
    return restored


def queue_all(stores: Stores, scope: Scope) -> None:
    """Queues all items for their content vector: only those are embedded whose text has none yet."""
    for ids in _batches(entry.item_id for entry in stores.items.entries(scope)):
        stores.embedding_queue.add(scope, ids)


def restore_for(stores: Stores, scope: Scope, item_ids: Iterable[str], check: Callable[[], None]) -> None:
    """Before a snapshot with these items serves: keeps those out of answers that the catalogue does not know.

    Waits for another rebuild; `check` is called meanwhile.
    """
    ids = list(item_ids)
    while not restore(stores, scope, ids):
        check()
        time.sleep(_WAIT_SECONDS)


def snapshot_items(stores: Stores, scope: Scope, kind: str) -> list[str]:
    """The items of the snapshot in service; none where there is none, or where an older release wrote it."""
    version = stores.snapshots.current(scope, kind)
    if version is None:
        return []
    try:
        return unpack_strings("item_ids", stores.snapshots.open(scope, kind, version).arrays)
    except (NotFound, KeyError):
        return []


def _batches(ids: Iterable[str]) -> Iterable[list[str]]:
    rest = iter(ids)
    while batch := list(islice(rest, _QUEUED_AT_ONCE)):
        yield batch
