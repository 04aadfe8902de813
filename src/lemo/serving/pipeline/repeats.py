"""What a user has had and may want again: the items of the history, those that are due first."""

from collections.abc import Mapping, Sequence

from lemo.domain.interaction import Interaction, interaction_weight, turned_against
from lemo.recommenders.scored import Scored
from lemo.serving.state import ServingState


def due_again(history: Sequence[Interaction], state: ServingState) -> list[Scored]:
    """The items that a user has had and not turned against, by how likely they are wanted again now.

    They are those of the stored history. Now is where activity is (ADR 0003): the end of what the model has seen, or
    the user's newest interaction. Items without rates (unknown to the model, or all of a model from before there were
    any) come after the others, the one had last first.
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
    scores = _scores(had, state)
    ordered = sorted(had, key=lambda item_id: (-scores.get(item_id, 0.0), -max(had[item_id]), item_id))
    return [Scored(item_id, scores.get(item_id, 0.0), None, "repeat") for item_id in ordered]


def _scores(had: Mapping[str, Sequence[int]], state: ServingState) -> dict[str, float]:
    """The scores of the items that have rates."""
    model = state.mapped.model
    if model is None or model.repeats is None:
        return {}
    known = [item_id for item_id in had if len(model.rows([item_id]))]
    now = max([model.timeline.now, *(max(times) for times in had.values())])
    found = model.repeats.scores(model.rows(known), [had[item_id] for item_id in known], now)
    return dict(zip(known, found.tolist(), strict=True))
