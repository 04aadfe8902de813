"""Numbers of items added up by their categories of now."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lemo.domain.scope import Scope
from lemo.stores.clickhouse.traffic import EACH, Asked, Counted
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
    keys = items["key"].combine_chunks().dictionary_encode()
    ids = keys.dictionary.to_pylist()
    item_of_row = keys.indices.to_numpy()
    parts, befores = (items[column].to_numpy() for column in ("part", "before"))
    known = stores.item_categories.of(scope, ids)
    categories = [known[each] or ("",) for each in ids]
    names = sorted({name for each in categories for name in each})
    places = {name: place for place, name in enumerate(names)}
    # Pairs of an item and one of its categories.
    of_item = np.repeat(np.arange(len(ids)), [len(each) for each in categories])
    of_category = np.array([places[name] for each in categories for name in each])
    for asked in EACH:
        rows = np.flatnonzero((parts == asked.part) & (befores == asked.before))
        if not rows.size:
            continue
        sums = items["added"].take(rows).combine_chunks().flatten().to_numpy().reshape(rows.size, -1)
        own = np.zeros((len(ids), sums.shape[1]))
        own[item_of_row[rows]] = sums
        there = np.zeros(len(ids), dtype=bool)
        there[item_of_row[rows]] = True
        pairs = there[of_item]
        added = np.zeros((len(names), sums.shape[1]))
        np.add.at(added, of_category[pairs], own[of_item[pairs]])
        found[asked] = {names[place]: Counted(added[place].tolist(), ()) for place in np.unique(of_category[pairs])}
    return found
