"""Prometheus metrics of one consumer, updated once a batch, not once a record."""

import time
from collections import Counter as Counting
from collections import deque
from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from lemo.ingest.batch import Batch
from lemo.streams import Record
from lemo.streams.dead_letters import fault_of
from lemo.streams.messages import FAULTS

Stage = Literal[
    "read", "sort", "items", "events", "history", "served", "computed", "accepted", "dead-letters", "results", "commit"
]
STAGES: tuple[Stage, ...] = get_args(Stage)
BATCH_BUCKETS = (1, 10, 100, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 20_000)
"""Upper limits of the histogram of batches, in records."""
SECONDS_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Upper limits of the histogram of stages: from one message to a slow store."""
_SAMPLES = 100
"""Records of a batch whose age is read. Records of a partition are in order, so one of them is near the oldest."""


class ConsumerMetrics:
    """The metrics of one consumer. Labels are few by design: tenants and scenarios are in `lemo stats`.

    A batch is counted when it is committed, so a process counts each batch once. Safe for the reading and the writing
    thread.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._uncommitted: deque[int] = deque()
        """Unix ms of the oldest record of each batch that is polled and not committed, in order."""
        self._batches = Histogram(
            "lemo_consumer_batch_records", "Records of a batch.", registry=self.registry, buckets=BATCH_BUCKETS
        )
        seconds = Histogram(
            "lemo_consumer_stage_seconds",
            "How long a stage of a batch took that had something to do, and did it.",
            ("stage",),
            registry=self.registry,
            buckets=SECONDS_BUCKETS,
        )
        records = Counter("lemo_consumer_records", "Records taken in.", ("kind",), registry=self.registry)
        dead = Counter("lemo_consumer_dead_letters", "Messages refused.", ("fault",), registry=self.registry)
        repeated = Counter(
            "lemo_consumer_repeated_events",
            "Events whose id came before, so that they count once, by contents: same (in one batch) or other (also in"
            " the small batches before).",
            ("contents",),
            registry=self.registry,
        )
        # Every time series begins with 0. Prometheus sees no increase in a series that begins with 1.
        self._seconds = {stage: seconds.labels(stage) for stage in STAGES}
        self._items, self._events, self._served = (records.labels(kind) for kind in ("items", "events", "served"))
        self._same, self._other = (repeated.labels(contents) for contents in ("same", "other"))
        self._dead = {fault: dead.labels(fault) for fault in FAULTS}
        Gauge(
            "lemo_consumer_oldest_uncommitted_seconds",
            "Age of the oldest record that is polled but not committed, since the log took it; 0 when there is none.",
            registry=self.registry,
        ).set_function(self._oldest_age)

    @contextmanager
    def stage(self, stage: Stage, work: Sized) -> Iterator[None]:
        """Times a stage. A stage without work, or that failed, is not counted."""
        started = time.perf_counter()
        yield
        if len(work):
            self._seconds[stage].observe(time.perf_counter() - started)

    def polled(self, records: Sequence[Record], seconds: float) -> None:
        """Counts a poll, and its seconds, with the wait for the first record."""
        if records:
            self._seconds["read"].observe(seconds)
            self._uncommitted.append(min(record.timestamp for record in records[:: max(1, len(records) // _SAMPLES)]))

    def committed(self, records: Sequence[Record], batch: Batch) -> None:
        """Counts the oldest uncommitted batch as committed."""
        self._uncommitted.popleft()
        self._batches.observe(len(records))
        self._events.inc(batch.event_records)
        self._served.inc(batch.served_records)
        others = batch.event_records + batch.served_records + batch.computed_records
        self._items.inc(len(records) - others)
        self._same.inc(batch.repeats.same)
        self._other.inc(batch.other_contents)
        for fault, count in Counting(map(fault_of, batch.dead)).items():
            self._dead[fault].inc(count)

    def _oldest_age(self) -> float:
        # A copy: the consumer changes the queue while Prometheus reads it.
        uncommitted = self._uncommitted.copy()
        return max(0.0, time.time() - min(uncommitted) / 1000) if uncommitted else 0.0
