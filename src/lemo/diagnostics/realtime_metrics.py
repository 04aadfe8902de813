"""Real time for Prometheus: impressions, clicks, conversions and value of the last five whole minutes, out of Redis."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lemo.domain.errors import EngineUnavailable
from lemo.domain.realtime import MinuteRow, minute_of
from lemo.domain.scope import Scope
from lemo.stores.connect import Stores
from lemo.streams.lag import age_seconds

MINUTES = 5
MOST_PLACEMENTS = 1_000
"""Placements of an installation that Prometheus is told of, those of most events."""
_NAMES = {
    "impressions": "Impressions of the last five whole minutes.",
    "clicks": "Clicks of the last five whole minutes.",
    "conversions": "Events of the goals of scenarios in the last five whole minutes.",
    "value": "Value of these events.",
}

log = structlog.get_logger()


class Placements(Collector):
    """Gauges by tenant, scenario and placement. They name tenants: for operators' ports, not the API's."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def describe(self) -> Iterator[Metric]:
        """Nothing: a registration must not query the engines."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Reads Redis; without it these metrics are left out."""
        try:
            found = last_minutes(self._stores, _scopes(self._stores))
        except EngineUnavailable as error:
            log.warning("metrics of placements left out", error=error.message)
            return
        places: dict[tuple[str, str, str], list[MinuteRow]] = {}
        for scope, rows in found.items():
            for row in rows:
                places.setdefault((scope.tenant_id, scope.scenario_id, row.placement), []).append(row)
        busiest = sorted(places.items(), key=lambda place: (-sum(row.events for row in place[1]), place[0]))
        for name, words in _NAMES.items():
            gauge = GaugeMetricFamily(f"lemo_placement_{name}", words, labels=["tenant", "scenario", "placement"])
            for labels, rows in busiest[:MOST_PLACEMENTS]:
                gauge.add_metric(labels, _sum(rows, name))
            yield gauge


def realtime_gauges(stores: Stores) -> Sequence[Metric]:
    """The sums over all scenarios, and the age of hot scores. Raises EngineUnavailable."""
    scopes = _scopes(stores)
    rows = [row for found in last_minutes(stores, scopes).values() for row in found]
    gauges: list[Metric] = [
        GaugeMetricFamily(f"lemo_realtime_{name}", words, value=_sum(rows, name)) for name, words in _NAMES.items()
    ]
    oldest = min(stores.hot_scores.until(scopes).values(), default=None)
    if oldest is not None:
        words = "Age of the hot scores of the scenario that has waited longest: events since then are not in them."
        gauges.append(GaugeMetricFamily("lemo_hot_scores_age_seconds", words, value=age_seconds(oldest)))
    return gauges


def last_minutes(stores: Stores, scopes: Sequence[Scope]) -> Mapping[Scope, list[MinuteRow]]:
    """The rows of the last whole minutes. Raises EngineUnavailable."""
    last = minute_of(time.time_ns() // 1_000_000) - 60
    return stores.minute_metrics.read(scopes, range(last - 60 * (MINUTES - 1), last + 1, 60))


def _scopes(stores: Stores) -> list[Scope]:
    return [
        Scope(tenant, scenario.scenario_id)
        for tenant in stores.tenants.list()
        for scenario in stores.scenarios.list(tenant)
    ]


def _sum(rows: Iterable[MinuteRow], name: str) -> float:
    return float(sum(getattr(row, name) for row in rows))
