"""What one consumer tells Prometheus of its work: counted once a batch, never once a record."""

import time
from collections import Counter as Counting
from collections import deque
from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from lemo.ingest.sorting import Batch
from lemo.streams import Record
from lemo.streams.dead_letters import fault_of
from lemo.streams.messages import FAULTS

Stage = Literal["read", "sort", "items", "events", "history", "dead-letters", "results", "commit"]
STAGES: tuple[Stage, ...] = get_args(Stage)
BATCH_BUCKETS = (1, 10, 100, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 20_000)
"""Upper limits of the histogram of batches, in records."""
SECONDS_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Upper limits of the histogram of stages: from one message to a store that has trouble."""
_LOOKS = 100
"""Records of a batch whose age is looked at; in a partition they come in order, so the oldest is near one of them."""


class ConsumerMetrics:
    """The measures of one consumer. Labels are few by design: tenants and scenarios are in `lemo stats`.

    A batch is counted when it is committed, so one that is read again after a crash counts once in each process. Safe
    to use from the thread that reads and the one that writes.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._held: deque[int] = deque()
        """Of each batch that is polled and not committed, in order: Unix ms of its oldest record."""
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
            "Events whose id came before in the same batch, so that they count once, by contents: same or other.",
            ("contents",),
            registry=self.registry,
        )
        # Every label is there from the start: a count that is born with 1 looks to Prometheus like no change.
        self._seconds = {stage: seconds.labels(stage) for stage in STAGES}
        self._items, self._events = (records.labels(kind) for kind in ("items", "events"))
        self._same, self._other = (repeated.labels(contents) for contents in ("same", "other"))
        self._dead = {fault: dead.labels(fault) for fault in FAULTS}
        Gauge(
            "lemo_consumer_oldest_uncommitted_seconds",
            "Age of the oldest record that is polled but not committed, since the log took it; 0 when there is none.",
            registry=self.registry,
        ).set_function(self._oldest_age)

    @contextmanager
    def stage(self, stage: Stage, work: Sized) -> Iterator[None]:
        """Times a stage; one that had no work, or failed, is not counted."""
        started = time.perf_counter()
        yield
        if len(work):
            self._seconds[stage].observe(time.perf_counter() - started)

    def polled(self, records: Sequence[Record], seconds: float) -> None:
        """The log handed over records, after so long, waiting for the first one included."""
        if records:
            self._seconds["read"].observe(seconds)
            self._held.append(min(record.timestamp for record in records[:: max(1, len(records) // _LOOKS)]))

    def committed(self, records: Sequence[Record], batch: Batch) -> None:
        """The records polled first, of those not committed yet, are done with."""
        self._held.popleft()
        self._batches.observe(len(records))
        self._events.inc(batch.event_records)
        self._items.inc(len(records) - batch.event_records)
        self._same.inc(batch.repeats.same)
        self._other.inc(batch.repeats.other)
        for fault, count in Counting(map(fault_of, batch.dead)).items():
            self._dead[fault].inc(count)

    def _oldest_age(self) -> float:
        # A copy, because the consumer goes on while Prometheus asks.
        held = self._held.copy()
        return max(0.0, time.time() - min(held) / 1000) if held else 0.0
