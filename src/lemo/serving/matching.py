"""Which items a filter leaves: its mask over the catalogue, kept until an item changes."""

import json
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any

import numpy as np

from lemo.domain.scope import Scope
from lemo.recommenders.hybrid.hybrid import HybridRecommender
from lemo.serving.catalogue.columns import Columns
from lemo.serving.catalogue.values import Value
from lemo.serving.filters.expression import compile_filter

Array = np.ndarray[Any, Any]

KEPT = 500
"""Masks in memory: for each filter with each set of variables."""
KEPT_ROWS = 50_000_000
"""Rows of all masks together: large catalogues keep fewer."""
NOW_SECONDS = 1.0
"""How long a mask stands whose filter asks for the time."""


class Matching:
    """The items of a catalogue that match a filter and are switched on."""

    def __init__(self, columns: Columns, mask: Array, version: int) -> None:
        self.columns = columns
        self.mask = mask
        """bool (rows,)."""
        self.version = version
        self.made_at = time.monotonic()
        self._rows: tuple[HybridRecommender | None, Array] = (None, np.zeros(0, dtype=np.int32))

    def __contains__(self, item_id: object) -> bool:
        row = self.columns.row(str(item_id))
        return 0 <= row < len(self.mask) and bool(self.mask[row])

    def others(self, model: HybridRecommender) -> Array:
        """int32: the numbers in the model of the items that do not match."""
        known, rows = self._rows
        if known is not model:
            places = self.columns.rows(model.item_ids)
            inside = (places >= 0) & (places < len(self.mask))
            matches = np.zeros(len(places), dtype=bool)
            matches[inside] = self.mask[places[inside]]
            rows = np.flatnonzero(~matches).astype(np.int32)
            self._rows = model, rows
        return rows

    def ids(self) -> Iterator[str]:
        """The ids of the items, those that came last first. Few of them are read, so they are found one by one."""
        return (self.columns.item_ids[row] for row in np.flatnonzero(self.mask)[::-1])


class Matchings:
    """A bounded cache of matchings. Safe for threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Scope, str, str], tuple[Matching, bool]] = OrderedDict()
        self._lock = Lock()

    def known(self, scope: Scope, text: str, columns: Columns, variables: Mapping[str, Any]) -> Matching | None:
        """The items that match the filter, where that is evaluated for the columns as they are."""
        kept = self._kept.get(_key(scope, text, variables))
        return kept[0] if kept is not None and _holds(*kept, columns) else None

    def of(
        self,
        scope: Scope,
        text: str,
        columns: Columns,
        variables: Mapping[str, Any],
        current: Mapping[str, Value] | None = None,
    ) -> Matching:
        """The items that match the filter; raises InvalidInput."""
        key = _key(scope, text, variables)
        with self._lock:
            kept = self._kept.get(key) if current is None else None
            if kept is not None:
                self._kept.move_to_end(key)
                if _holds(*kept, columns):
                    return kept[0]
        with columns.lock:
            chosen = compile_filter(text, columns.schema)
            mask = chosen.mask(columns, variables, current) & columns.live
            matching = Matching(columns, mask, columns.version)
        if current is None:
            with self._lock:
                self._kept[key] = matching, chosen.uses_now
                while len(self._kept) > max(1, min(KEPT, KEPT_ROWS // max(len(mask), 1))):
                    self._kept.popitem(last=False)
        return matching


def _key(scope: Scope, text: str, variables: Mapping[str, Any]) -> tuple[Scope, str, str]:
    return scope, text, json.dumps(variables, sort_keys=True) if variables else ""


def _holds(matching: Matching, uses_now: bool, columns: Columns) -> bool:
    """Whether a matching is that of the columns as they are, and of this moment."""
    fresh = not uses_now or time.monotonic() - matching.made_at < NOW_SECONDS
    return fresh and matching.columns is columns and matching.version == columns.version
