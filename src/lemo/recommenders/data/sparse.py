"""Sparse matrices as named arrays, so that they can be stored and memory-mapped."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix


def csr_arrays(name: str, matrix: CSR) -> dict[str, Array]:
    """A sparse matrix as three named arrays."""
    return {
        f"{name}_data": matrix.data.astype(np.float32, copy=False),
        f"{name}_indices": matrix.indices.astype(np.int32, copy=False),
        f"{name}_indptr": matrix.indptr.astype(np.int64, copy=False),
    }


def csr_from(name: str, arrays: Mapping[str, Array], columns: int) -> CSR:
    """What `csr_arrays` gave, with so many columns, nothing copied."""
    data, indices, starts = (arrays[f"{name}_{part}"] for part in ("data", "indices", "indptr"))
    matrix = sparse.csr_matrix((data, indices, starts), shape=(len(starts) - 1, columns), copy=False)
    matrix.has_sorted_indices = True
    return matrix


def transposed(matrix: CSR) -> CSR:
    """The transpose, with sorted columns."""
    other = matrix.T.tocsr()
    other.sort_indices()
    return other
