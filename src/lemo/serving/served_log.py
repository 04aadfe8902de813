"""The log of what was served: answers wait in memory, and a thread publishes them. No request waits for it."""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal, get_args

import msgspec
import structlog

from lemo.domain.errors import EngineUnavailable, InvalidInput
from lemo.domain.scope import Scope
from lemo.streams import Publisher
from lemo.streams.served_messages import Kind, RawAnswer, SentAnswer, ServedAnswer, served_messages

log = structlog.get_logger(__name__)

EVERY_SECONDS = 1.0
"""Between two looks of the thread: what a process that is killed loses."""
MOST_ANSWERS = 20_000
MOST_BYTES = 64_000_000
"""Answers that wait at most; beyond either, the oldest are dropped."""
STOP_SECONDS = 3.0
"""Longest time that the end of the process waits for the last answers."""
LONGEST_RAW = 20_000
"""Bytes of an answer that is logged as it was sent. Of a longer one, only what is kept is."""
_BATCH = 2_000
_RETRY_SECONDS = 1.0

Loss = Literal["full", "unreadable", "refused", "stopped"]
LOSSES: tuple[Loss, ...] = get_args(Loss)
"""Why answers were dropped: the buffer was full; the request or the answer cannot be read; the log refused them; the
process ended while the log was away."""


class Served(msgspec.Struct, gc=False):
    """An answer as it was sent, and what it was asked for."""

    scope: Scope
    kind: Kind
    started: int
    """When the request came, by the clock of `time.perf_counter_ns`."""
    body: bytes
    user_id: str = ""
    session_id: str = ""
    session: list[str] = []
    of_items: list[str] = []
    placement: str | None = None
    pipeline_version: int | None = None
    at_ms: int = 0
    """When it was answered, in Unix milliseconds: set by the log, as are `took_us` and `share`."""
    took_us: int = 0
    share: float = 1.0
    """The share of the answers of its moment that was kept."""


class _UserAnswer(SentAnswer):
    user_id: str = ""


class _BatchAnswer(msgspec.Struct):
    answers: list[_UserAnswer]


_encode = msgspec.json.Encoder().encode
_read_answer = msgspec.json.Decoder(SentAnswer).decode
_read_batch = msgspec.json.Decoder(_BatchAnswer).decode


