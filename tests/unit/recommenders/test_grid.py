import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from lemo.recommenders.evaluation.metrics import evaluate, ideal
from lemo.recommenders.evaluation.splits import split
from lemo.recommenders.hybrid.hybrid import HybridRecommender
from lemo.recommenders.kernels.search import evaluate_mixtures
from lemo.recommenders.selection.search_space import SHARES, SearchSpace, evaluate_space, places, top_popular
from lemo.recommenders.sources.item_knn import ItemKnnConfig
from recommender_worlds import RULES, groups_world


@pytest.mark.parametrize("ridges", [False, True])
def test_mixtures_are_evaluated_as_the_models_they_stand_for(ridges: bool) -> None:
    parts = split(groups_world(users=120, items=100))
    space = SearchSpace.of(parts.train.span)
    if ridges:
        knn = ItemKnnConfig(half_life_ms=0.3 * parts.train.span)
        space = SearchSpace.ridges(parts.train, space.popularity, knn, wide=False)
        assert {len(personal) for personal in space.personal} == {1, 2}
    values = evaluate_space(parts, space)
    assert len(values) == len(space.popularity) * (1 + len(space.personal) * len(SHARES))
    for mixture in list(values)[::23]:
        model = HybridRecommender.fit(parts.train, mixture.config(), RULES)
        assert values[mixture].mean() == pytest.approx(evaluate(model, parts).ndcg_at_10, abs=2e-3), mixture


def test_without_time_nothing_decays() -> None:
    space = SearchSpace.of(0)
    assert space.popularity == [None]
    assert {config.half_life_ms for (config,) in space.personal} == {None}


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), items=st.integers(1, 150), depth=st.integers(1, 40), most=st.sampled_from([2, 9])
)
def test_a_mixture_gains_what_its_candidates_in_order_gain(seed: int, items: int, depth: int, most: int) -> None:
    """Few distinct values, so that many candidates are equal."""
    random = np.random.default_rng(seed)
    own = sparse.csr_matrix(np.maximum(random.integers(-1, most, (8, items)), 0).astype(np.float64))
    seen = sparse.csr_matrix(random.random((8, items)) < 0.2)
    relevant = sparse.csr_matrix(random.random((8, items)) < 0.2)
    popular = random.integers(0, most, (2, items)).astype(np.float64)
    top = np.concatenate([top_popular(values, seen) for values in popular], axis=1)
    shares, best = np.array([0.25, 0.5, 1.0]), ideal(np.diff(relevant.indptr))
    gains = np.zeros((8, 2, 3), dtype=np.float32)
    about = *places(seen), *places(relevant), best, top, popular, shares
    evaluate_mixtures(*places(own), own.data, *about, depth, gains)
    for user in range(8):
        scores = own[[user]].toarray()[0]
        allowed = np.flatnonzero((scores > 0) & ~seen[[user]].toarray()[0])
        nearest = allowed[np.argsort(-scores[allowed], kind="stable")][:depth]
        candidates = np.union1d(nearest, top[user][top[user] >= 0])
        for which, everyone in enumerate(popular):
            for place, share in enumerate(shares):
                mixed = share * scores[candidates] + (1 - share) * everyone[candidates]
                first = candidates[np.argsort(-mixed, kind="stable")][:10]
                hits = np.flatnonzero(relevant[[user]].toarray()[0][first])
                expected = (1 / np.log2(hits + 2)).sum() / best[user]
                assert gains[user, which, place] == pytest.approx(expected, abs=1e-6)
