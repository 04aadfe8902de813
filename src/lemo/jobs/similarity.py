"""Similar items: from behaviour where there is some, from content for the rest."""

import numpy as np
import structlog

from lemo.domain.errors import EngineUnavailable
from lemo.domain.scope import Scope
from lemo.jobs.embeddings import new_version
from lemo.jobs.report import Done, Report
from lemo.recommenders.blend import BlendConfig
from lemo.recommenders.interactions import Array, Interactions
from lemo.recommenders.item_knn import item_similarity
from lemo.recommenders.similar import similar_items
from lemo.stores.connect import Stores

log = structlog.get_logger()

KIND = "similar"
NEIGHBOURS = 50


def relate(stores: Stores, scope: Scope, report: Report) -> Done:
    """Publishes each active item's nearest items as a new snapshot, and points to it.

    Decay and shrinkage are those of the champion model, which chose them on this scenario's own past.
    """
    rules = stores.scenarios.get(scope).actions
    report.stage("reading items and events")
    active = {item.item_id for item in stores.items.scan(scope) if item.recommendable}
    table = stores.events.interactions(scope)
    interactions = Interactions.from_table(table, rules, active)
    if not interactions.item_ids:
        return Done()
    config = _champion_config(stores, scope)
    report.stage("comparing items")
    similarity = item_similarity(
        interactions.tastes(config.behaviour_half_life_ms),
        config.shrinkage,
        max(NEIGHBOURS, config.neighbours),
        interactions.typical_weight,
    )
    answerable = np.array([item_id in active for item_id in interactions.item_ids])
    content, without = _content(stores, scope, interactions.item_ids)
    similar = similar_items(interactions.item_ids, similarity, content, NEIGHBOURS, answerable)
    arrays, manifest = similar.to_arrays()
    version = new_version()
    report.stage("publishing")
    stores.snapshots.publish(scope, KIND, version, arrays, manifest)
    report.check()
    stores.snapshots.point(scope, KIND, version, report.fence)
    detail = {"version": version} | ({"without": without} if without else {})
    return Done(len(interactions), len(interactions.item_ids), detail)


def _champion_config(stores: Stores, scope: Scope) -> BlendConfig:
    version = stores.snapshots.current(scope, "model")
    if version is None:
        return BlendConfig()
    return BlendConfig.model_validate(stores.snapshots.open(scope, "model", version).manifest["config"])


def _content(stores: Stores, scope: Scope, item_ids: list[str]) -> tuple[Array | None, str]:
    """float32 (items, d) of the items' vectors, zeros where an item has none; None before the first embedding.

    The vector store is optional: without it items are related by behaviour alone, and the text says why.
    """
    try:
        vectors = stores.vectors.fetch(scope, item_ids)
    except EngineUnavailable as error:
        log.warning("similar items from behaviour alone", scope=str(scope), error=error.message)
        return None, f"content vectors: {error.message}"
    if not vectors:
        return None, ""
    matrix = np.zeros((len(item_ids), len(next(iter(vectors.values())))), dtype=np.float32)
    for row, item_id in enumerate(item_ids):
        if item_id in vectors:
            matrix[row] = vectors[item_id]
    return matrix, ""