class ServedLog:
    """The answers of this process on their way into the log. `add` never waits, and is safe for threads.

    While the log is away, answers wait, and beyond the limits the oldest are dropped and counted. Some of the last
    answers may be published twice then; the consumer counts each once.
    """

    def __init__(self, publisher: Callable[[], Publisher], topic: str, share: float, per_second: int = 0) -> None:
        """`publisher` opens the log; `share` of the answers are kept, and about `per_second` at most (0: no limit).

        Taking an answer in costs the consumer and ClickHouse more than giving it costs the API. So under a load that
        one machine can only just answer, a smaller share is kept, by chance, and told with each.
        """
        self.share = share
        self._per_second = per_second
        self._kept_share = share
        """The share that is kept now."""
        self._came = 0
        """Answers since `_looked_at`."""
        self._looked_at = time.monotonic()
        self.published = 0
        """Answers that the log took."""
        self.dropped: dict[Loss, int] = dict.fromkeys(LOSSES, 0)
        """Answers that are lost, by reason."""
        self._open = publisher
        self._publisher: Publisher | None = None
        self._topic = topic
        self._lock = threading.Lock()
        self._waiting: deque[Served] = deque()
        self._pending: list[tuple[Scope, float, bytes]] = []
        """Taken from `_waiting` by the thread, in JSON, and not published yet."""
        self._in_hand = 0
        """How many were taken; a batch counts once here."""
        self._bytes = 0
        self._away = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="served-log", daemon=True)
        if share > 0:
            self._thread.start()

    @property
    def waiting(self) -> int:
        """Answers that are not published yet."""
        with self._lock:
            return len(self._waiting) + self._in_hand

    def add(self, served: Served) -> None:
        """Takes an answer, by chance where a share of them is kept."""
        self._came += 1  # several threads may lose one: it is an estimate
        share = self._kept_share
        if share < 1 and random.random() >= share:
            return
        served.share = share
        served.at_ms = time.time_ns() // 1_000_000
        served.took_us = (time.perf_counter_ns() - served.started) // 1_000
        with self._lock:
            self._waiting.append(served)
            self._bytes += len(served.body)
            while self._bytes > MOST_BYTES or len(self._waiting) > MOST_ANSWERS:
                self._bytes -= len(self._waiting.popleft().body)
                self.dropped["full"] += 1

    def drop(self, loss: Loss, count: int = 1) -> None:
        """Counts answers that cannot be logged."""
        with self._lock:
            self.dropped[loss] += count

    def close(self) -> None:
        """Publishes what waits, within `STOP_SECONDS`; what cannot be is dropped, counted and told."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)
        if lost := self.waiting:
            self.drop("stopped", lost)
            log.warning("the log of what was served did not take the last answers", lost=lost)

    def _run(self) -> None:
        while not self._stopped.wait(_RETRY_SECONDS if self._away else EVERY_SECONDS):
            self._adapt()
            self._publish_all()
        self._publish_all()
        if self._publisher is not None:
            self._publisher.close()

    def _adapt(self) -> None:
        """Sets the share of the next moment by the answers of the last one."""
        now = time.monotonic()
        rate = self._came / max(now - self._looked_at, 1e-3)
        self._came, self._looked_at = 0, now
        most = self._per_second / rate if self._per_second and rate > self._per_second else 1.0
        self._kept_share = min(self.share, most)

    def _publish_all(self) -> None:
        while self._pending or self._take():
            try:
                self._publish()
            except EngineUnavailable as error:
                if not self._away:
                    log.warning("the log of what was served is away; answers wait", error=error.message)
                self._away = True
                return
            except InvalidInput as error:  # a limit of the topic that is below what the messages need
                log.error("the log refused answers", error=str(error), lost=self._in_hand)
                self.drop("refused", self._in_hand)
                self._pending = []
            if self._away:
                log.info("the log of what was served is back", dropped=self.dropped["full"])
            self._away = False
            with self._lock:
                self.published += len(self._pending)
                self._pending = []
                self._in_hand = 0

    def _take(self) -> bool:
        """Moves waiting answers to the pending ones; returns whether there are any."""
        with self._lock:
            taken = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            self._bytes -= sum(len(served.body) for served in taken)
            self._in_hand = len(taken)
        pending: list[tuple[Scope, float, bytes]] = []
        for served in taken:
            try:
                pending += [(served.scope, served.share, part) for part in _encoded(served)]
            except (msgspec.DecodeError, UnicodeEncodeError) as error:
                log.error("an answer cannot be logged", kind=served.kind, scope=str(served.scope), error=str(error))
                self.drop("unreadable")
        self._pending = pending
        return bool(taken)

    def _publish(self) -> None:
        if self._publisher is None:
            self._publisher = self._open()
        groups: dict[tuple[Scope, float], list[bytes]] = {}
        for scope, share, part in self._pending:
            groups.setdefault((scope, share), []).append(part)
        messages = [
            message for (scope, share), parts in groups.items() for message in served_messages(scope, share, parts)
        ]
        self._publisher.publish(self._topic, messages)


def _encoded(served: Served) -> Iterator[bytes]:
    """The answer as a `ServedAnswer` in JSON; several for a batch."""
    if served.kind == "batch":
        for each in _read_batch(served.body).answers:
            yield _shortened(served, each, each.user_id)
    elif len(served.body) > LONGEST_RAW:
        yield _shortened(served, _read_answer(served.body), served.user_id)
    else:
        yield _encode(
            RawAnswer(
                kind=served.kind,
                at=served.at_ms,
                took_us=served.took_us,
                user_id=served.user_id,
                session_id=served.session_id,
                session=served.session,
                of_items=served.of_items,
                placement=served.placement,
                pipeline_version=served.pipeline_version,
                answer=msgspec.Raw(served.body),
            )
        )


def _shortened(served: Served, answer: SentAnswer, user_id: str) -> bytes:
    return _encode(
        ServedAnswer(
            kind=served.kind,
            at=served.at_ms,
            took_us=served.took_us,
            user_id=user_id,
            session_id=served.session_id,
            session=served.session,
            of_items=served.of_items,
            placement=served.placement,
            pipeline_version=served.pipeline_version,
            answer=answer,
        )
    )
