"""The loop of the consumer: poll, sort, write, commit; nothing is committed that is not written."""

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from lemo.consumer.aggregation import Aggregation
from lemo.consumer.known import Known
from lemo.consumer.sorting import Batch, sort
from lemo.domain.errors import EngineUnavailable
from lemo.domain.scope import Scope
from lemo.stores.connect import Stores
from lemo.streams import Log, Publisher, Reader, Record
from lemo.streams.dead_letters import publish_dead_letters

log = structlog.get_logger(__name__)

MOST_RECORDS = 2_000
_FIRST_RECORDS = 100
"""Polled at first, before it is known how large messages are."""
_BATCH_BYTES = 32_000_000
_POLL_SECONDS = 1.0
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
    """

    def __init__(
        self, stores: Stores, member: str, on_items: Callable[[Scope], None], stop: threading.Event | None = None
    ) -> None:
        self._settings = stores.settings
        self._stores = stores
        self._member = member
        self._on_items = on_items
        self._stop = stop or threading.Event()
        self._aggregation = Aggregation(stores.aggregates, member)
        self._item_topics = frozenset(self._settings.kafka_item_ingest_topics)
        self._limit = _FIRST_RECORDS
        self._done = {"items": 0, "events": 0, "dead_letters": 0}
        self._told = time.monotonic()

    def run(self) -> None:
        """Runs until `stop` is set; what is not committed then is delivered again to whoever comes next."""
        ingest: Log = self._stores.log
        topics = [*self._settings.kafka_item_ingest_topics, self._settings.kafka_event_topic]
        known = Known(self._stores.tenants, self._stores.scenarios)
        publisher = ingest.publisher()
        reader: Reader | None = None
        try:
            self._persist("start", self._prepare)
            self._aggregation.start()
            reader = ingest.reader(topics, self._settings.kafka_group, self._member)
            engine = self._persist("start", ingest.ping)
            log.info("ready", log=engine, topics=topics, group=self._settings.kafka_group, member=self._member)
            while not self._stop.is_set():
                self._step(reader, publisher, known)
                self._aggregation.tick()
            self._aggregation.finish(_LAST_REFRESH_SECONDS)
        except _Stopped:
            log.warning("stopped while an engine was away; the unfinished batch will be delivered again")
        finally:
            self._aggregation.stop()
            if reader is not None:
                reader.close()
            publisher.close()
            self._tell()

    def _prepare(self) -> None:
        """Asks every engine for a sign of life, and makes what is missing in it."""
        self._stores.documents.ping()
        self._stores.events.migrate()
        self._stores.log.create_topics(
            [
                *self._settings.kafka_item_ingest_topics,
                self._settings.kafka_event_topic,
                self._settings.kafka_dead_letter_topic,
            ]
        )

    def _step(self, reader: Reader, publisher: Publisher, known: Known) -> None:
        records = self._persist("read the log", lambda: reader.poll(self._limit, _POLL_SECONDS))
        if records:
            batch = self._persist("read scenarios", lambda: sort(records, self._item_topics, known))
            # An engine that comes back may come back empty.
            self._persist("write", lambda: self._write(batch, publisher), before_retry=self._prepare)
            self._persist("commit", lambda: reader.commit(records))
            self._done["items"] += batch.item_count
            self._done["events"] += len(batch.events)
            self._done["dead_letters"] += len(batch.dead)
            self._limit = _next_limit(records)
        if time.monotonic() - self._told > _TELL_EVERY:
            self._tell()

    def _write(self, batch: Batch, publisher: Publisher) -> None:
        stores = self._stores
        for scope, by_id in batch.items.items():
            items = [item for item, _ in by_id.values()]
            arrived = [moment for _, moment in by_id.values()]
            accepted = stores.items.upsert(scope, items, arrived)
            written = [pair for item_id, pair in by_id.items() if item_id in accepted]
            stores.fresh.add(scope, [item for item, _ in written], [moment for _, moment in written])
            stores.embedding_queue.add(scope, [item.item_id for item, _ in written])
        self._aggregation.before(batch.hours())
        stores.events.insert(batch.events)
        stores.history.add(batch.remembered)
        publish_dead_letters(publisher, self._settings.kafka_dead_letter_topic, batch.dead)
        for scope in batch.items:
            self._on_items(scope)

    def _persist(
        self, doing: str, call: Callable[[], Answer], before_retry: Callable[[], None] = lambda: None
    ) -> Answer:
        """Calls until the engines answer, waiting longer each time; raises _Stopped when told to stop meanwhile."""
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
                if self._stop.wait(seconds):
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


def _next_limit(records: list[Record]) -> int:
    """How many records to ask for, so that a batch of large messages still fits into memory."""
    mean = sum(len(record.value) for record in records) / len(records)
    return max(10, min(MOST_RECORDS, int(_BATCH_BYTES / max(mean, 1.0))))
