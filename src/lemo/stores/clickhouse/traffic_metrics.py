"""The definition of every number of analytics: its words, and how it is counted. There is no second place.

Attributed numbers are of the answers of a period and what followed from them, direct ones of the events that happened
in it. The two are never added to each other, nor divided by each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sum:
    """A number that is summed over answers or events, and may be added up over days."""

    name: str
    means: str
    sql: str
    """What each answer or event adds, in the columns that `TrafficRows` documents."""
    place: str | None = None
    """What each place of an answer adds, where numbers are grouped by what differs within an answer; None: no such."""
    whole: bool = True
    """Whether it counts something."""


@dataclass(frozen=True, slots=True)
class State:
    """A number that is more than a sum: of different users or items, or a quantile. `at` is its place."""

    name: str
    means: str
    at: int
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Given:
    """A number that neither answers nor events hold."""

    name: str
    means: str


@dataclass(frozen=True, slots=True)
class Ratio:
    """`times` the one number for each of another; null where there is none of the other."""

    name: str
    means: str
    of: str
    per: str
    times: int = 1


Metric = Sum | State | Given | Ratio
USERS, ITEMS, HALF, MOST = range(4)
"""Places of the numbers that are no sums: users, items, and the median and 99th percentile of microseconds."""

ATTRIBUTED: tuple[Metric, ...] = (
    Sum("requests", "Answers that the API gave and logged; each answer of a batch is one. Of a position or source: "
        "those with such an item.", "1", "is_first"),
    Ratio("logged_share", "Share of all answers that was logged (LEMO_SERVED_LOG_SHARE); other numbers are of those.",
          "requests", "answers_given"),
    Sum("answers_given", "Answers that the logged ones stand for.", "1 / share", "is_first / share"),
    State("users", "Different users who were answered; answers without a user count none.", USERS),
    Sum("items", "Items in the answers; an item that was in two answers counts twice.", "length(item_ids)", "1"),
    State("items_shown", "Different items in the answers.", ITEMS),
    Given("catalogue_items", "Items of the catalogue, now."),
    Ratio("coverage", "Different items in the answers, per item of the catalogue.", "items_shown", "catalogue_items"),
    Given("novelty", "Mean bits of surprise of the items in the answers: -log2 of the item's share of the events, "
          "other than impressions, of the period; an item without any counts as one with one. Of totals only."),
    Sum("impressions", "Items of answers with an `impression`; several of one item in one answer count once.",
        "arraySum(seen)", "seen"),
    Sum("clicks", "Items of answers with a `click`; several of one item in one answer count once.",
        "arraySum(clicked)", "clicked"),
    Ratio("ctr", "Clicks per impression. Above 1 where the page reports clicks without impressions.",
          "clicks", "impressions"),
    Given("ctr_of_first", "Clicks per impression, per those of the first position: the curve of the position's bias. "
          "Of positions only."),
    Sum("requests_clicked", "Answers with at least one click.", "has(clicked, 1)"),
    Ratio("requests_clicked_share", "Share of answers with at least one click.", "requests_clicked", "requests"),
    Sum("carts", "Items of answers with a `cart`; several of one item in one answer count once.",
        "arraySum(carted)", "carted"),
    Ratio("cart_rate", "Carts per click.", "carts", "clicks"),
    Sum("conversions", "Items of answers with an event of the goal; several of one item in one answer count once.",
        "arraySum(converted)", "converted"),
    Ratio("conversion_rate", "Conversions per click.", "conversions", "clicks"),
    Sum("value", "Sum of `value` over the events of the goal that followed from answers.", "arraySum(worth)", "worth",
        whole=False),
    Ratio("value_per_user", "Value per user who was answered.", "value", "users"),
    Ratio("value_per_1000_requests", "Value per 1,000 answers.", "value", "requests", 1_000),
    Sum("empty_answers", "Answers without an item.", "empty(item_ids)"),
    Ratio("empty_share", "Share of answers without an item.", "empty_answers", "requests"),
    Sum("degraded_answers", "Answers marked `degraded`: something was missing when they were made.", "degraded"),
    Ratio("degraded_share", "Share of answers marked `degraded`.", "degraded_answers", "requests"),
    Sum("explored_items", "Items that were shown to learn about them.", "arrayCount(each -> each, explored)",
        "was_explored"),
    Ratio("explored_share", "Share of the items in answers that were shown to learn about them.",
          "explored_items", "items"),
    State("latency_p50_ms", "Milliseconds in the API that half of the answers took at most, about; one of a batch took "
          "as long as the batch.", HALF, whole=False),
    State("latency_p99_ms", "Milliseconds in the API that 99 of 100 answers took at most, about.", MOST, whole=False),
)  # fmt: skip


def _of_events(name: str, means: str, sql: str, whole: bool = True) -> Sum:
    return Sum(name, means, sql, sql, whole)


DIRECT: tuple[Metric, ...] = (
    _of_events("events", "Events of all actions.", "1"),
    State("users", "Different users with an event.", USERS),
    _of_events("impressions", "Events `impression`.", "act = 'impression'"),
    _of_events("clicks", "Events `click`.", "act = 'click'"),
    Ratio("ctr", "Clicks per impression.", "clicks", "impressions"),
    _of_events("carts", "Events `cart`.", "act = 'cart'"),
    Ratio("cart_rate", "Carts per click.", "carts", "clicks"),
    _of_events("conversions", "Events of the goal.", "goal"),
    Ratio("conversion_rate", "Conversions per click.", "conversions", "clicks"),
    _of_events("value", "Sum of `value` over the events of the goal.", "if(goal, amount, 0)", whole=False),
    Ratio("value_per_user", "Value per user with an event.", "value", "users"),
)


def sums(metrics: Sequence[Metric]) -> list[Sum]:
    """Those of the metrics that are summed, in order."""
    return [metric for metric in metrics if isinstance(metric, Sum)]


def place_of(metrics: Sequence[Metric], name: str) -> int:
    """Where among the sums a number is, from 1 on."""
    return [metric.name for metric in sums(metrics)].index(name) + 1
