"""What a process of the API tells Prometheus of what it serves, and of its log of what was served."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lemo.serving.served_log import ServedLog
from lemo.serving.service import RecommendationService


class Serving(Collector):
    """Gauges of the serving states of this process."""

    def __init__(self, service: RecommendationService) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """Age of the oldest state, number of states and of stale ones, and number of failed renewals."""
        found = self._service.renewals()
        yield GaugeMetricFamily("lemo_serving_scopes", "Scenarios that this process serves.", value=found.scopes)
        yield GaugeMetricFamily(
            "lemo_serving_scopes_stale",
            "Scenarios whose models, similar and newest items could not be read anew for half a minute.",
            value=found.stale,
        )
        age = GaugeMetricFamily(
            "lemo_serving_age_seconds",
            "Seconds since the scenario was read that waited longest; models: about 2 while requests come, else 15.",
            labels=["part"],
        )
        for part, renewals in self._service.renewals_by_part().items():
            age.add_metric([part], renewals.oldest_seconds)
        yield age
        made = GaugeMetricFamily(
            "lemo_serving_oldest_snapshot_timestamp_seconds",
            "When the oldest snapshot that serves was made, by kind.",
            labels=["kind"],
        )
        for kind, moment in self._service.oldest_snapshots().items():
            made.add_metric([kind], moment.timestamp())
        yield made
        yield CounterMetricFamily(
            "lemo_serving_renewals_failed",
            "Renewals of a scenario that failed, in whole or in part.",
            value=found.failed,
        )


class ServedAnswers(Collector):
    """Counts of this process's log of what was served."""

    def __init__(self, served_log: ServedLog) -> None:
        self._log = served_log

    def collect(self) -> Iterator[Metric]:
        """Answers published, waiting and dropped; a batch that waits or is dropped counts once."""
        yield CounterMetricFamily(
            "lemo_served_answers_published", "Answers that the log took.", value=self._log.published
        )
        yield GaugeMetricFamily(
            "lemo_served_answers_waiting", "Answers that the log has not taken yet.", value=self._log.waiting
        )
        dropped = CounterMetricFamily(
            "lemo_served_answers_dropped", "Answers that are in no log, by reason.", labels=["reason"]
        )
        for reason, count in self._log.dropped.items():
            dropped.add_metric([reason], count)
        yield dropped
