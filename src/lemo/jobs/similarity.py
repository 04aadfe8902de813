"""Similar items: by behaviour where an item has interactions, else by content.

A run reads the events since the last run and updates its state (jobs/incremental_state.py). The result is the same as
that of a full run.
"""

import time
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from lemo.domain.errors import EngineUnavailable, NotFound
from lemo.domain.scope import Scope
from lemo.jobs.champion import config_of
from lemo.jobs.incremental_state import KIND as STATE_KIND
from lemo.jobs.incremental_state import State, activate_state, load_state, publish_state
from lemo.jobs.ratings import with_scales
from lemo.jobs.report import NO_ITEMS, Done, Report, idle
from lemo.recommenders.data.increments import LatestInteractions
from lemo.recommenders.hybrid.hybrid import HybridConfig
from lemo.recommenders.similar_items import similar_items
from lemo.recommenders.sources.item_knn import ItemKnnConfig, Ranked, counting
from lemo.serving.restore import restore_for
from lemo.stores.connect import Stores
from lemo.stores.objects.versions import new_version

Array = np.ndarray[Any, Any]

log = structlog.get_logger()

KIND = "similar"
NEIGHBOURS = 50
PUBLISHED_WITHIN = timedelta(days=1)
"""Items that are published within this time are compared already. Answers leave them out until then."""
FORM = 1
"""Version of the state's format. With another one, a run starts from nothing."""


def compute_similarity(stores: Stores, scope: Scope, report: Report) -> Done:
    """Publishes the nearest items of each available item as a new snapshot, and puts it in service.

    Decay and shrinkage are those of the champion, which were tuned on this scenario's events. A run is full when
    `report.full` is set, when the champion's parameters, the rules or the embedding have changed, and once a day. It
    publishes nothing when nothing has changed. The snapshot is put in service before the state: a run that crashes in
    between is repeated from the older state, with the same result.
    """
    started = time.time()
    scenario = with_scales(stores, scope)
    rules = scenario.actions
    config = _champion_config(stores, scope)
    cache_key = {
        "form": FORM,
        "rules": {action: rule.model_dump(mode="json") for action, rule in sorted(rules.items())},
        "half_life_ms": config.half_life_ms,
        "shrinkage": config.shrinkage,
        "neighbours": config.neighbours,
        "embedding": stores.snapshots.current(scope, "embedding"),
    }
    before = None if report.full else load_state(stores, scope, cache_key)
    report.stage("reading items and events")
    active, others = (pa.array(ids, pa.large_string()) for ids in stores.items.showable(scope, PUBLISHED_WITHIN))
    table, until_ms = stores.events.taken_in(scope, before.until_ms if before else None)
    interactions = (
        (before.interactions if before else LatestInteractions.none(rules)).with_events(table, rules).with_items(active)
    )
    if not len(interactions.item_ids):
        return idle(f"There are neither items nor events to compare. {NO_ITEMS}")
    recommendable = pc.is_in(interactions.item_ids, value_set=active).to_numpy(zero_copy_only=False)
    if not scenario.needs_catalogue(bool(len(active) or len(others))):
        recommendable = ~pc.is_in(interactions.item_ids, value_set=others).to_numpy(zero_copy_only=False)
    content, without = _content(stores, scope, interactions, before)
    if before and not without and before.same(interactions, recommendable, content) and _serves(stores, scope):
        stores.embedding_queue.forget_written(scope)
        current = stores.snapshots.current(scope, KIND)
        return idle("Nothing has changed since the last run.", len(table), version=current, full=False)
    report.stage("comparing items")
    matrix, unit = interactions.user_item_matrix(config.half_life_ms)
    ranked = Ranked.of(counting(matrix, unit))
    nearest = ranked.nearest(np.arange(ranked.items), config.shrinkage, max(NEIGHBOURS, config.neighbours))
    vectors = np.zeros((len(recommendable), content.shape[1]), dtype=np.float32)
    vectors[: len(content)] = content * recommendable[: len(content), None]
    similar = similar_items(interactions.item_ids.to_pylist(), nearest, vectors, NEIGHBOURS, recommendable)
    report.stage("publishing")
    report.check()
    version = new_version()
    stores.snapshots.publish(scope, KIND, version, *similar.to_arrays())
    since = before.since if before else time.time()
    state = State(interactions, recommendable, content, until_ms, since, cache_key)
    publish_state(stores, scope, version, state)
    restore_for(stores, scope, similar.item_ids, report.check)
    report.check()
    stores.snapshots.point(scope, KIND, version, report.fence)
    activate_state(stores, scope, version, report.fence)
    stores.user_changes.refresh()
    if max(stores.user_changes.erased(scope).values(), default=0) >= started * 1000:
        # Somebody was erased meanwhile, and the state may hold the id: the next run starts over.
        stores.snapshots.delete_kind(scope, STATE_KIND)
    if not without:
        stores.embedding_queue.forget_written(scope)
    detail = {"version": version, "full": before is None} | ({"without": without} if without else {})
    return Done(len(table), len(interactions.item_ids), detail)


def _serves(stores: Stores, scope: Scope) -> bool:
    """Whether the snapshot in service can be opened."""
    version = stores.snapshots.current(scope, KIND)
    try:
        return version is not None and bool(stores.snapshots.open(scope, KIND, version).arrays)
    except NotFound as error:  # lost or damaged
        log.warning("similar items are computed again", scope=str(scope), error=error.message)
        return False


def _champion_config(stores: Stores, scope: Scope) -> ItemKnnConfig:
    """Decay, shrinkage and neighbours: those of the champion's item-kNN, or the decay of its ridge."""
    version = stores.snapshots.current(scope, "model")
    if version is None:
        return ItemKnnConfig()
    config = config_of(stores, scope, version) or HybridConfig()
    found: ItemKnnConfig | None = config.of("item-knn")
    return found or ItemKnnConfig(half_life_ms=config.query_half_life_ms)


def _content(stores: Stores, scope: Scope, interactions: LatestInteractions, before: State | None) -> tuple[Array, str]:
    """float32 (items, d) of the items' vectors, zeros where an item has none; (0, 0) before the first embedding.

    Only vectors that may have changed are read. The vector store is optional: without it, the rows of the last run are
    returned, which lack new items, and a text with the reason.
    """
    previous = before.content if before else np.zeros((0, 0), dtype=np.float32)
    places = np.arange(len(interactions.item_ids))
    written = pa.array(stores.embedding_queue.take_written(scope), pa.large_string())
    changed = pc.is_in(interactions.item_ids, value_set=written).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(changed | (places >= len(previous)))
    names = interactions.item_ids.take(pa.array(rows)).to_pylist()
    try:
        vectors = stores.vectors.fetch(scope, names)
    except EngineUnavailable as error:
        log.warning("similar items without new content", scope=str(scope), error=error.message)
        return previous, f"content vectors: {error.message}"
    width = len(next(iter(vectors.values()))) if vectors else previous.shape[1]
    if not width:
        return previous, ""
    content = np.zeros((len(places), width), dtype=np.float32)
    content[: len(previous)] = previous.reshape(-1, width)
    for row, name in zip(rows.tolist(), names, strict=True):
        content[row] = vectors.get(name, 0)
    return content, ""
