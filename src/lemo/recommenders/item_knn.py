"""Item-kNN: items are alike when the same users like them (Sarwar et al., 2001)."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse
from sparse_dot_topn import sp_matmul, sp_matmul_topn

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

LONGEST_ROW = 500
"""Items of one user that count: a pair costs what it costs to multiply, and who likes everything says little."""
VANISHED = 1e-9
"""Weights below this many units count as absent."""
CHUNK_PRODUCTS = 20_000_000
"""Multiplications per chunk of items, which bounds memory to a few hundred megabytes."""


def item_similarity(user_items: CSR, shrinkage: float, neighbours: int, unit: float = 1.0) -> CSR:
    """Items x items (float32, sorted columns, empty diagonal): each row the item's `neighbours` most similar items.

    `user_items` is users x items with positive weights (zeros and NaN count as absent). The similarity of items
    a and b is a.b / (|a| |b| + `shrinkage`), weights measured in `unit`, so that few common users are no proof.
    """
    similarity = item_similarities(user_items, shrinkage, [neighbours], unit)[0]
    similarity.sort_indices()
    return similarity


def item_similarities(user_items: CSR, shrinkage: float, sizes: list[int], unit: float = 1.0) -> list[CSR]:
    """`item_similarity` for several numbers of neighbours at little more than the cost of one; columns unsorted."""
    items = int(user_items.shape[1])
    matrix = _prepared(user_items, unit)
    if matrix.nnz == 0:
        return [_empty(items) for _ in sizes]
    by_item = matrix.T.tocsr()
    norms = np.sqrt(np.asarray(by_item.multiply(by_item).sum(axis=1)).ravel())
    parts: list[CSR] = []
    for start, end in _chunks(by_item, np.diff(matrix.indptr)):
        products = sp_matmul(by_item[start:end], matrix)
        lengths = np.diff(products.indptr)
        scales = norms[products.indices]
        scales *= np.repeat(norms[start:end], lengths)
        scales += np.float32(shrinkage)
        products.data /= scales
        # An item is no neighbour of itself.
        products.data[np.repeat(np.arange(start, end, dtype=np.int32), lengths) == products.indices] = 0
        parts.append(largest(products, max(sizes)))
    longest = sparse.vstack(parts, format="csr")
    return [longest if size == max(sizes) else largest(longest, size) for size in sizes]


def _prepared(user_items: CSR, unit: float) -> CSR:
    """float32, in units, without what is not above nothing, long rows cut to their strongest."""
    matrix = user_items.astype(np.float64)
    # A product that underflows to 0 would leave sp_matmul's result with cells that were never written.
    matrix.data = np.where(matrix.data > VANISHED * unit, matrix.data, 0.0)
    matrix.eliminate_zeros()
    if matrix.nnz and np.diff(matrix.indptr).max() > LONGEST_ROW:
        matrix = largest(matrix, LONGEST_ROW)
    matrix.data /= unit
    return matrix.astype(np.float32)


def _chunks(by_item: CSR, user_lengths: Array) -> Iterator[tuple[int, int]]:
    """Ranges of items whose rows of the product take about `CHUNK_PRODUCTS` multiplications."""
    costs = np.add.reduceat(
        np.append(user_lengths[by_item.indices], 0), np.minimum(by_item.indptr[:-1], by_item.nnz), dtype=np.int64
    )
    costs[np.diff(by_item.indptr) == 0] = 0
    chunk = np.cumsum(costs) // CHUNK_PRODUCTS
    edges = [0, *(np.flatnonzero(np.diff(chunk)) + 1).tolist(), len(costs)]
    yield from pairwise(edges)


def _empty(items: int) -> CSR:
    nothing = np.zeros(0, dtype=np.int32)
    return sparse.csr_matrix((nothing.astype(np.float32), (nothing, nothing)), shape=(items, items))


def largest(matrix: CSR, k: int) -> CSR:
    """The k largest positive values of each row; columns unsorted."""
    # A product with the identity: the library's bounded heaps are an order faster than sorting.
    identity = sparse.identity(matrix.shape[1], dtype=matrix.dtype, format="csr")
    kept: CSR = sp_matmul_topn(matrix, identity, top_n=max(min(k, matrix.shape[1]), 1), threshold=0)
    return kept
