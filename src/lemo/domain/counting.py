"""The rules by which a scenario's statistics are counted: its goal, its time zone, what follows from an answer."""

from collections.abc import Mapping
from typing import NamedTuple

from lemo.domain.scenario import Scenario

PURCHASES = ("purchase", "order")
"""Where a scenario knows one of these actions, they alone are conversions."""
NOT_A_GOAL = ("impression", "view", "click")
"""Actions that lead to a conversion and are none, whatever their weight."""


class CountingRules(NamedTuple):
    """What decides on the numbers of a scenario besides its answers and events."""

    goal: Mapping[str, float]
    """The actions that are conversions, each with the least `value` that counts; an event without a value counts."""
    zone: str
    """The time zone of hours and days, as the IANA names it."""
    window_hours: int
    """An event follows from an answer for so many hours."""


def counting_rules(scenario: Scenario) -> CountingRules:
    """The rules of a scenario."""
    return CountingRules(goal_of(scenario), scenario.timezone, scenario.attribution_hours)


def goal_of(scenario: Scenario) -> dict[str, float]:
    """The actions that are conversions in a scenario, each with the least `value` that counts; one without counts.

    They are purchases where the scenario knows them, else its own actions of positive weight: not those that only lead
    to others, and no ratings.
    """
    known = {name: rule for name, rule in scenario.actions.items() if rule.weight > 0 and rule.scale is None}
    names = [name for name in PURCHASES if name in known] or [name for name in known if name not in NOT_A_GOAL]
    return {name: known[name].weighing.liked_from for name in names}
