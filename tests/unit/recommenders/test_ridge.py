"""The neighbourhood ridge beside the linear systems that it stands for."""

import numpy as np
import pytest
from scipy import sparse

from lemo.recommenders.sources.item_knn import Ranked, counting
from lemo.recommenders.sources.ridge import Ridge, RidgeConfig, neighbourhood_ridges
from recommender_worlds import groups_world


def solved(likes: np.ndarray, near: np.ndarray, sizes: list[int], penalty: float, dropout: float) -> np.ndarray:
    """The mean over the sizes of each item's coefficients, by dense linear algebra."""
    gram = likes.T @ likes
    items = len(gram)
    found = np.zeros((items, items))
    for item in range(items):
        for size in sizes:
            chosen = near[item][near[item] >= 0][:size]
            if len(chosen):
                system = gram[np.ix_(chosen, chosen)].copy()
                system[np.diag_indices(len(chosen))] += penalty + dropout * np.diag(system)
                found[item, chosen] += np.linalg.solve(system, gram[chosen, item]) / len(sizes)
    return found


@pytest.mark.parametrize(("penalty", "dropout"), [(2.0, 0.0), (20.0, 0.3)])
def test_coefficients_are_those_of_the_linear_systems(penalty: float, dropout: float) -> None:
    random = np.random.default_rng(0)
    likes = counting(sparse.csr_matrix((random.random((60, 25)) < 0.2) * random.integers(1, 4, (60, 25))))
    near, _ = Ranked.of(likes).nearest(np.arange(25), 5.0, 9)
    (found,) = neighbourhood_ridges(likes, near, [9, 4], [(penalty, dropout)])
    expected = solved(likes.toarray().astype(np.float64), near, [9, 4], penalty, dropout)
    assert found.toarray() == pytest.approx(expected, abs=1e-5)


def test_parameters_that_share_systems_give_what_each_gives_alone() -> None:
    world = groups_world(users=60, items=40)
    configs = [
        RidgeConfig(penalty=penalty, dropout=dropout, popularity_exponent=exponent, neighbours=(5, 12))
        for penalty in (5.0, 50.0)
        for dropout in (0.3, 1.0)
        for exponent in (0.0, 0.2)
    ]
    for config, together in zip(configs, Ridge.fit_many(world, configs), strict=True):
        (alone,) = Ridge.fit_many(world, [config])
        assert np.array_equal(together.similar.toarray(), alone.similar.toarray())


def test_a_popularity_exponent_divides_by_the_users_of_an_item() -> None:
    world = groups_world(users=60, items=40)
    plain, scaled = Ridge.fit_many(world, [RidgeConfig(), RidgeConfig(popularity_exponent=0.5)])
    users = np.maximum(np.diff(world.user_item_matrix().tocsc().indptr), 1)
    expected = plain.similar.toarray() / np.sqrt(users)[:, None]
    assert scaled.similar.toarray() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shape", [(0, 0), (3, 0), (3, 1), (3, 4)])
def test_without_interactions_nothing_is_similar(shape: tuple[int, int]) -> None:
    nothing = sparse.csr_matrix(np.zeros(shape, dtype=np.float32))
    near = np.full((shape[1], 5), -1, dtype=np.int32)
    (found,) = neighbourhood_ridges(nothing, near, [5], [(1.0, 0.0)])
    assert found.shape == (shape[1], shape[1])
    assert found.nnz == 0
