"""The catalogue as a source may use it: what is known of items besides behaviour."""

import heapq
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from lemo.domain.item import Item
from lemo.domain.time import milliseconds

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix


class Catalogue:
    """A scenario's items, read when a source first asks: most sources need behaviour alone."""

    def __init__(self, read: Callable[[], Iterable[Item]]) -> None:
        self._read = read

    @cached_property
    def items(self) -> dict[str, Item]:
        """Items by id."""
        return {item.item_id: item for item in self._read()}

    def newest_ids(self, most: int) -> list[str]:
        """The ids of the items that may be recommended, where there are more than `most` of the last published."""
        active = [item for item in self.items.values() if item.recommendable]
        if len(active) > most:
            undated = datetime.min.replace(tzinfo=UTC)
            active = heapq.nlargest(most, active, key=lambda item: item.published_at or undated)
        return [item.item_id for item in active]

    def published_ms(self, item_ids: Sequence[str]) -> Array:
        """int64 (items,): when each item was published, in Unix milliseconds; 0 where that is unknown."""
        codes = {item_id: code for code, item_id in enumerate(item_ids)}
        found = np.zeros(len(item_ids), dtype=np.int64)
        # Not kept where no source has asked for the items: a date takes less room than an item.
        for item in self.__dict__["items"].values() if "items" in self.__dict__ else self._read():
            if item.published_at is not None and item.item_id in codes:
                found[codes[item.item_id]] = milliseconds(item.published_at)
        return found

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
