import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from lemo.recommenders.sources import item_knn
from lemo.recommenders.sources.item_knn import item_similarities, item_similarity, largest
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


@st.composite
def tastes(draw: st.DrawFn) -> np.ndarray:
    """Users x items of any density, some items popular, weights with many ties or over many magnitudes."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.integers(1, 60)), draw(st.integers(1, 300))
    liked = random.random(shape) < draw(st.floats(0, 1)) * random.random(shape[1]) ** draw(st.integers(0, 8))
    if draw(st.booleans()):
        return np.where(liked, random.integers(1, 3, shape), 0.0)
    return np.where(liked, np.exp2(-random.random(shape) * 20), 0.0)


@settings(max_examples=60, deadline=None)
@given(tastes(), st.sampled_from([0.0, 0.5, 20.0]), st.integers(1, 60))
def test_the_nearest_are_those_of_the_plain_formula(weights: np.ndarray, shrinkage: float, k: int) -> None:
    full = naive(weights, shrinkage, 1) if shrinkage else np.nan_to_num(_unshrunk(weights))
    found = item_similarity(sparse.csr_matrix(weights), shrinkage, k)
    for item, row in enumerate(full):
        own = slice(found.indptr[item], found.indptr[item + 1])
        best = np.sort(row)[::-1][: min(k, int((row > 0).sum()))]
        assert np.sort(found.data[own])[::-1] == pytest.approx(best, abs=1e-6)
        assert found.data[own] == pytest.approx(row[found.indices[own]], abs=1e-6)


def _unshrunk(weights: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return naive(weights, 0, 1)


def test_of_equally_similar_items_the_first_counts() -> None:
    found = item_similarity(sparse.csr_matrix(np.ones((4, 300))), 0, 3)
    assert found.indices.reshape(300, 3)[[0, 1, 299]].tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 2]]


@pytest.mark.parametrize("processors", [1, 2, 3])
def test_the_number_of_processors_changes_nothing(monkeypatch: pytest.MonkeyPatch, processors: int) -> None:
    whole = item_similarity(sparse.csr_matrix(WEIGHTS), 5, 6)
    monkeypatch.setattr(item_knn, "processors", lambda: processors)
    assert same(item_similarity(sparse.csr_matrix(WEIGHTS), 5, 6), whole)


def test_the_largest_cells_of_each_row_stay() -> None:
    values = sparse.csr_matrix(np.array([[3.0, 1, 2, 3], [-1, 5, 0, -2], [0, 0, 0, 0]]))
    assert largest(values, 2).toarray().tolist() == [[3, 0, 0, 3], [0, 5, 0, 0], [0, 0, 0, 0]]
    assert largest(values, 3).toarray().tolist() == [[3, 0, 2, 3], [0, 5, 0, 0], [0, 0, 0, 0]]
    assert largest(sparse.csr_matrix(np.array([[2.0, 2, 2]])), 2).toarray().tolist() == [[2, 2, 0]]


def test_importing_a_service_does_not_load_the_compiler() -> None:
    code = "import sys, lemo.api.app, lemo.serving.export, lemo.ingest.service; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_place_without_a_cache_compiles_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code = "import numpy as n; from lemo.recommenders.kernels.similarity import narrow; "
    code += "print(narrow(n.arange(9, dtype=n.uint64), 9, 2))"
    nowhere = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "file" / "cache")}
    nowhere["NUMBA_CACHE_LOCATOR_CLASSES"] = "UserProvidedCacheLocator"
    done = subprocess.run([sys.executable, "-c", code], env=nowhere, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("7", 0), done.stderr


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
