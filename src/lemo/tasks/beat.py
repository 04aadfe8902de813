"""Beat: RedBeat's scheduler with a leader that can change, which survives failures of Redis.

RedBeat's own scheduler takes its lock once, at the start, and ends when it cannot renew it. This one takes or renews
the lock in every round. It stands by while another beat holds the lock or Redis is unavailable.
"""

import os
import socket
import time
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import structlog
from celery import Celery
from celery.beat import SchedulingError
from kombu import Connection, Producer
from kombu.exceptions import OperationalError
from kombu.utils.objects import cached_property
from redbeat import RedBeatScheduler
from redbeat.schedulers import ensure_conf, get_redis
from redis.exceptions import RedisError

from lemo.domain.errors import EngineUnavailable
from lemo.scheduling.due_entries import DueEntries, DueEntry
from lemo.scheduling.leadership import Leadership
from lemo.scheduling.rounds import note_round
from lemo.scheduling.sync import EntrySync
from lemo.scheduling.traced import sent
from lemo.stores.redis.beats import Beat, Beats
from lemo.stores.redis.client import Keys
from lemo.tasks.celery_app import settings

log = structlog.get_logger()

RETRY_SECONDS = 1.0
"""Pause between two rounds while Redis is unavailable; shorter than the loop interval, to resume with little delay."""
_WARN_SECONDS = 60.0
_SYNC_SECONDS = 5.0
"""Longest time that a new leader waits for the entries to be written from the documents before it sends any."""
_SHORT_RETRY = {"max_retries": 1, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 0.5}
_UNAVAILABLE = (RedisError, OperationalError, EngineUnavailable, OSError)


