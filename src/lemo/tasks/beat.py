"""Beat: RedBeat's scheduler with a leader that may change, and that outlives whatever happens to Redis.

RedBeat's own takes its lock once, at the start, and ends when it cannot renew it. This one takes or renews it in every
round, and stands by as long as another beat has it or Redis is away.
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
from lemo.stores.redis.beats import Beat, Beats
from lemo.stores.redis.client import Keys
from lemo.tasks.celery_app import settings
from lemo.tasks.due_entries import DueEntries, DueEntry
from lemo.tasks.leadership import Leadership
from lemo.tasks.sync import EntrySync

log = structlog.get_logger()

RETRY_SECONDS = 1.0
"""Between two tries while Redis is away; shorter than the loop interval, so that little is late when it is back."""
_REPORT_EVERY = 60.0
_PATIENCE = 5.0
"""Seconds that a new leader gives the documents to say what holds before it starts anything."""
_FEW_TRIES = {"max_retries": 1, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 0.5}
_AWAY = (RedisError, OperationalError, EngineUnavailable, OSError)


class LemoScheduler(RedBeatScheduler):  # type: ignore[misc]
    """Starts what is due while it leads.

    An entry is sent with its due time (where its kwargs have `due`) and then moved on, so that a beat that dies in
    between loses no run: the next leader sends it again with the same due time and the same task id, and the fan-out
    makes the same runs of both. Runs missed while no beat led are caught up once, whatever their number.
    """

    def __init__(self, app: Celery, **options: Any) -> None:
        super().__init__(app, **options)
        key, seconds = str(ensure_conf(app).lock_key), float(self.lock_timeout)
        # What RedBeat's own hook on `beat_init` looks at: without a key it takes no lock, and does not wait for one.
        self.lock_key: str | None = None
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.leadership = Leadership(get_redis(app), key, self.name, seconds)
        self.beats = Beats(get_redis(app), Keys(settings.installation))
        self.timers = DueEntries(app, key, self._broken)
        self.follower = EntrySync(app, self._not_written)
        self._fired = 0
        self._was: tuple[str, datetime] | None = None
        self._told = 0.0
        self._reports: dict[str, float] = {}

    def setup_schedule(self) -> None:
        """Nothing: Redis may be away now. The entries follow the documents as soon as this beat leads."""

    def now(self) -> datetime:
        """The time that decides what is due."""
        return datetime.now(UTC)

    def tick(self, *_: object, **__: object) -> float:
        """One round: take or keep the lead, start what is due; returns the seconds until the next. Never raises."""
        try:
            leading = self.leadership.lead()
            self._tell(leading)
            if not leading:
                return float(self.max_interval)
            return self._start_due()
        except _AWAY as error:
            self._report("redis", "redis does not answer; trying on", error=str(error)[:200])
            return min(RETRY_SECONDS, float(self.max_interval))

    def _start_due(self) -> float:
        """Starts what is due; returns the seconds until the next entry is, at most the loop interval."""
        now = self.now()
        timers = self.timers.until(now, self.max_interval)
        renewed = time.monotonic()
        for timer in timers:
            if timer.due is None:
                continue
            if timer.due > now:
                return float(max(0, min((timer.due - self.now()).total_seconds(), self.max_interval)))
            if time.monotonic() - renewed > self.lock_timeout / 4:
                self.leadership.lead()
                renewed = time.monotonic()
            # Asked here and not only above: this process may have been stopped for longer than its lock lives.
            if not self.leadership.held:
                log.warning("leadership ran out in the middle of a round", name=self.name)
                return 0.0
            if self._start(timer, timer.due) == "lost":
                self.leadership.lose()
        return float(self.max_interval)

    def _start(self, timer: DueEntry, due: datetime) -> str:
        """Sends the entry, then notes that it ran; returns what `DueEntries.advance` said."""
        entry = timer.entry
        if "due" in entry.kwargs:
            entry.kwargs = {**entry.kwargs, "due": due.isoformat()}
        same = str(uuid5(NAMESPACE_URL, f"lemo:{entry.name}:{due.isoformat()}"))
        entry.options = {"task_id": same, "retry_policy": _FEW_TRIES, **entry.options}
        try:
            self.apply_async(entry, producer=self.producer, advance=False)
        except SchedulingError as error:
            if isinstance(error.__context__, _AWAY):
                raise error.__context__ from None
            self._broken(entry.name, f"it cannot be sent ({str(error.__context__)[:200]})")
            return "unsent"
        # By the clock of another machine the due time may lie ahead; the entry must not be due again.
        said = self.timers.advance(timer, max(self.now(), due), self.leadership.token)
        if said == "done":
            self._fired += 1
            log.info("started", entry=entry.name, due=due.isoformat(), late=(self.now() - due).total_seconds())
        else:
            log.warning("started, but not noted as run", entry=entry.name, due=due.isoformat(), why=said)
        return said

    def _tell(self, leading: bool) -> None:
        """Says who leads, in the log when that changes, and in Redis for the doctor."""
        state = (self.leadership.leader, self.leadership.since)
        if state != self._was:
            self._was, self._fired, self._told = state, 0, 0.0
            if leading:
                log.info("this beat leads", name=self.name)
                # Whatever the broker forgot, queues are declared anew.
                self._drop_producer()
                self.follower.follow(_PATIENCE)
            else:
                self.follower.rest()
                log.info("standing by", name=self.name, leader=self.leadership.leader)
        if time.monotonic() - self._told >= min(1.0, self.max_interval):
            self._told = time.monotonic()
            self._tell_redis("leading" if leading else "standby")

    def _tell_redis(self, state: str) -> None:
        since, seen = self.leadership.since, datetime.now(UTC)
        self.beats.tell(
            Beat.model_validate({"name": self.name, "state": state, "since": since, "seen": seen, "fired": self._fired})
        )

    def _not_written(self, why: str) -> None:
        self._report("documents", "the schedule could not be written", error=why)

    def _broken(self, name: str, why: str) -> None:
        self._report(
            f"entry {name}",
            "an entry is skipped",
            entry=name,
            why=why,
            hint="write it again (`lemo schedule list` shows ours), or delete its key and its line in the timetable",
        )

    def _report(self, about: str, message: str, **fields: object) -> None:
        """A warning, once a minute for each subject."""
        last = self._reports.get(about)
        if last is None or time.monotonic() - last >= _REPORT_EVERY:
            self._reports[about] = time.monotonic()
            log.warning(message, **fields)

    @cached_property
    def connection(self) -> Connection:
        """To the broker, with few tries: Celery's would wait for a lost broker for ever, and the lock run out."""
        connection: Connection = self.app.connection_for_write(transport_options=_FEW_TRIES)
        return connection

    @cached_property
    def producer(self) -> Producer:
        """Connects when it first sends."""
        producer: Producer = self.Producer(self.connection, auto_declare=False)
        return producer

    def _drop_producer(self) -> None:
        self.__dict__.pop("producer", None)
        connection = self.__dict__.pop("connection", None)
        if connection is not None:
            connection.release()

    def close(self) -> None:
        """Gives the lead to whoever waits for it; called twice when a signal ends this process."""
        self.follower.stop()
        try:
            self.leadership.release()
            self._tell_redis("stopped")
        except _AWAY as error:
            log.info("the lock runs out by itself", error=str(error)[:200])
        super().close()

    @property
    def info(self) -> str:
        """For Celery's banner."""
        return f"       . lead -> one beat, lock of {self.lock_timeout:g} s"
