"""Touches: what a user's recent history remembers of an event."""

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
    """What an act says about taste: the rule's weight, or 0 without a rule or below its least value."""
    if rule is None or (rule.min_value is not None and value is not None and value < rule.min_value):
        return 0.0
    return rule.weight
