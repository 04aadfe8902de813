"""Numbers of items added up by their categories of now."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lemo.domain.scope import Scope
from lemo.stores.clickhouse.traffic import EACH, Asked, Counted, column_of
from lemo.stores.connect import Stores

if TYPE_CHECKING:
    import pyarrow


def by_category(stores: Stores, scope: Scope, items: "pyarrow.Table | None") -> Mapping[Asked, dict[str, Counted]]:
    """The sums of each category, from those of `Traffic.items`.

    An item of several categories counts in each, one of none under the empty name.
    """
    found: dict[Asked, dict[str, Counted]] = {asked: {} for asked in EACH}
    if items is None or not items.num_rows:
        return found
    ids = items["key"].to_pylist()
    known = stores.item_categories.of(scope, ids)
    categories = [known[each] or ("",) for each in ids]
    names = sorted({name for each in categories for name in each})
    places = {name: place for place, name in enumerate(names)}
    # Pairs of an item and one of its categories.
    of_item = np.repeat(np.arange(len(ids)), [len(each) for each in categories])
    of_category = np.array([places[name] for each in categories for name in each])
    for asked in EACH:
        lists = items[column_of(asked)].combine_chunks()
        there = lists.value_lengths().to_numpy() > 0
        if not there.any():
            continue
        sums = lists.flatten().to_numpy().reshape(int(there.sum()), -1)
        pairs = there[of_item]
        row_of_item = np.cumsum(there) - 1
        rows, of_pair = row_of_item[of_item[pairs]], of_category[pairs]
        added = [np.bincount(of_pair, column[rows], len(names)) for column in sums.T]
        found[asked] = {
            names[place]: Counted([float(column[place]) for column in added], ()) for place in np.unique(of_pair)
        }
    return found
