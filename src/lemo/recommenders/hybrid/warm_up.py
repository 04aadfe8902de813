"""Warm-up: what compiled loops need once, paid before the first request asks for it."""

import numpy as np
from scipy import sparse

from lemo.domain.interaction import Interaction
from lemo.domain.scenario import ActionRule
from lemo.recommenders.data.timeline import Timeline
from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
from lemo.recommenders.hybrid.ranker import TreeRanker
from lemo.recommenders.hybrid.ranking_features import HalfLives, RankingFeatures
from lemo.recommenders.hybrid.trees import LEAVES, Trees
from lemo.recommenders.sources.item_knn import ItemKnn, ItemKnnConfig
from lemo.recommenders.sources.popularity import Popularity, PopularityConfig


def warm_up() -> None:
    """Answers one user by a small model of every part, so that numba loads its compiled loops, or compiles them.

    It does so once with arrays that may be written, as a fitted model has, and once with read-only ones, as those of a
    mapped snapshot are: numba compiles each loop for either.
    """
    fitted = _small_model()
    arrays, manifest = fitted.to_arrays()
    mapped = {name: array.copy() for name, array in arrays.items()}
    for array in mapped.values():
        array.flags.writeable = False
    for model in (fitted, HybridRecommender.from_arrays(mapped, manifest)):
        model.recommend([(Interaction("a", "click", None, 0),)], 1)


def _small_model() -> HybridRecommender:
    """Two items that are similar, a source of each kind, and a ranker of one tree."""
    similar = sparse.csr_matrix(np.array([[0, 1], [1, 0]], dtype=np.float32))
    knn = ItemKnn(ItemKnnConfig(weight=0.5), similar)
    tree = Trees(
        features=np.zeros(LEAVES - 1),
        thresholds=np.full(LEAVES - 1, np.inf),
        survivors=np.full(LEAVES - 1, 255),
        values=np.zeros(LEAVES),
    )
    half_lives = HalfLives(sources=(None,), popularity=())
    popular = Popularity(PopularityConfig(weight=0.5), np.array([2.0, 1.0]))
    return HybridRecommender(
        ["a", "b"],
        [knn, popular],
        HybridConfig(sources=(knn.config, popular.config), ranker=TreeRanker(half_lives=half_lives, trees=tree)),
        {"click": ActionRule(weight=1)},
        Timeline(),
        RankingFeatures([knn], np.zeros((2, 0), dtype=np.float32), np.array([[0, 1]], dtype=np.int32)),
    )
