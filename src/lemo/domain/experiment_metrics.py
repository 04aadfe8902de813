"""The metrics that an experiment can be decided by or guarded with: each number's words, and what it divides.

A metric is sum(value) / sum(base) over the units of an arm. `value`, `base` and `before` name columns that the store
counts for each unit (`stores/clickhouse/exposures.py`); a base of `one` makes it a mean over units.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from lemo.domain.errors import InvalidInput
from lemo.domain.reasons import did_you_mean, shortened

ACTION = "action."
"""Before the name of an action: how often a user does it, such as `action.dislike`."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of a unit."""

    name: str
    means: str
    value: str
    base: str = "one"
    before: str | None = None
    """What is known of the unit from the days before its exposure: the covariate of CUPED."""
    higher_is_better: bool = True

    @property
    def action(self) -> str | None:
        """The action that it counts, of a metric that is made by an action's name."""
        return self.name.removeprefix(ACTION) if self.name.startswith(ACTION) else None


_METRICS = (
    Metric(
        "ctr",
        "Items clicked per item seen (`impression`), of the arm's answers.",
        "clicked",
        "seen",
        "clicks_before",
    ),
    Metric(
        "requests_clicked_share",
        "Share of the arm's answers with at least one click.",
        "requests_clicked",
        "requests",
        "clicks_before",
    ),
    Metric(
        "clicks_per_unit",
        "Clicks per user after the first exposure, whatever led to them; of a session those on the arm's answers.",
        "clicks",
        before="clicks_before",
    ),
    Metric(
        "conversions_per_unit",
        "Events of the goal per user after the first exposure, whatever led to them; of a session those that followed"
        " from the arm's answers.",
        "conversions",
        before="conversions_before",
    ),
    Metric(
        "converted_share",
        "Share of users or sessions with at least one event of the goal after the first exposure.",
        "converted",
        before="conversions_before",
    ),
    Metric(
        "value_per_unit",
        "Sum of `value` over the events of the goal after the first exposure, per user or session.",
        "worth",
        before="worth_before",
    ),
    Metric("requests_per_unit", "Answers per user or session.", "requests"),
    Metric("empty_share", "Share of the arm's answers without an item.", "empty", "requests", None, False),
    Metric(
        "degraded_share", "Share of the arm's answers marked `degraded`.", "degraded", "requests", None, False
    ),
    Metric(
        "latency_ms", "Mean time in the API of the arm's answers, in milliseconds.", "took_ms", "requests", None, False
    ),
)  # fmt: skip
METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _METRICS}
PRIMARY = tuple(metric.name for metric in _METRICS if metric.higher_is_better)
"""Metrics that an experiment can be decided by."""


def metric_of(name: str) -> Metric:
    """The metric of a name; raises InvalidInput, which lists all."""
    if name in METRICS:
        return METRICS[name]
    action = name.removeprefix(ACTION)
    if name.startswith(ACTION) and 0 < len(action) <= 200:
        return Metric(
            name,
            f"Events `{action}` per user after the first exposure; of a session those on the arm's answers.",
            "acted",
            before="acted_before",
            higher_is_better=False,
        )
    raise InvalidInput(
        f"There is no metric {shortened(name)}.",
        f"{did_you_mean(name, METRICS)}The metrics are {', '.join(METRICS)} and action.NAME.",
    )
