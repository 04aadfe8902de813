"""Numbers of items added up by their categories of now."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lemo.domain.scope import Scope
from lemo.stores.clickhouse.traffic import EACH, Asked, Counted
from lemo.stores.connect import Stores

if TYPE_CHECKING:
    import pyarrow

_AT_ONCE = 5_000


def by_category(stores: Stores, scope: Scope, items: "pyarrow.Table | None") -> Mapping[Asked, dict[str, Counted]]:
    """The sums of each category, from those of `Traffic.items`.

    An item of several categories counts in each, one of none under the empty name.
    """
    found: dict[Asked, dict[str, Counted]] = {asked: {} for asked in EACH}
    if items is None:
        return found
    ids = items["key"].to_pylist()
    categories = _categories(stores, scope, sorted(set(ids)))
    names = sorted({name for each in categories.values() for name in each})
    places = {name: place for place, name in enumerate(names)}
    parts, befores = (np.array(items[column].to_pylist()) for column in ("part", "before"))
    sums = items["added"].to_pylist()
    for asked in EACH:
        rows = np.flatnonzero((parts == asked.part) & (befores == asked.before))
        if not rows.size:
            continue
        pairs = [(row, places[name]) for row in rows for name in categories[ids[row]]]
        own, to = np.array(pairs).T
        added = np.zeros((len(names), len(sums[rows[0]])))
        np.add.at(added, to, np.array([sums[row] for row in own]))
        found[asked] = {names[place]: Counted(added[place].tolist(), ()) for place in np.unique(to)}
    return found


def _categories(stores: Stores, scope: Scope, ids: list[str]) -> dict[str, set[str]]:
    known: dict[str, set[str]] = {}
    for start in range(0, len(ids), _AT_ONCE):
        known |= stores.items.categories(scope, ids[start : start + _AT_ONCE])
    return {each: known.get(each) or {""} for each in ids}
