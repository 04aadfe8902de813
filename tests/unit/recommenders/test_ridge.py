import numpy as np
import pytest
from scipy import sparse

from lemo.recommenders.sources import ridge
from lemo.recommenders.sources.item_knn import item_similarity
from lemo.recommenders.sources.ridge import neighbourhood_ridges
from recommender_worlds import groups_world


@pytest.mark.parametrize("cells", [ridge.CHUNK_CELLS, 500])
def test_each_row_solves_the_ridge_of_its_item_on_its_neighbours(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    monkeypatch.setattr(ridge, "CHUNK_CELLS", cells)
    tastes = groups_world(users=80, items=40).user_item_matrix(None) * 3
    similarity = item_similarity(tastes, 5, 40, unit=3)
    small, large = neighbourhood_ridges(tastes, similarity, 7, [2.0, 50.0], unit=3)
    users = tastes.toarray() / 3
    for item in range(40):
        near = small.indices[small.indptr[item] : small.indptr[item + 1]]
        assert item not in near
        assert len(near) == 7
        for matrix, penalty in ((small, 2.0), (large, 50.0)):
            explaining = users[:, near]
            expected = np.linalg.solve(explaining.T @ explaining + penalty * np.eye(7), explaining.T @ users[:, item])
            assert matrix[item].toarray().ravel()[near] == pytest.approx(expected, abs=1e-4)


def test_no_neighbours_no_coefficients() -> None:
    nothing = sparse.csr_matrix((3, 4))
    (found,) = neighbourhood_ridges(nothing, item_similarity(nothing, 1, 5), 5, [1.0])
    assert found.shape == (4, 4)
    assert found.nnz == 0
