"""The definition of every number of analytics: its words, and how it is counted. There is no second place.

Attributed numbers are of the answers of a period (`Traffic.attributed`), direct ones of its events (`Traffic.direct`).
The two are never added to each other, nor divided by each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lemo.domain.scenario import Scenario

PURCHASES = ("purchase", "order")
"""Where a scenario knows one of these actions, they alone are conversions."""
NOT_A_GOAL = ("impression", "view", "click")
"""Actions that lead to a conversion and are none, whatever their weight."""


@dataclass(frozen=True, slots=True)
class Count:
    """A number that is counted; `sql` is an aggregate over the columns that `Traffic` documents."""

    name: str
    means: str
    sql: str


@dataclass(frozen=True, slots=True)
class Ratio:
    """`times` the one count for each of another; null where there is none of the other."""

    name: str
    means: str
    of: str
    per: str
    times: int = 1


Metric = Count | Ratio

ATTRIBUTED: tuple[Metric, ...] = (
    Count("requests", "Answers that the API gave and logged; each answer of a batch is one.", "count()"),
    Ratio(
        "logged_share",
        "Share of all answers that was logged (LEMO_SERVED_LOG_SHARE); the other numbers are of those alone.",
        "requests",
        "answers_given",
    ),
    Count("answers_given", "Answers that the logged ones stand for.", "round(sum(1 / share))"),
    Count("users", "Different users who were answered; answers without a user count none.",
          "uniqExactIf(user_id, user_id != '')"),
    Count("items", "Items in the answers; an item that was in two answers counts twice.", "sum(length(item_ids))"),
    Count("items_shown", "Different items in the answers.", "uniqExactArray(item_ids)"),
    Count("catalogue_items", "Items of the catalogue, now.", "{catalogue:UInt64}"),
    Ratio("coverage", "Different items in the answers, per item of the catalogue.", "items_shown", "catalogue_items"),
    Count("impressions", "Items of answers with an `impression`; several of one item in one answer count once.",
          "sum(seen)"),
    Count("clicks", "Items of answers with a `click`; several of one item in one answer count once.", "sum(clicked)"),
    Ratio("ctr", "Clicks per impression. Above 1 where the page reports clicks without impressions.",
          "clicks", "impressions"),
    Count("requests_clicked", "Answers with at least one click.", "countIf(clicked > 0)"),
    Ratio("requests_clicked_share", "Share of answers with at least one click.", "requests_clicked", "requests"),
    Count("carts", "Items of answers with a `cart`; several of one item in one answer count once.", "sum(carted)"),
    Ratio("cart_rate", "Carts per click.", "carts", "clicks"),
    Count("conversions", "Items of answers with an event of the goal; several of one item in one answer count once.",
          "sum(converted)"),
    Ratio("conversion_rate", "Conversions per click.", "conversions", "clicks"),
    Count("value", "Sum of `value` over the events of the goal that followed from answers.", "sum(worth)"),
    Ratio("value_per_user", "Value per user who was answered.", "value", "users"),
    Ratio("value_per_1000_requests", "Value per 1,000 answers.", "value", "requests", 1_000),
    Count("empty_answers", "Answers without an item.", "countIf(empty(item_ids))"),
    Ratio("empty_share", "Share of answers without an item.", "empty_answers", "requests"),
    Count("degraded_answers", "Answers marked `degraded`: something was missing when they were made.",
          "countIf(degraded)"),
    Ratio("degraded_share", "Share of answers marked `degraded`.", "degraded_answers", "requests"),
    Count("explored_items", "Items that were shown to learn about them.", "sum(explored)"),
    Ratio("explored_share", "Share of the items in answers that were shown to learn about them.",
          "explored_items", "items"),
    Count("latency_p50_ms", "Milliseconds in the API that half of the answers took at most, about; one of a batch "
          "took as long as the batch.", "if(count() = 0, NULL, quantileExact(0.5)(took_us) / 1000)"),
    Count("latency_p99_ms", "Milliseconds in the API that 99 of 100 answers took at most, about.",
          "if(count() = 0, NULL, quantileExact(0.99)(took_us) / 1000)"),
)  # fmt: skip

DIRECT: tuple[Metric, ...] = (
    Count("events", "Events of all actions.", "count()"),
    Count("users", "Different users with an event.", "uniqExact(user_id)"),
    Count("impressions", "Events `impression`.", "countIf(act = 'impression')"),
    Count("clicks", "Events `click`.", "countIf(act = 'click')"),
    Ratio("ctr", "Clicks per impression.", "clicks", "impressions"),
    Count("carts", "Events `cart`.", "countIf(act = 'cart')"),
    Ratio("cart_rate", "Carts per click.", "carts", "clicks"),
    Count("conversions", "Events of the goal.", "countIf(goal)"),
    Ratio("conversion_rate", "Conversions per click.", "conversions", "clicks"),
    Count("value", "Sum of `value` over the events of the goal.", "sumIf(amount, goal)"),
    Ratio("value_per_user", "Value per user with an event.", "value", "users"),
)

Values = dict[str, int | float | None]


def goal_of(scenario: Scenario) -> dict[str, float]:
    """The actions that are conversions in a scenario, each with the least `value` that counts; one without counts.

    They are purchases where the scenario knows them, else its own actions of positive weight: not those that only lead
    to others, and no ratings.
    """
    known = {name: rule for name, rule in scenario.actions.items() if rule.weight > 0 and rule.scale is None}
    names = [name for name in PURCHASES if name in known] or [name for name in known if name not in NOT_A_GOAL]
    return {name: known[name].weighing.liked_from for name in names}


def counts(metrics: Sequence[Metric]) -> list[Count]:
    """Those of the metrics that are counted, in order."""
    return [metric for metric in metrics if isinstance(metric, Count)]


def values(metrics: Sequence[Metric], counted: Sequence[float | None]) -> Values:
    """All metrics by name, from the counted ones in the order of `counts`."""
    found = dict(zip((each.name for each in counts(metrics)), counted, strict=True))
    return {
        metric.name: found[metric.name] if isinstance(metric, Count) else _ratio(metric, found) for metric in metrics
    }


def change(metrics: Values, before: Values) -> Values:
    """By how much each number differs from the one before, as a share of that; null where that is null or 0."""
    return {name: _change(value, before[name]) for name, value in metrics.items()}


def definitions(metrics: Sequence[Metric]) -> dict[str, str]:
    """What each number means, in words."""
    return {metric.name: metric.means for metric in metrics}


def _ratio(ratio: Ratio, found: Mapping[str, float | None]) -> float | None:
    of, per = found[ratio.of], found[ratio.per]
    return ratio.times * of / per if of is not None and per else None


def _change(value: float | None, before: float | None) -> float | None:
    return (value - before) / before if value is not None and before else None
