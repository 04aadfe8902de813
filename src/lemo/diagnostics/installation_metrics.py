"""What an installation's own stores tell Prometheus: overdue and failing jobs, waiting messages, dead letters.

Counts of ended runs are the workers'; these are states, read when somebody asks.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis import Redis

from lemo.diagnostics.realtime_metrics import realtime_gauges
from lemo.scheduling.broker import SENT_AT
from lemo.scheduling.health import JobState, job_states
from lemo.scheduling.jobs import JOBS, QUEUES
from lemo.stores.connect import Stores
from lemo.stores.redis.client import Keys
from lemo.streams.lag import age_seconds, waiting
from lemo.streams.topics import Topics
from lemo.threads import run_in_thread

FRESH_SECONDS = 5.0
"""Lifetime of the cached values, so that frequent scrapes cause no load."""
ANSWER_SECONDS = 4.0
"""Longest wait for an engine, whose values are then left out. Prometheus waits 10 seconds by default."""

log = structlog.get_logger()


class Installation(Collector):
    """Gauges of the whole installation. Labels are few: tenants and scenarios are in `lemo doctor` and the API."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._lock = threading.Lock()
        self._seen: list[Metric] = []
        self._until = 0.0
        self._sources: dict[str, Callable[[], Sequence[Metric]]] = {
            "jobs": lambda: _jobs(job_states(stores)),
            "ingest": self._ingest,
            "dead_letters": self._dead_letters,
            "realtime": lambda: realtime_gauges(stores),
            "queues": lambda: _queues(stores.settings.redis(1), stores.keys),
        }

    def describe(self) -> Iterator[Metric]:
        """Nothing: a registration must not query the engines."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The gauges; `lemo_source_up` says which engines answered."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._seen = list(self._read())
                self._until = time.monotonic() + FRESH_SECONDS
            return iter(self._seen)

    def _read(self) -> Iterator[Metric]:
        deadline = time.monotonic() + ANSWER_SECONDS
        futures = {name: run_in_thread(source, "metrics") for name, source in self._sources.items()}
        up = GaugeMetricFamily("lemo_source_up", "Whether the source of these metrics answered.", labels=["source"])
        for name, future in futures.items():
            found = _answer(name, future, deadline)
            up.add_metric([name], float(found is not None))
            yield from found or ()
        yield up

    def _ingest(self) -> Sequence[Metric]:
        topics, log, group = Topics(self._stores.settings), self._stores.log, self._stores.settings.kafka_group
        read = topics.read_of(log)
        messages, since = waiting(log, read, group)
        lag: Counter[str] = Counter()
        for topic, count in messages.items():
            lag[topics.label_of(topic)] += count
        oldest: dict[str, float] = dict.fromkeys(lag, 0.0)
        for topic, moment in since.items():
            label = topics.label_of(topic)
            oldest[label] = max(age_seconds(moment), oldest.get(label, 0.0))
        count_gauge = GaugeMetricFamily(
            "lemo_ingest_waiting", "Messages that the consumers have not taken in yet.", labels=["topic"]
        )
        for topic, count in lag.items():
            count_gauge.add_metric([topic], count)
        age = GaugeMetricFamily(
            "lemo_ingest_oldest_waiting_seconds",
            "How long the oldest message has stood in the log that the consumers have not taken in; 0 when none waits.",
            labels=["topic"],
        )
        for topic, seconds in oldest.items():
            age.add_metric([topic], seconds)
        return [count_gauge, age]

    def _dead_letters(self) -> Sequence[Metric]:
        topic = self._stores.settings.kafka_dead_letter_topic
        # For a group that commits nothing, all messages of a topic wait.
        count = self._stores.log.lag([topic], "lemo-looking-on").get(topic, 0)
        return [GaugeMetricFamily("lemo_dead_letters", "Refused messages that the ingest log keeps.", value=count)]


def _answer(name: str, future: "Future[Sequence[Metric]]", deadline: float) -> Sequence[Metric] | None:
    try:
        return future.result(max(0.0, deadline - time.monotonic()))
    except Late:
        log.warning("metrics left out: no answer in time", source=name)
    except Exception as error:  # noqa: BLE001 - logged, and reported by lemo_source_up
        log.warning("metrics left out", source=name, error=str(error))
    return None


def _jobs(states: Sequence[JobState]) -> Sequence[Metric]:
    overdue = GaugeMetricFamily(
        "lemo_jobs_overdue", "Scenarios whose job has not succeeded for twice its period.", labels=["entry"]
    )
    failing = GaugeMetricFamily("lemo_jobs_failing", "Scenarios whose last run of the job failed.", labels=["entry"])
    oldest = GaugeMetricFamily(
        "lemo_job_oldest_success_timestamp_seconds",
        "Last success of the scenario that has waited longest, of those where it ever succeeded.",
        labels=["entry"],
    )
    for entry in JOBS:
        mine = [state for state in states if state.entry == entry]
        overdue.add_metric([entry], sum(state.overdue for state in mine))
        failing.add_metric([entry], sum(state.failing for state in mine))
        successes = [state.last_success for state in mine if state.last_success]
        if successes:
            oldest.add_metric([entry], min(successes).timestamp())
    return [overdue, failing, oldest]


def _queues(broker_url: str, keys: Keys) -> Sequence[Metric]:
    queued = GaugeMetricFamily("lemo_queue_length", "Tasks that wait for a worker.", labels=["queue"])
    oldest = GaugeMetricFamily(
        "lemo_queue_oldest_seconds",
        "How long the next task has waited for a worker; 0 when none waits.",
        labels=["queue"],
    )
    with Redis.from_url(broker_url, socket_timeout=3, socket_connect_timeout=2) as broker:
        for queue in QUEUES:
            queued.add_metric([queue], int(broker.llen(keys(queue))))
            task = broker.lindex(keys(queue), -1)
            sent_at = json.loads(task)["headers"].get(SENT_AT) if task else None
            oldest.add_metric([queue], max(0.0, time.time() - sent_at) if sent_at else 0.0)
    return [queued, oldest]
