"""The catalogue as a source may use it: what is known of items besides behaviour."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from lemo.domain.item import Item

CSR = sparse.csr_matrix


class Catalogue:
    """A scenario's items, read when a source first asks: most sources need behaviour alone."""

    def __init__(self, read: Callable[[], Iterable[Item]]) -> None:
        self._read = read

    @cached_property
    def items(self) -> dict[str, Item]:
        """Items by id."""
        return {item.item_id: item for item in self._read()}

    def labels(self, item_ids: Sequence[str], labels_of: Callable[[Item], Iterable[str]]) -> CSR:
        """Items x labels (float32): 1 where the item has the label; items that are not in the catalogue have none."""
        codes: dict[str, int] = {}
        rows: list[int] = []
        columns: list[int] = []
        for row, item_id in enumerate(item_ids):
            item: Any = self.items.get(item_id)
            for label in set(labels_of(item)) - {""} if item is not None else ():
                rows.append(row)
                columns.append(codes.setdefault(label, len(codes)))
        cells = np.ones(len(rows), dtype=np.float32), (rows, columns)
        return sparse.csr_matrix(cells, shape=(len(item_ids), len(codes)))


def no_catalogue() -> Catalogue:
    """A catalogue without items."""
    return Catalogue(tuple)
