"""What events say about taste by a scenario's rules: `interaction_weight` for many events at once."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lemo.domain.scenario import ActionRule, Weighing

Array = np.ndarray[Any, Any]

_NOTHING = Weighing(0.0, -np.inf, -np.inf, 0.0)


def event_weights(table: pa.Table, rules: Mapping[str, ActionRule]) -> tuple[Array, Array]:
    """float64: what each event says (above 0 for its item, below against it); bool: whether the item counts as seen.

    Reads the columns action and value (nullable; NaN counts as no value). An action without a rule says nothing.
    """
    encoded = table.column("action").cast(pa.string()).combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):  # some pyarrow versions give a chunked array back
        encoded = encoded.unify_dictionaries().combine_chunks()
    known = [rules.get(action) for action in encoded.dictionary.to_pylist()]
    # The extra last element keeps the look-ups valid for an empty table.
    numbers = np.array([rule.weighing if rule else _NOTHING for rule in known] + [_NOTHING], dtype=np.float64)
    seen = np.array([rule.seen if rule else False for rule in known] + [False])
    actions = encoded.indices.to_numpy(zero_copy_only=False)
    values = pc.fill_null(table.column("value").cast(pa.float64()), float("nan")).to_numpy()
    weight, liked_from, disliked_to, without_value = numbers.T[:, actions]
    opinions = [np.isnan(values), values >= liked_from, values <= disliked_to]
    return np.select(opinions, [without_value, weight, -weight], 0.0), seen[actions]
