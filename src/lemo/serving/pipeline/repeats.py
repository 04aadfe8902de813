"""What a user has had and may want again: the items of the history, those that are due first."""

import time
from collections.abc import Sequence

import numpy as np

from lemo.domain.interaction import Interaction, interaction_weight, turned_against
from lemo.recommenders.scored import Scored
from lemo.serving.state import ServingState


def due_again(history: Sequence[Interaction], state: ServingState) -> list[Scored]:
    """The items that a user has had and not turned against, by how likely they are wanted again now.

    They are those of the stored history. An item without rates (unknown to the model, or a model from before there were
    any) comes after the others, the one had last first.
    """
    opinions = [
        (each.item_id, each.timestamp_ms, interaction_weight(state.rules.get(each.action), each.value))
        for each in history
    ]
    against = turned_against(opinions)
    had: dict[str, list[int]] = {}
    for each, (item_id, moment, weight) in zip(history, opinions, strict=True):
        if weight > 0 and state.rules[each.action].seen and item_id not in against:
            had.setdefault(item_id, []).append(moment)
    model = state.mapped.model
    rates = model.repeats if model is not None else None
    known = [item_id for item_id in had if model is not None and rates is not None and len(model.rows([item_id]))]
    found = []
    if model is not None and rates is not None and known:
        scores = rates.scores(model.rows(known), [had[item_id] for item_id in known], time.time_ns() // 1_000_000)
        order = np.lexsort((np.arange(len(known)), -scores)).tolist()
        found = [Scored(known[place], float(scores[place]), None, "repeat") for place in order]
    others = sorted(set(had).difference(known), key=lambda item_id: (-max(had[item_id]), item_id))
    return found + [Scored(item_id, 0.0, None, "repeat") for item_id in others]
