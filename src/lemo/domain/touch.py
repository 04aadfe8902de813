"""Touches: what a user's recent history remembers of an event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lemo.domain.event import Event
from lemo.domain.scenario import ActionRule
from lemo.domain.time import milliseconds


@dataclass(frozen=True, slots=True)
class Touch:
    """One remembered act of a user: all that a model needs to know of an event."""

    item_id: str
    action: str
    value: float | None
    timestamp_ms: int

    @classmethod
    def of(cls, event: Event) -> "Touch":
        """What to remember of an event."""
        return cls(event.item_id, event.action, event.value, milliseconds(event.timestamp))


def taste_weight(rule: ActionRule | None, value: float | None) -> float:
    """What an act says about taste: above 0 it speaks for the item, below 0 against it, 0 says nothing.

    `lemo.recommenders.weighting` says the same of many events at once.
    """
    if rule is None:
        return 0.0
    weight, liked_from, disliked_to, without_value = rule.weighing
    if value is None:
        return without_value
    if value >= liked_from:
        return weight
    return -weight if value <= disliked_to else 0.0


def barred_items(touches: Sequence[Touch], rules: Mapping[str, ActionRule]) -> set[str]:
    """The items that the user is not to be answered: those seen, and those that the newest opinion speaks against.

    Of two opinions at the same moment the negative one counts. An action without a rule says nothing.
    """
    barred: set[str] = set()
    opinions: dict[str, tuple[int, bool]] = {}
    for touch in touches:
        rule = rules.get(touch.action)
        if rule is None:
            continue
        if rule.seen:
            barred.add(touch.item_id)
            continue
        weight = taste_weight(rule, touch.value)
        if weight != 0:
            opinion = (touch.timestamp_ms, weight < 0)
            opinions[touch.item_id] = max(opinions.get(touch.item_id, opinion), opinion)
    return barred | {item_id for item_id, (_, negative) in opinions.items() if negative}
