"""Interactions: what a user's recent history keeps of an event."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from lemo.domain.event import Event
from lemo.domain.scenario import ActionRule
from lemo.domain.time import milliseconds

_Item = TypeVar("_Item", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Interaction:
    """One event of a user, reduced to what a model needs."""

    item_id: str
    action: str
    value: float | None
    timestamp_ms: int

    @classmethod
    def of(cls, event: Event) -> "Interaction":
        """The interaction of an event."""
        return cls(event.item_id, event.action, event.value, milliseconds(event.timestamp))


def interaction_weight(rule: ActionRule | None, value: float | None) -> float:
    """The weight of an interaction: above 0 for the item, below 0 against it, 0 without an opinion.

    `lemo.recommenders.data.weighting.event_weights` gives the same weights for many events at once.
    """
    if rule is None:
        return 0.0
    weight, liked_from, disliked_to, without_value = rule.weighing
    if value is None:
        return without_value
    if value >= liked_from:
        return weight
    return -weight if value <= disliked_to else 0.0


def turned_against(opinions: Iterable[tuple[_Item, int, float]]) -> set[_Item]:
    """The items whose newest opinion is negative; opinions are (item, time, weight), and a weight of 0 is none.

    Of two opinions at the same moment the negative one decides.
    """
    newest: dict[_Item, tuple[int, bool]] = {}
    for item, time, weight in opinions:
        if weight != 0:
            opinion = (time, weight < 0)
            newest[item] = max(newest.get(item, opinion), opinion)
    return {item for item, (_, negative) in newest.items() if negative}


def filtered_items(history: Sequence[Interaction], rules: Mapping[str, ActionRule]) -> set[str]:
    """The items that a user is never recommended: those that the user has seen or turned against."""
    seen: set[str] = set()
    opinions: list[tuple[str, int, float]] = []
    for interaction in history:
        rule = rules.get(interaction.action)
        if rule is None:
            continue
        if rule.seen:  # then no opinion changes anything
            seen.add(interaction.item_id)
            continue
        weight = interaction_weight(rule, interaction.value)
        opinions.append((interaction.item_id, interaction.timestamp_ms, weight))
    return seen | turned_against(opinions)
