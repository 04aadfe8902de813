"""Similar items: by behaviour where there is some, by content for the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from lemo.recommenders.scored import Scored

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix


@dataclass(frozen=True)
class SimilarItems:
    """Each item's most similar items, best first."""

    item_ids: list[str]
    neighbours: Array
    """int32 (items, k): rows of similar items; -1 where there are no more."""
    scores: Array
    """float32 (items, k), falling along a row; 0 where there are no more."""
    by_behaviour: Array
    """int32 (items,): how many of a row's first neighbours come from behaviour; the rest come from content."""

    def of(self, item_id: str, n: int) -> list[Scored]:
        """The n items most similar to the item (fewer where fewer are known); none for an unknown id."""
        raise NotImplementedError

    def to_arrays(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Everything as arrays and a small JSON manifest."""
        raise NotImplementedError

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], manifest: Mapping[str, Any]) -> "SimilarItems":
        """What `to_arrays` gave, mapped or copied."""
        raise NotImplementedError


def similar_items(
    item_ids: list[str], similarity: CSR, content: Array | None, k: int, chunk_rows: int = 2_000
) -> SimilarItems:
    """Up to k neighbours per item: those of `similarity` (items x items), then the nearest by content.

    `content` is float32 (items, d), L2-normalised; rows of zeros (and None) have no content neighbours.
    """
    raise NotImplementedError
