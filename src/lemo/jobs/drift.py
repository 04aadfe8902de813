"""Drift of a scenario: scores and CTR of the last day's answers beside those of the week before."""

import time

from lemo.domain.counting import counting_rules
from lemo.domain.scope import Scope
from lemo.statistics.drift import population_stability_index, rate_change
from lemo.stores.clickhouse.traffic import EACH, Asked
from lemo.stores.clickhouse.traffic_metrics import ATTRIBUTED, place_of
from lemo.stores.clickhouse.traffic_periods import HOUR_MS, Period
from lemo.stores.clickhouse.traffic_plan import Days
from lemo.stores.connect import Stores

SCORE_PSI = "score_psi"
CTR_CHANGE = "ctr_change"
"""Names in the detail of a run. Each is absent where there is too little to tell."""
FOLLOW_MS = HOUR_MS
"""Answers of the last hour are left out: many of their clicks are still to come."""
NOW_MS, BEFORE_MS = 24 * HOUR_MS, 7 * 24 * HOUR_MS
FEWEST_ANSWERS = 500
"""Of each period, for scores: the PSI of 500 answers of one distribution is about 0.02."""
FEWEST_CLICKS = 100
"""Clicks that the CTR of before leads to expect now: chance moves them by 10 %."""


def drift(stores: Stores, scope: Scope, moment_ms: int | None = None) -> dict[str, float]:
    """The PSI of scores and the relative change of CTR, each where there is enough of both periods.

    `moment_ms` is now. Raises NotFound and EngineUnavailable.
    """
    until = (moment_ms or time.time_ns() // 1_000_000) - FOLLOW_MS
    now = Period(until - NOW_MS, until)
    before = Period(now.since_ms - BEFORE_MS, now.since_ms)
    found: dict[str, float] = {}
    scores = stores.scores.counts(scope, before, now)
    if min(scores.answers_before, scores.answers_now) >= FEWEST_ANSWERS:
        found[SCORE_PSI] = round(population_stability_index(scores.before, scores.now), 4)
    clicks, impressions = _clicks(stores, scope, now)
    clicks_before, impressions_before = _clicks(stores, scope, before)
    change = rate_change(clicks, impressions, clicks_before, impressions_before)
    if change is not None and impressions * clicks_before / impressions_before >= FEWEST_CLICKS:
        found[CTR_CHANGE] = round(change, 4)
    return found


def _clicks(stores: Stores, scope: Scope, period: Period) -> tuple[float, float]:
    """Clicks and impressions of the answers of a period, as analytics counts them."""
    rules = counting_rules(stores.scenarios.get(scope))
    asked = Asked("attributed", False)
    plans = stores.traffic.plans(scope, period, rules, rules.zone)
    plans = {each: plans[each] if each == asked else Days([], []) for each in EACH}
    total = stores.traffic.numbers(plans, scope, rules, "day", None, rules.zone)[asked].total
    if total is None:
        return 0.0, 0.0
    clicks, impressions = (total.sums[place_of(ATTRIBUTED, name) - 1] for name in ("clicks", "impressions"))
    return clicks, impressions
