"""Numbers by name, from what was counted. What each means and how it is counted stands in `traffic_metrics`."""

from collections.abc import Mapping, Sequence

from lemo.stores.clickhouse.traffic import Counted
from lemo.stores.clickhouse.traffic_metrics import HALF, ITEMS, MOST, USERS, Given, Metric, Ratio, State, Sum, sums
from lemo.stores.clickhouse.traffic_rows import By

Values = dict[str, int | float | None]

BY_PLACE = ("position", "source", "category", "item")
"""Groups that differ within an answer: there are no numbers of whole answers, and an answer is in several of them."""
WITHOUT_STATES: Mapping[By, tuple[int, ...]] = {
    "position": (USERS, ITEMS, HALF, MOST),
    "category": (USERS, ITEMS, HALF, MOST),
    "source": (USERS, HALF, MOST),
}
"""Numbers of `traffic_metrics.State` that groups do not have."""
OF_ANSWERS = ("requests", "answers_given")
"""Numbers that categories do not have: an answer with two items of a category is told twice by its items."""


def values(
    metrics: Sequence[Metric], counted: Counted | None, given: Mapping[str, float | None], by: By | None
) -> Values:
    """All metrics by name; `by` is what the numbers are a group of. A number that the group has not is null."""
    found: dict[str, float | None] = {}
    names = [each.name for each in sums(metrics)]
    added = dict(zip(names, counted.sums if counted else [0.0] * len(names), strict=True))
    for metric in metrics:
        if isinstance(metric, Sum):
            number = added[metric.name]
            missing = by in BY_PLACE and (metric.place is None or (by == "category" and metric.name in OF_ANSWERS))
            found[metric.name] = None if missing else round(number) if metric.whole else number
        elif isinstance(metric, State):
            found[metric.name] = None if by and metric.at in WITHOUT_STATES.get(by, ()) else _state(metric, counted)
        elif isinstance(metric, Given):
            found[metric.name] = given.get(metric.name)
    return {
        metric.name: _ratio(metric, found) if isinstance(metric, Ratio) else found[metric.name] for metric in metrics
    }


def change(metrics: Values, before: Values) -> Values:
    """By how much each number differs from the one before, as a share of that; null where that is null or 0."""
    return {name: _change(value, before[name]) for name, value in metrics.items()}


def definitions(metrics: Sequence[Metric]) -> dict[str, str]:
    """What each number means, in words."""
    return {metric.name: metric.means for metric in metrics}


def _state(metric: State, counted: Counted | None) -> float | None:
    if metric.at in (HALF, MOST):
        return counted.states[metric.at] / 1000 if counted else None
    return round(counted.states[metric.at]) if counted else 0


def _ratio(ratio: Ratio, found: Mapping[str, float | None]) -> float | None:
    of, per = found[ratio.of], found[ratio.per]
    return ratio.times * of / per if of is not None and per else None


def _change(value: float | None, before: float | None) -> float | None:
    return (value - before) / before if value is not None and before else None
