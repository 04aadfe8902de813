"""Neighbourhood ridge: each item regressed on its nearest neighbours alone, which is SLIM in closed form.

Ning, Karypis, 2011 (SLIM); Steck, 2019 (EASE, the closed form over all items). With k neighbours an item costs k**3, so
a catalogue costs in proportion to its items, where EASE costs their number to the third.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from lemo.recommenders.item_knn import largest

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

DENSE_ITEMS = 5_000
"""Up to so many items all common weights are one dense matrix (100 MB), whose cells are read an order faster."""
MOST_ITEMS = 30_000
"""Above, the common weights of all pairs would not fit into memory, and item-kNN serves instead."""
CHUNK_CELLS = 10_000_000
"""Cells of the systems that are solved at once."""


def neighbourhood_ridges(
    user_items: CSR, similarity: CSR, neighbours: int, penalties: Sequence[float], unit: float = 1.0
) -> list[CSR]:
    """Per penalty, items x items (float32, sorted, empty diagonal): what a taste for a neighbour says of an item.

    `user_items` is users x items with positive weights, `similarity` items x items as `item_similarity` gives it; of
    each row the `neighbours` most similar items explain the row's item. A penalty is added to the squared norm of every
    item, weights measured in `unit`. Coefficients may be negative.
    """
    items = int(user_items.shape[1])
    near = largest(similarity, neighbours)
    near.sort_indices()
    tastes = (user_items.astype(np.float32) / np.float32(unit)).tocsr()
    common = (tastes.T @ tastes).tocsr()
    common.sort_indices()
    dense = common.toarray() if items <= DENSE_ITEMS else None
    found = [np.zeros(near.nnz, dtype=np.float32) for _ in penalties]
    lengths = np.diff(near.indptr)
    # Each system is far too small to share between threads; waiting for them costs more than solving.
    with threadpool_limits(limits=1, user_api="blas"):
        for length in np.unique(lengths[lengths > 0]).tolist():
            alike = np.flatnonzero(lengths == length)
            height = max(CHUNK_CELLS // (length * length), 1)
            for start in range(0, len(alike), height):
                targets = alike[start : start + height]
                cells = near.indptr[targets][:, None] + np.arange(length)
                explaining = near.indices[cells]
                systems = _cells(common, dense, explaining[:, :, None], explaining[:, None, :])
                wanted = _cells(common, dense, explaining, targets[:, None])[:, :, None]
                diagonal = systems[:, np.arange(length), np.arange(length)]
                for values, penalty in zip(found, penalties, strict=True):
                    systems[:, np.arange(length), np.arange(length)] = diagonal + np.float32(penalty)
                    values[cells] = np.linalg.solve(systems, wanted)[:, :, 0]
    return [sparse.csr_matrix((values, near.indices, near.indptr), shape=(items, items)) for values in found]


def _cells(common: CSR, dense: Array | None, rows: Array, columns: Array) -> Array:
    """float32: the cells of the matrix in these places, which are broadcast against each other."""
    if dense is not None:
        return np.asarray(dense[rows, columns])
    rows, columns = np.broadcast_arrays(rows, columns)
    return np.asarray(common[rows.ravel(), columns.ravel()], dtype=np.float32).reshape(rows.shape)
