import pytest

from lemo.recommenders.evaluation.metrics import evaluate
from lemo.recommenders.evaluation.splits import split
from lemo.recommenders.hybrid.hybrid import HybridRecommender
from lemo.recommenders.selection.search_space import SHARES, SearchSpace, evaluate_space
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
