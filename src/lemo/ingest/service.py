"""The loop of the consumer: poll, read, write, commit. Only what is written is committed.

It is long because the order of all that is done with a batch stands in one place.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence, Sized
from concurrent.futures import wait
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TypeVar

import structlog

from lemo.domain.errors import EngineUnavailable
from lemo.domain.scope import Scope
from lemo.ingest.aggregation import Aggregation
from lemo.ingest.batch import Batch, read_batch
from lemo.ingest.batch_trace import BatchTrace
from lemo.ingest.computed import write_computed
from lemo.ingest.metrics import ConsumerMetrics, Stage
from lemo.ingest.pending_write import PendingWrite
from lemo.ingest.recent_ids import RecentIds
from lemo.ingest.scenario_cache import ScenarioCache
from lemo.scheduling.scenario_deletion import remove_if_deleted
from lemo.stores.connect import Stores
from lemo.streams import Log, Reader, Record, nothing
from lemo.streams.dead_letters import publish_dead_letters
from lemo.streams.topics import Topics
from lemo.threads import run_in_thread
from lemo.users.erasure import repeat_changes

log = structlog.get_logger(__name__)

MOST_RECORDS = 20_000
_FIRST_RECORDS = 100
"""Size of the first batch, before the size of messages is known."""
_BATCH_BYTES = 16_000_000
"""Size of a batch in bytes. Two are in memory: one is written while one is read."""
_POLL_SECONDS = 1.0
_POLL_WHILE_WRITING = 0.05
_HOLD_EVERY = 0.5
_HAND_OVER_SECONDS = 20.0
"""Longest wait for the pending write when partitions are revoked or the service stops."""
_LONGEST_WAIT = 10.0
_LOG_SECONDS = 10.0
_LAST_REFRESH_SECONDS = 5.0

Answer = TypeVar("Answer")


class _Stopped(Exception):
    """The service was stopped while it waited for an engine."""


class Consumer:
    """Writes items and events from the log to the stores until `stop` is set.

    Every write is idempotent. A batch whose write failed half-way, or that is delivered again after a crash, leads to
    the same state. `on_items` is called for each scope whose items were written.

    While one batch is written, the next one is polled and read. An unavailable store stops both. The reader then
    holds, which keeps its membership of the group, until the store is back.
    """

    def __init__(
        self, stores: Stores, member: str, on_items: Callable[[Scope], None], stop: threading.Event | None = None
    ) -> None:
        self.metrics = ConsumerMetrics()
        self._settings = stores.settings
        self._stores = stores
        self._member = member
        self._on_items = on_items
        self._stop = stop or threading.Event()
        self._aggregation = Aggregation(stores.aggregates, member)
        self._topics = Topics(self._settings)
        self._scenarios = ScenarioCache(stores.tenants, stores.scenarios)
        self._recent = RecentIds()
        self._revision = ""
        self._publisher = stores.log.publisher()
        self._reader: Reader | None = None
        self._pending: PendingWrite | None = None
        self._uncommitted: list[PendingWrite] = []
        """Written batches, oldest first. They are committed in order, as offsets must not go back."""
        self._limit = _FIRST_RECORDS
        self._done = dict.fromkeys(
            ("items", "events", "served", "computed", "dead_letters", "ids_with_other_contents", "erased"), 0
        )
        self._conflicts: list[tuple[Scope, str]] = []
        """Examples for the next line of the log."""
        self._logged_at = time.monotonic()

    def run(self) -> None:
        """Runs until `stop` is set. Records that are not committed then are delivered again to the next member."""
        ingest: Log = self._stores.log
        topics, tenants = self._topics.fixed, self._topics.tenant_prefix
        try:
            self._retry("start", self._prepare)
            self._aggregation.start()
            self._reader = ingest.reader(
                topics, self._settings.kafka_group, self._member, self._finish_in_time, prefix=tenants
            )
            engine = self._retry("start", ingest.ping)
            shown = [*topics, f"{tenants}*"]
            log.info("ready", log=engine, topics=shown, group=self._settings.kafka_group, member=self._member)
            while not self._stop.is_set():
                self._step(self._reader)
            self._finish_in_time()
            if self._pending is None:
                self._aggregation.finish(_LAST_REFRESH_SECONDS)
        except _Stopped:
            log.warning("stopped while an engine was away; the unfinished batch will be delivered again")
        finally:
            self._aggregation.stop()
            self._pending, self._uncommitted = None, []  # not committed: they are delivered again
            if self._reader is not None:
                self._reader.close()
            self._publisher.close()
            self._log_progress()

    def _prepare(self) -> None:
        """Pings every engine, and creates missing tables and topics."""
        self._stores.documents.ping()
        self._stores.events.migrate()
        self._stores.served.keep_days(self._settings.served_days)
        self._stores.log.create_topics([*self._topics.fixed, *self._topics.written])

    def _step(self, reader: Reader) -> None:
        seconds = _POLL_WHILE_WRITING if self._pending else _POLL_SECONDS
        records = self._retry("read the log", lambda: self._poll(reader, seconds))
        if records:
            batch = self._retry("read scenarios", lambda: self._read(records))
            self._await_written()
            self._pending = PendingWrite(records, batch, self._write_until_done)
            self._limit = _next_limit(records)
            self._retry("commit", self._commit)
        elif self._pending and self._pending.wait(0):
            self._finish()
        elif self._pending is None:
            self._aggregation.tick()
        if time.monotonic() - self._logged_at > _LOG_SECONDS:
            self._log_progress()

    def _poll(self, reader: Reader, seconds: float) -> Sequence[Record]:
        started = time.perf_counter()
        records = reader.poll(self._limit, seconds)
        self.metrics.polled(records, time.perf_counter() - started)
        return records

    def _read(self, records: Sequence[Record]) -> Batch:
        revision = self._stores.user_changes.refresh()
        if revision != self._revision:
            self._scenarios.expire()
            self._revision = revision
        with self.metrics.stage("sort", records):
            batch = read_batch(records, self._topics, self._scenarios, self._stores.user_changes)
            batch.conflicts = self._recent.conflicts(batch.events)
        batch.revision = revision
        batch.trace = BatchTrace.begun(self._settings, records, batch.dead)
        return batch

    def _finish(self) -> None:
        """Waits until the pending batch is written, and commits it."""
        self._await_written()
        self._retry("commit", self._commit)

    def _await_written(self) -> None:
        """Waits until the pending batch is written, however long that takes."""
        while (pending := self._pending) and not pending.wait(_HOLD_EVERY):
            self._hold()
        self._mark_written()

    def _mark_written(self) -> None:
        if self._pending:
            self._uncommitted.append(self._pending)
            self._pending = None

    def _finish_in_time(self) -> None:
        """Commits before partitions go to another member. Waits a limited time for the pending batch."""
        if self._pending and not self._pending.wait(_HAND_OVER_SECONDS):
            log.warning("the pending batch is not written yet; the next member reads it again")
        else:
            self._mark_written()
        try:
            self._commit()
        except EngineUnavailable as error:
            log.warning("what is written could not be committed and will be delivered again", error=str(error))

    def _commit(self) -> None:
        records = [record for written in self._uncommitted for record in written.records]
        if self._reader and records:
            with self.metrics.stage("commit", records):
                self._reader.commit(records)
            for written in self._uncommitted:
                self.metrics.committed(written.records, written.batch)
                self._done["items"] += written.batch.item_count
                self._done["events"] += len(written.batch.events)
                self._done["served"] += len(written.batch.served)
                self._done["computed"] += len(written.batch.computed)
                self._done["dead_letters"] += len(written.batch.dead)
                self._done["erased"] += written.batch.erased
                self._done["ids_with_other_contents"] += written.batch.other_contents
                self._conflicts += written.batch.conflicts[:1]
            self._uncommitted = []

    def _hold(self) -> None:
        # An unavailable log is reported by the next poll.
        with suppress(EngineUnavailable):
            if self._reader:
                self._reader.hold()

    def _hold_for(self, seconds: float) -> bool:
        """Waits for the time or the stop. Returns whether the service is stopped."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._hold()
            if self._stop.wait(min(left, _HOLD_EVERY)):
                return True
        return self._stop.is_set()

    def _write_until_done(self, batch: Batch) -> None:
        # An engine may be empty after a restart.
        self._retry("write", lambda: self._write(batch), before_retry=self._prepare, wait=self._stop.wait)
        if batch.trace:
            batch.trace.end()

    def _write(self, batch: Batch) -> None:
        stores = self._stores

        def stage(name: Stage, work: Sized) -> AbstractContextManager[None]:
            return self._stage(batch, name, work)

        accepted: dict[Scope, Sequence[bool]] = {}
        with stage("items", batch.items):
            for scope, writes in batch.items.items():
                arrived = [record.timestamp for _, record in writes]
                done = stores.items.upsert(scope, [item for item, _ in writes], arrived)
                accepted[scope] = done.accepted
                stores.availability.add(scope, done.items, done.arrived_ms)
                stores.item_feed.add(scope, [item.item_id for item in done.items])
                stores.embedding_queue.add(scope, [item.item_id for item in done.items])
        self._aggregation.before(batch.hours())
        # The event store and Redis are written in parallel.
        history_write = run_in_thread(lambda: self._write_history(batch), "history")
        try:
            with stage("events", batch.events):
                stores.events.insert(batch.events)
        finally:
            wait([history_write])
        history_write.result()
        with stage("served", batch.served):
            stores.served.insert(batch.served)
        with stage("computed", batch.computed):
            write_computed(stores, batch.computed)
        if batch.accepted:
            with stage("accepted", batch.accepted):
                self._publisher.publish(self._topics.accepted, batch.accepted)
        self._undo_what_was_changed_meanwhile(batch)
        self._aggregation.tick()
        with stage("dead-letters", batch.dead):
            publish_dead_letters(self._publisher, self._settings.kafka_dead_letter_topic, batch.dead)
        if topic := self._settings.kafka_item_results_topic:
            results = batch.results(accepted)
            with stage("results", results):
                self._publisher.publish(topic, results)
        for scope in batch.items:
            self._on_items(scope)

    def _undo_what_was_changed_meanwhile(self, batch: Batch) -> None:
        """Erases, merges and deletes again what was so changed after the batch was read.

        Both sides write first and look then, so that one of them sees the other.
        """
        if self._stores.user_changes.refresh() != batch.revision:
            acts = batch.acts()
            repeat_changes(self._stores, acts)
            answered = {Scope(row.tenant_id, row.scenario_id) for row in batch.served}  # also those of sessions
            for scope in {*batch.items, *answered, *(Scope(*act[:2]) for act in acts)}:
                remove_if_deleted(self._stores, scope)

    def _write_history(self, batch: Batch) -> None:
        with self._stage(batch, "history", batch.in_history):
            self._stores.history.add(batch.in_history)
            self._stores.seen.add(batch.filtering)

    @contextmanager
    def _stage(self, batch: Batch, stage: Stage, work: Sized) -> Iterator[None]:
        """A stage of writing, for metrics and traces."""
        with self.metrics.stage(stage, work), batch.trace.write(stage, len(work)) if batch.trace else nullcontext():
            yield

    def _retry(
        self,
        doing: str,
        call: Callable[[], Answer],
        before_retry: Callable[[], None] = nothing,
        wait: Callable[[float], bool] | None = None,
    ) -> Answer:
        """Retries the call with backoff until the engines answer; raises _Stopped when the service is stopped.

        `wait` waits some seconds and returns whether the service is stopped. Without it, the reader holds meanwhile.
        """
        attempt = 0
        while True:
            try:
                if attempt:
                    before_retry()
                answer = call()
            except EngineUnavailable as error:
                # Jitter, so that many consumers do not retry at the same moment.
                seconds = random.uniform(0.5, 1.0) * min(_LONGEST_WAIT, 0.5 * 2**attempt)
                attempt = min(attempt + 1, 10)
                log.warning("an engine is away, trying again", doing=doing, error=str(error), seconds=round(seconds, 1))
                if (wait or self._hold_for)(seconds):
                    raise _Stopped from error
            else:
                if attempt:
                    log.info("the engines are back", doing=doing)
                return answer

    def _log_progress(self) -> None:
        if any(self._done.values()):
            log.info("taken in", **self._done, seconds=round(time.monotonic() - self._logged_at, 1))
        for scope, event_id in self._conflicts[:1]:
            log.warning(
                "an event_id came again with other contents: only its first event counts",
                scope=str(scope),
                event_id=event_id[:80],
            )
        self._conflicts = []
        self._done = dict.fromkeys(self._done, 0)
        self._logged_at = time.monotonic()


def _next_limit(records: Sequence[Record]) -> int:
    """Size of the next poll, so that a batch of large messages fits into memory."""
    sample = records[::10]
    mean = sum(len(record.value) for record in sample) / len(sample)
    return max(10, min(MOST_RECORDS, int(_BATCH_BYTES / max(mean, 1.0))))
