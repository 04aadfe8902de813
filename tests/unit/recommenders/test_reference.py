import numpy as np
import pytest

from lemo.recommenders.evaluation.metrics import evaluate
from lemo.recommenders.evaluation.splits import split
from lemo.recommenders.hybrid.hybrid import HybridRecommender
from lemo.recommenders.selection.reference import Reference, reference
from lemo.recommenders.selection.search_space import SearchSpace, best_of, evaluate_space
from recommender_worlds import RULES, groups_world


def test_the_best_mixture_of_the_grid_has_no_regret_and_another_has_what_it_misses() -> None:
    test = split(groups_world(users=200))
    space = SearchSpace.of(test.train.span)
    gains = evaluate_space(test, space)
    best = best_of(gains)
    served = evaluate(HybridRecommender.fit(test.train, best.config(), RULES), test).ndcg_by_user
    sources = ("item-knn", "popularity", "transitions")
    found = reference(test, served, best.config(), None, sources)
    assert found.best_mixture == pytest.approx(float(gains[best].mean()), abs=1e-6)
    assert found.regret == pytest.approx(0, abs=0.01)
    assert found.users == len(test.users)
    assert found.standard_error == pytest.approx(np.std(served, ddof=1) / np.sqrt(len(served)))
    assert set(found.alone) == set(sources)
    assert max(found.alone["item-knn"], found.alone["popularity"]) <= found.best_mixture
    half = reference(test, [value / 2 for value in served], best.config(), None, sources)
    assert half.regret == pytest.approx(0.5, abs=0.01)


def test_without_a_hit_there_is_nothing_to_regret() -> None:
    assert Reference(alone={}, best_mixture=0, model=0, standard_error=0, users=1).regret == 0
