import numpy as np
import pytest
from scipy import sparse

from lemo.recommenders import item_knn
from lemo.recommenders.item_knn import item_similarities, item_similarity
from recommender_worlds import same

RANDOM = np.random.default_rng(3)
WEIGHTS = RANDOM.random((60, 25)) * (RANDOM.random((60, 25)) < 0.2)


def naive(weights: np.ndarray, shrinkage: float, unit: float) -> np.ndarray:
    weights = weights / unit
    norms = np.linalg.norm(weights, axis=0)
    similarity = weights.T @ weights / (np.outer(norms, norms) + shrinkage)
    np.fill_diagonal(similarity, 0)
    return similarity


@pytest.mark.parametrize(("shrinkage", "unit"), [(0.0, 1.0), (10.0, 1.0), (10.0, 0.2)])
def test_similarity_is_the_shrunken_cosine(shrinkage: float, unit: float) -> None:
    found = item_similarity(sparse.csr_matrix(WEIGHTS), shrinkage, 25, unit)
    assert found.toarray() == pytest.approx(naive(WEIGHTS, shrinkage, unit), rel=1e-5, abs=1e-7)
    assert found.dtype == np.float32
    assert found.has_sorted_indices


def test_only_the_most_similar_stay() -> None:
    full = naive(WEIGHTS, 5, 1)
    found = item_similarity(sparse.csr_matrix(WEIGHTS), 5, 4).toarray()
    for row, kept in zip(full, found, strict=True):
        assert sorted(kept[kept > 0]) == pytest.approx(sorted(row)[-4:], rel=1e-5)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = sparse.csr_matrix(WEIGHTS)
    whole = item_similarity(weights, 5, 6)
    monkeypatch.setattr(item_knn, "CHUNK_PRODUCTS", 50)
    assert len(list(item_knn._chunks(weights.T.tocsr(), np.diff(weights.indptr)))) > 5
    assert same(item_similarity(weights, 5, 6), whole)


def test_several_sizes_are_the_same_as_each_alone() -> None:
    weights = sparse.csr_matrix(WEIGHTS)
    for size, found in zip((8, 3), item_similarities(weights, 5, [8, 3]), strict=True):
        assert same(found, item_similarity(weights, 5, size))


def test_nan_and_negative_weights_count_as_absent() -> None:
    spoilt = sparse.csr_matrix(WEIGHTS)
    clean = spoilt.copy()
    spoilt.data[::7] = np.nan
    spoilt.data[1::7] = -1
    clean.data[::7] = clean.data[1::7] = 0
    clean.eliminate_zeros()
    assert same(item_similarity(spoilt, 5, 25), item_similarity(clean, 5, 25))


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (1, 1), (5, 1)])
def test_degenerate_matrices(shape: tuple[int, int]) -> None:
    found = item_similarity(sparse.csr_matrix(np.ones(shape)), 10, 5)
    assert found.shape == (shape[1], shape[1])
    assert found.nnz == 0


def test_vanishing_weights_count_as_absent() -> None:
    weights = sparse.csr_matrix(WEIGHTS)
    faded = weights.copy()
    faded.data[::3] = 1e-25
    weights.data[::3] = 0
    weights.eliminate_zeros()
    assert same(item_similarity(faded, 0, 25), item_similarity(weights, 0, 25))


@pytest.mark.timeout(20)
def test_one_user_with_everything_costs_little() -> None:
    row = np.r_[np.ones(100_000), np.zeros(10)]
    found = item_similarity(sparse.csr_matrix(np.vstack([row, row])), 10, 10)
    assert found.nnz <= 10 * item_knn.LONGEST_ROW