class LemoScheduler(RedBeatScheduler):  # type: ignore[misc]
    """Sends the entries that are due while this beat leads.

    An entry is sent with its due time (where its kwargs have `due`) and then advanced. When a beat dies in between, the
    next leader sends the entry again with the same due time and task id, and the fan-out makes the same runs. Runs
    missed while no beat led are caught up once, whatever their number.
    """

    def __init__(self, app: Celery, **options: Any) -> None:
        super().__init__(app, **options)
        key, seconds = str(ensure_conf(app).lock_key), float(self.lock_timeout)
        # RedBeat's hook on `beat_init` takes no lock without a key, and does not wait for one.
        self.lock_key: str | None = None
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.leadership = Leadership(get_redis(app), key, self.name, seconds)
        self.beats = Beats(get_redis(app), Keys(settings.installation))
        self.due_entries = DueEntries(app, key, self._warn_broken)
        self.entry_sync = EntrySync(app, self._warn_not_written)
        self._sent = 0
        self._last_state: tuple[str, datetime] | None = None
        self._reported_at = 0.0
        self._warned_at: dict[str, float] = {}
        self._closed = False

    def setup_schedule(self) -> None:
        """Does nothing: Redis may be unavailable now. The entries are written when this beat begins to lead."""

    def now(self) -> datetime:
        """The time that decides what is due."""
        return datetime.now(UTC)

    def tick(self, *_: object, **__: object) -> float:
        """One round: takes or renews the lead and sends what is due. Returns the seconds until the next round."""
        if self._closed:
            # Celery ends this process by an exception in its signal handler. Destructors swallow it.
            raise SystemExit
        note_round(settings)
        try:
            leading = self.leadership.lead()
            self._report_state(leading)
            if not leading:
                return float(self.max_interval)
            return self._send_due()
        except _UNAVAILABLE as error:
            self._warn("redis", "redis does not answer; trying again", error=str(error)[:200])
            return min(RETRY_SECONDS, float(self.max_interval))

    def _send_due(self) -> float:
        """Sends what is due. Returns the seconds until the next entry is due, at most the loop interval."""
        now = self.now()
        due_entries = self.due_entries.until(now, self.max_interval)
        renewed = time.monotonic()
        for due_entry in due_entries:
            if due_entry.due is None:
                continue
            if due_entry.due > now:
                return float(max(0, min((due_entry.due - self.now()).total_seconds(), self.max_interval)))
            if time.monotonic() - renewed > self.lock_timeout / 4:
                self.leadership.lead()
                note_round(settings)
                renewed = time.monotonic()
            # This process may have been stopped since the round began, for longer than the lock lives.
            if not self.leadership.held:
                log.warning("leadership ran out in the middle of a round", name=self.name)
                return 0.0
            if self._send(due_entry, due_entry.due) == "lost":
                self.leadership.lose()
        return float(self.max_interval)

    def _send(self, due_entry: DueEntry, due: datetime) -> str:
        """Sends the entry, then advances it. Returns the result of `DueEntries.advance`."""
        entry = due_entry.entry
        if "due" in entry.kwargs:
            entry.kwargs = {**entry.kwargs, "due": due.isoformat()}
        task_id = str(uuid5(NAMESPACE_URL, f"lemo:{entry.name}:{due.isoformat()}"))
        # Nobody waits for the result, and Celery would keep a subscription to it, which an outage of Redis blocks.
        entry.options = {"task_id": task_id, "retry_policy": _SHORT_RETRY, "ignore_result": True, **entry.options}
        try:
            with sent(entry.task):
                self.apply_async(entry, producer=self.producer, advance=False)
        except SchedulingError as error:
            if isinstance(error.__context__, _UNAVAILABLE):
                raise error.__context__ from None
            self._warn_broken(entry.name, f"it cannot be sent ({str(error.__context__)[:200]})")
            return "unsent"
        # A clock that was set back may show a time before the due time. The entry must not be due again.
        result = self.due_entries.advance(due_entry, max(self.now(), due), self.leadership.token)
        if result == "done":
            self._sent += 1
            log.info("started", entry=entry.name, due=due.isoformat(), late=(self.now() - due).total_seconds())
        else:
            log.warning("started, but not noted as run", entry=entry.name, due=due.isoformat(), why=result)
        return result

    def _report_state(self, leading: bool) -> None:
        """Logs a change of the leader, and writes this beat's state to Redis for the doctor."""
        state = (self.leadership.leader, self.leadership.since)
        if state != self._last_state:
            self._last_state, self._sent, self._reported_at = state, 0, 0.0
            if leading:
                log.info("this beat leads", name=self.name)
                # A new producer declares the queues again, which the broker may have lost.
                self._drop_producer()
                self.entry_sync.resume(_SYNC_SECONDS)
            else:
                self.entry_sync.pause()
                log.info("standing by", name=self.name, leader=self.leadership.leader)
        if time.monotonic() - self._reported_at >= min(1.0, self.max_interval):
            self._reported_at = time.monotonic()
            self._write_state("leading" if leading else "standby")

    def _write_state(self, state: str) -> None:
        since, seen = self.leadership.since, datetime.now(UTC)
        self.beats.tell(
            Beat.model_validate({"name": self.name, "state": state, "since": since, "seen": seen, "fired": self._sent})
        )

    def _warn_not_written(self, why: str) -> None:
        self._warn("documents", "the schedule could not be written", error=why)

    def _warn_broken(self, name: str, why: str) -> None:
        self._warn(
            f"entry {name}",
            "an entry is skipped",
            entry=name,
            why=why,
            hint="write it again (`lemo schedule list` shows ours), or delete its key and its line in the schedule set",
        )

    def _warn(self, about: str, message: str, **fields: object) -> None:
        """Logs a warning, at most once a minute for each subject."""
        last = self._warned_at.get(about)
        if last is None or time.monotonic() - last >= _WARN_SECONDS:
            self._warned_at[about] = time.monotonic()
            log.warning(message, **fields)

    @cached_property
    def connection(self) -> Connection:
        """The broker connection, with few retries: Celery's would retry for ever while the lock expires."""
        connection: Connection = self.app.connection_for_write(transport_options=_SHORT_RETRY)
        return connection

    @cached_property
    def producer(self) -> Producer:
        """The producer, which connects when it first sends."""
        producer: Producer = self.Producer(self.connection, auto_declare=False)
        return producer

    def _drop_producer(self) -> None:
        self.__dict__.pop("producer", None)
        connection = self.__dict__.pop("connection", None)
        if connection is not None:
            connection.release()

    def close(self) -> None:
        """Releases the lead to another beat. Celery calls it twice when a signal ends this process."""
        self._closed = True
        self.entry_sync.stop()
        try:
            self.leadership.release()
            self._write_state("stopped")
        except _UNAVAILABLE as error:
            log.info("the lock was not released and will expire", error=str(error)[:200])
        super().close()

    @property
    def info(self) -> str:
        """For Celery's banner."""
        return f"       . lead -> one beat, lock of {self.lock_timeout:g} s"
