"""Small interaction data for tests of the recommenders: hand-written acts, and a world with groups of taste."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from scipy import sparse

from lemo.domain.scenario import ActionRule
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
from lemo.recommenders.selection.search_space import Mixture
from lemo.recommenders.sources.item_knn import ItemKnnConfig
from lemo.recommenders.sources.popularity import Popularity
from lemo.recommenders.sources.similarity import SimilaritySource

DAY = 86_400_000
RULES = {
    "click": ActionRule(weight=1),
    "like": ActionRule(weight=3),
    "dislike": ActionRule(weight=-3),
    "impression": ActionRule(weight=0, seen=False),
    "rate": ActionRule(weight=1, min_value=7),
}

Act = tuple[str, str, str, int] | tuple[str, str, str, int, float | None]


def table(acts: Sequence[Act]) -> pa.Table:
    """Acts (user, item, action, ms[, value]) in the columns that the event store gives."""
    return pa.table(
        {
            "user_id": pa.array([act[0] for act in acts], pa.string()),
            "item_id": pa.array([act[1] for act in acts], pa.string()),
            "action": pa.array([act[2] for act in acts], pa.string()),
            "timestamp": pa.array([act[3] for act in acts], pa.int64()),
            "value": pa.array([act[4] if len(act) > 4 else None for act in acts], pa.float64()),
        }
    )


def same(one: sparse.csr_matrix, other: sparse.csr_matrix) -> bool:
    """Whether two matrices hold exactly the same."""
    return np.array_equal(one.toarray(), other.toarray())


def best_first(similarity: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Items x items as each item's neighbours and their scores, best first; -1 and 0 where there are no more."""
    dense = similarity.toarray().astype(np.float32)
    numbers = np.argsort(-dense, axis=1, kind="stable").astype(np.int32)
    values = np.take_along_axis(dense, numbers, axis=1)
    return np.where(values > 0, numbers, -1), values


def read(*acts: Act, item_ids: Sequence[str] = ()) -> Interactions:
    """Interactions of hand-written acts under `RULES`."""
    return Interactions.from_table(table(acts), RULES, item_ids)


def mixture(
    share: float = 0.5,
    half_life_ms: float | None = None,
    popularity_half_life_ms: float | None = None,
    shrinkage: float = 10,
    neighbours: int = 50,
) -> HybridConfig:
    """Item-kNN of this share with popularity."""
    knn = ItemKnnConfig(half_life_ms=half_life_ms, shrinkage=shrinkage, neighbours=neighbours)
    return Mixture((knn,), popularity_half_life_ms, share).config()


def similarity_of(model: HybridRecommender) -> SimilaritySource:
    """The model's first similarity source."""
    return next(source for source in model.sources if isinstance(source, SimilaritySource))


def popularity_of(model: HybridRecommender) -> Popularity:
    """The model's popularity."""
    return next(source for source in model.sources if isinstance(source, Popularity))


def groups_world(users: int = 300, items: int = 200, groups: int = 5, days: int = 100, seed: int = 1) -> Interactions:
    """Users who mostly click what their group likes, while the fashion of each group moves through its items."""
    random = np.random.default_rng(seed)
    n = users * 30
    who = random.integers(0, users, n)
    when = random.integers(0, days * DAY, n)
    own = random.random(n) < 0.8
    group = np.where(own, who % groups, random.integers(0, groups, n))
    fashion = (when / (days * DAY) * (items // groups)).astype(np.int64)
    place = (fashion - random.geometric(0.15, n)) % (items // groups)
    return Interactions(
        [f"user-{code:04}" for code in range(users)],
        [f"item-{code:04}" for code in range(items)],
        who.astype(np.int32),
        (place * groups + group).astype(np.int32),
        when.astype(np.int64),
        np.ones(n, dtype=np.float32),
        np.ones(n, dtype=bool),
    )
