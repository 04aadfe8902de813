import pytest

from lemo.recommenders.evaluation.metrics import evaluate
from lemo.recommenders.evaluation.splits import split
from lemo.recommenders.hybrid.hybrid import HybridRecommender
from lemo.recommenders.selection import search_space as grids
from lemo.recommenders.selection.search_space import SearchSpace, judged
from recommender_worlds import RULES, groups_world


@pytest.mark.parametrize("relation", ["similarity", "ridge"])
def test_mixes_are_judged_as_the_models_they_stand_for(relation: str) -> None:
    parts = split(groups_world(users=120, items=100))
    grid = SearchSpace.of(parts.train.span)
    if relation == "ridge":
        grid = grid.ridges(0.3 * parts.train.span)
    values = judged(parts, grid)
    assert len(values) == len(grid.popularity) * (1 + len(grid.behaviour) * len(grids.SHARES))
    for config in list(values)[::23]:
        model = HybridRecommender.fit(parts.train, config, RULES)
        assert values[config].mean() == pytest.approx(evaluate(model, parts).ndcg_at_10, abs=2e-3), config


def test_without_time_nothing_decays() -> None:
    grid = SearchSpace.of(0)
    assert grid.popularity == [None]
    assert {config.behaviour_half_life_ms for config in grid.behaviour} == {None}
