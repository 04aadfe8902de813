"""The loop of the consumer: poll, sort, write, commit; nothing is committed that is not written."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from contextlib import suppress
from typing import TypeVar

import structlog

from lemo.domain.errors import EngineUnavailable
from lemo.domain.scope import Scope
from lemo.ingest.aggregation import Aggregation
from lemo.ingest.metrics import ConsumerMetrics
from lemo.ingest.scenario_cache import ScenarioCache
from lemo.ingest.sorting import Batch, sort
from lemo.ingest.writing import Writing
from lemo.stores.connect import Stores
from lemo.streams import Log, Reader, Record, nothing
from lemo.streams.dead_letters import publish_dead_letters
from lemo.streams.topics import Topics
from lemo.threads import run_in_thread

log = structlog.get_logger(__name__)

MOST_RECORDS = 20_000
_FIRST_RECORDS = 100
"""Polled at first, before it is known how large messages are."""
_BATCH_BYTES = 16_000_000
"""Of one batch; two are in memory at a time, one being written and one being read."""
_POLL_SECONDS = 1.0
_POLL_WHILE_WRITING = 0.05
_HOLD_EVERY = 0.5
_LEAVING_SECONDS = 20.0
"""How long what is under way may take when partitions are handed over or the service stops."""
_LONGEST_WAIT = 10.0
_TELL_EVERY = 10.0
_LAST_REFRESH_SECONDS = 5.0

Answer = TypeVar("Answer")


class _Stopped(Exception):
    """The service was told to stop while it waited for an engine."""


class Consumer:
    """Takes in items and events until `stop` is set.

    Every write may be repeated without effect, so a batch whose write failed half-way, or that is delivered again after
    a crash, leads to the same state. `on_items` is called for each scope of which items were written.

    While one batch is written, the next one is read and sorted. A store that is away holds up both: then the reader
    holds, which keeps its place in the group, until the store is back.
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
        self._known = ScenarioCache(stores.tenants, stores.scenarios)
        self._publisher = stores.log.publisher()
        self._reader: Reader | None = None
        self._writing: Writing | None = None
        self._uncommitted: list[Writing] = []
        """Written, oldest first; committed together, because offsets would go back if one came after a newer one."""
        self._limit = _FIRST_RECORDS
        self._done = {"items": 0, "events": 0, "dead_letters": 0, "ids_with_other_contents": 0}
        self._told = time.monotonic()

    def run(self) -> None:
        """Runs until `stop` is set; what is not committed then is delivered again to whoever comes next."""
        ingest: Log = self._stores.log
        topics, tenants = self._topics.fixed, self._topics.tenant_prefix
        try:
            self._persist("start", self._prepare)
            self._aggregation.start()
            self._reader = ingest.reader(
                topics, self._settings.kafka_group, self._member, self._finish_in_time, prefix=tenants
            )
            engine = self._persist("start", ingest.ping)
            shown = [*topics, f"{tenants}*"]
            log.info("ready", log=engine, topics=shown, group=self._settings.kafka_group, member=self._member)
            while not self._stop.is_set():
                self._step(self._reader)
            self._finish_in_time()
            if self._writing is None:
                self._aggregation.finish(_LAST_REFRESH_SECONDS)
        except _Stopped:
            log.warning("stopped while an engine was away; the unfinished batch will be delivered again")
        finally:
            self._aggregation.stop()
            self._writing, self._uncommitted = None, []  # what is not committed by now will not be
            if self._reader is not None:
                self._reader.close()
            self._publisher.close()
            self._tell()

    def _prepare(self) -> None:
        """Asks every engine for a sign of life, and makes what is missing in it."""
        self._stores.documents.ping()
        self._stores.events.migrate()
        self._stores.log.create_topics([*self._topics.fixed, *self._topics.written])

    def _step(self, reader: Reader) -> None:
        seconds = _POLL_WHILE_WRITING if self._writing else _POLL_SECONDS
        records = self._persist("read the log", lambda: self._poll(reader, seconds))
        if records:
            batch = self._persist("read scenarios", lambda: self._sort(records))
            self._await_written()
            self._writing = Writing(records, batch, self._write_until_done)
            self._limit = _next_limit(records)
            self._persist("commit", self._commit)
        elif self._writing and self._writing.wait(0):
            self._finish()
        elif self._writing is None:
            self._aggregation.tick()
        if time.monotonic() - self._told > _TELL_EVERY:
            self._tell()

    def _poll(self, reader: Reader, seconds: float) -> Sequence[Record]:
        started = time.perf_counter()
        records = reader.poll(self._limit, seconds)
        self.metrics.polled(records, time.perf_counter() - started)
        return records

    def _sort(self, records: Sequence[Record]) -> Batch:
        with self.metrics.stage("sort", records):
            return sort(records, self._topics, self._known)

    def _finish(self) -> None:
        """Waits until the batch under way is written, and commits it."""
        self._await_written()
        self._persist("commit", self._commit)

    def _await_written(self) -> None:
        """Waits for the batch under way, however long the stores take to write it."""
        while (writing := self._writing) and not writing.wait(_HOLD_EVERY):
            self._hold()
        self._no_longer_writing()

    def _no_longer_writing(self) -> None:
        if self._writing:
            self._uncommitted.append(self._writing)
            self._writing = None

    def _finish_in_time(self) -> None:
        """The same before partitions go to another member: in the middle of a poll, and not for ever."""
        if self._writing and not self._writing.wait(_LEAVING_SECONDS):
            log.warning("the batch under way is not written yet; whoever reads its partitions next does it again")
        else:
            self._no_longer_writing()
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
                self._done["dead_letters"] += len(written.batch.dead)
                self._done["ids_with_other_contents"] += written.batch.repeats.other
            self._uncommitted = []

    def _hold(self) -> None:
        # A log that is away too is heard of when it is read again.
        with suppress(EngineUnavailable):
            if self._reader:
                self._reader.hold()

    def _hold_for(self, seconds: float) -> bool:
        """Waits for the time, or until told to stop, and says which."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._hold()
            if self._stop.wait(min(left, _HOLD_EVERY)):
                return True
        return self._stop.is_set()

    def _write_until_done(self, batch: Batch) -> None:
        # An engine that comes back may come back empty.
        self._persist("write", lambda: self._write(batch), before_retry=self._prepare, wait=self._stop.wait)

    def _write(self, batch: Batch) -> None:
        stores = self._stores
        stage = self.metrics.stage
        accepted: dict[Scope, set[str]] = {}
        with stage("items", batch.items):
            for scope, by_id in batch.items.items():
                items = [item for item, _ in by_id.values()]
                arrived = [moment for _, moment in by_id.values()]
                accepted[scope] = stores.items.upsert(scope, items, arrived)
                written = [pair for item_id, pair in by_id.items() if item_id in accepted[scope]]
                stores.availability.add(scope, [item for item, _ in written], [moment for _, moment in written])
                stores.embedding_queue.add(scope, [item.item_id for item, _ in written])
        self._aggregation.before(batch.hours())
        # Two engines work at once, each on what does not concern the other.
        remembering = run_in_thread(lambda: self._remember(batch), "history")
        try:
            with stage("events", batch.events):
                stores.events.insert(batch.events)
        finally:
            wait([remembering])
        remembering.result()
        self._aggregation.tick()
        with stage("dead-letters", batch.dead):
            publish_dead_letters(self._publisher, self._settings.kafka_dead_letter_topic, batch.dead)
        if topic := self._settings.kafka_item_results_topic:
            results = batch.results(accepted)
            with stage("results", results):
                self._publisher.publish(topic, results)
        for scope in batch.items:
            self._on_items(scope)

    def _remember(self, batch: Batch) -> None:
        with self.metrics.stage("history", batch.in_history):
            self._stores.history.add(batch.in_history)
            self._stores.seen.add(batch.barring)

    def _persist(
        self,
        doing: str,
        call: Callable[[], Answer],
        before_retry: Callable[[], None] = nothing,
        wait: Callable[[float], bool] | None = None,
    ) -> Answer:
        """Calls until the engines answer, waiting longer each time; raises _Stopped when told to stop meanwhile.

        `wait` waits for so many seconds and says whether it was told to stop; without it, the reader holds meanwhile.
        """
        attempt = 0
        while True:
            try:
                if attempt:
                    before_retry()
                answer = call()
            except EngineUnavailable as error:
                # Jitter, so that many consumers do not come back in the same moment.
                seconds = random.uniform(0.5, 1.0) * min(_LONGEST_WAIT, 0.5 * 2**attempt)
                attempt = min(attempt + 1, 10)
                log.warning("an engine is away, trying again", doing=doing, error=str(error), seconds=round(seconds, 1))
                if (wait or self._hold_for)(seconds):
                    raise _Stopped from error
            else:
                if attempt:
                    log.info("the engines are back", doing=doing)
                return answer

    def _tell(self) -> None:
        if any(self._done.values()):
            log.info("taken in", **self._done, seconds=round(time.monotonic() - self._told, 1))
        self._done = dict.fromkeys(self._done, 0)
        self._told = time.monotonic()


def _next_limit(records: Sequence[Record]) -> int:
    """How many records to ask for, so that a batch of large messages still fits into memory."""
    sample = records[::10]
    mean = sum(len(record.value) for record in sample) / len(sample)
    return max(10, min(MOST_RECORDS, int(_BATCH_BYTES / max(mean, 1.0))))
