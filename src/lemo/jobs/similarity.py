"""Similar items: from behaviour where there is some, from content for the rest.

A run reads the events since the last one and goes on from the state that the last run kept
(jobs/incremental_state.py). The result is that of a run that reads all of them.
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
from lemo.jobs.embeddings import new_version
from lemo.jobs.incremental_state import State, kept, publish, switch
from lemo.jobs.ratings import with_scales
from lemo.jobs.report import NO_ITEMS, Done, Report, idle
from lemo.jobs.training import config_of
from lemo.recommenders.data.increments import LatestInteractions
from lemo.recommenders.hybrid.hybrid import HybridConfig
from lemo.recommenders.similar_items import similar_items
from lemo.recommenders.sources.item_knn import ItemKnnConfig, Ranked, counting
from lemo.recommenders.sources.ridge import RidgeConfig
from lemo.serving.restore import restore_for
from lemo.stores.connect import Stores

Array = np.ndarray[Any, Any]

log = structlog.get_logger()

KIND = "similar"
NEIGHBOURS = 50
PUBLISHED_WITHIN = timedelta(days=1)
"""Items that are published so soon are related already, and left out of answers until then."""
FORM = 1
"""Of the kept state: a later version of this code that keeps something else starts from nothing."""


def compute_similarity(stores: Stores, scope: Scope, report: Report) -> Done:
    """Publishes each visible item's nearest items as a new snapshot, and points to it.

    Decay and shrinkage are those of the champion model, which chose them on this scenario's own past. All is read again
    when `report.full` asks for it, when the champion's choice, the rules or the embedding's version changed, and once a
    day; where nothing changed nothing is published. The pointer to the items that serve moves before the pointer to the
    state: a run that dies in between is done again from the older state, and gives the same.
    """
    scenario = with_scales(stores, scope)
    rules = scenario.actions
    config = _champion_config(stores, scope)
    basis = {
        "form": FORM,
        "rules": {action: rule.model_dump(mode="json") for action, rule in sorted(rules.items())},
        "half_life_ms": config.half_life_ms,
        "shrinkage": config.shrinkage,
        "neighbours": config.neighbours,
        "embedding": stores.snapshots.current(scope, "embedding"),
    }
    before = None if report.full else kept(stores, scope, basis)
    report.stage("reading items and events")
    active, others = (pa.array(ids, pa.large_string()) for ids in stores.items.showable(scope, PUBLISHED_WITHIN))
    table, until_ms = stores.events.taken_in(scope, before.until_ms if before else None)
    acts = (before.acts if before else LatestInteractions.none(rules)).with_events(table, rules).with_items(active)
    if not len(acts.item_ids):
        return idle(f"There are neither items nor events to compare. {NO_ITEMS}")
    answerable = pc.is_in(acts.item_ids, value_set=active).to_numpy(zero_copy_only=False)
    if not scenario.needs_catalogue(bool(len(active) or len(others))):
        answerable = ~pc.is_in(acts.item_ids, value_set=others).to_numpy(zero_copy_only=False)
    content, without = _content(stores, scope, acts, before)
    if before and not without and before.same(acts, answerable, content) and _serves(stores, scope):
        stores.embedding_queue.forget_written(scope)
        current = stores.snapshots.current(scope, KIND)
        return idle("Nothing has changed since the last run.", len(table), version=current, full=False)
    report.stage("comparing items")
    tastes, unit = acts.user_item_matrix(config.half_life_ms)
    ranked = Ranked.of(counting(tastes, unit))
    nearest = ranked.nearest(np.arange(ranked.items), config.shrinkage, max(NEIGHBOURS, config.neighbours))
    vectors = np.zeros((len(answerable), content.shape[1]), dtype=np.float32)
    vectors[: len(content)] = content * answerable[: len(content), None]
    similar = similar_items(acts.item_ids.to_pylist(), nearest, vectors, NEIGHBOURS, answerable)
    report.stage("publishing")
    report.check()
    version = new_version()
    stores.snapshots.publish(scope, KIND, version, *similar.to_arrays())
    since = before.since if before else time.time()
    publish(stores, scope, version, State(acts, answerable, content, until_ms, since, basis))
    restore_for(stores, scope, similar.item_ids, report.check)
    report.check()
    stores.snapshots.point(scope, KIND, version, report.fence)
    switch(stores, scope, version, report.fence)
    if not without:
        stores.embedding_queue.forget_written(scope)
    detail = {"version": version, "full": before is None} | ({"without": without} if without else {})
    return Done(len(table), len(acts.item_ids), detail)


def _serves(stores: Stores, scope: Scope) -> bool:
    """Whether what the last run published can be opened."""
    version = stores.snapshots.current(scope, KIND)
    try:
        return version is not None and bool(stores.snapshots.open(scope, KIND, version).arrays)
    except NotFound as error:  # lost or damaged
        log.warning("similar items are made anew", scope=str(scope), error=error.message)
        return False


def _champion_config(stores: Stores, scope: Scope) -> ItemKnnConfig | RidgeConfig:
    """The parameters of the champion's personal source."""
    version = stores.snapshots.current(scope, "model")
    if version is None:
        return ItemKnnConfig()
    config = config_of(stores, scope, version) or HybridConfig()
    found: ItemKnnConfig | RidgeConfig = config.of("item-knn") or config.of("ridge") or ItemKnnConfig()
    return found


def _content(stores: Stores, scope: Scope, acts: LatestInteractions, before: State | None) -> tuple[Array, str]:
    """float32 (items, d) of the items' vectors, zeros where an item has none; (0, 0) before the first embedding.

    Only vectors that may have changed are read. The vector store is optional: where it is away items are related by
    what is known, which has no rows for the last items, and the text says why.
    """
    known = before.content if before else np.zeros((0, 0), dtype=np.float32)
    places = np.arange(len(acts.item_ids))
    written = pa.array(stores.embedding_queue.take_written(scope), pa.large_string())
    changed = pc.is_in(acts.item_ids, value_set=written).to_numpy(zero_copy_only=False)
    asked = np.flatnonzero(changed | (places >= len(known)))
    names = acts.item_ids.take(pa.array(asked)).to_pylist()
    try:
        vectors = stores.vectors.fetch(scope, names)
    except EngineUnavailable as error:
        log.warning("similar items without new content", scope=str(scope), error=error.message)
        return known, f"content vectors: {error.message}"
    width = len(next(iter(vectors.values()))) if vectors else known.shape[1]
    if not width:
        return known, ""
    content = np.zeros((len(places), width), dtype=np.float32)
    content[: len(known)] = known.reshape(-1, width)
    for row, name in zip(asked.tolist(), names, strict=True):
        content[row] = vectors.get(name, 0)
    return content, ""
