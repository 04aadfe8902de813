"""The neighbourhood ridge beside the linear systems that it stands for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from lemo.recommenders.sources import ridge
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


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    items=st.integers(2, 60),
    neighbours=st.integers(1, 30),
    packed=st.integers(0, 60),
    parameters=st.lists(st.tuples(st.floats(1, 100), st.sampled_from([0.0, 0.3, 1.0])), min_size=1, max_size=3),
)
def test_coefficients_are_those_of_the_linear_systems(
    seed: int, items: int, neighbours: int, packed: int, parameters: list[tuple[float, float]]
) -> None:
    random = np.random.default_rng(seed)
    likes = counting(sparse.csr_matrix((random.random((80, items)) < 0.2) * random.integers(1, 4, (80, items))))
    near, _ = Ranked.of(likes).nearest(np.arange(items), 5.0, neighbours)
    sizes = [neighbours, max(neighbours // 2, 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ridge, "PACKED", packed)  # more items than these are read from sparse rows
        found = neighbourhood_ridges(likes, near, sizes, parameters)
    for (penalty, dropout), matrix in zip(parameters, found, strict=True):
        expected = solved(likes.toarray().astype(np.float64), near, sizes, penalty, dropout)
        assert matrix.toarray() == pytest.approx(expected, abs=1e-5)


def test_items_that_the_same_users_like_share_a_coefficient() -> None:
    """The system is singular but for its penalty, so that rounding decides whether its factor exists."""
    likes = counting(sparse.csr_matrix(np.ones((3000, 6))))
    near, _ = Ranked.of(likes).nearest(np.arange(6), 0.0, 5)
    (found,) = neighbourhood_ridges(likes, near, [5], [(1e-4, 0.0)])
    assert np.isfinite(found.data).all()
    assert found.toarray().sum(axis=1) == pytest.approx(np.ones(6), abs=0.01)


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
