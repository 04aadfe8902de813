"""The ingest log on Kafka."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import structlog
from confluent_kafka import (
    OFFSET_INVALID,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka import Message as KafkaMessage
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.errors import EngineUnavailable, InvalidInput, LemoError
from lemo.streams import Message, Record, nothing

_log = structlog.get_logger(__name__)

PARTITIONS = 4
"""Partitions of topics that Lemo makes: how many consumers can share one."""
LARGE_MESSAGE_BYTES = 8_000_000
"""Largest message of a topic of dead letters: any message of other topics, with headers."""
LONGEST_ANSWER, LONGEST_DELIVERY = 10.0, 20.0
"""Seconds that the brokers may take for a question, and to take messages."""
_PAUSE = 0.1
_LEADERLESS = (KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION)
_REBALANCING = (
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError._STATE,
    KafkaError._MAX_POLL_EXCEEDED,
)

_NOTICE_MS = 5_000
"""How often a reader by prefix looks for new topics."""

GroupProtocol = Literal["classic", "consumer"]
Config = Mapping[str, Any]

# Only what moves is revoked, and the others go on. A member that was killed holds its partitions for the session's
# time-out; with the protocol of KIP-848 that is the brokers' to say (group.consumer.session.timeout.ms, 45 s).
_MEMBERSHIP: Mapping[GroupProtocol, Config] = {
    "classic": {"partition.assignment.strategy": "cooperative-sticky", "session.timeout.ms": 10_000},
    "consumer": {"group.protocol": "consumer"},
}


class KafkaLog:
    """The log on a Kafka cluster. `config` holds librdkafka's properties: servers and security.

    Topics in `kept_days` are made so that they keep messages for these days, and take large ones. `group_protocol` is
    how readers join their group: "classic", or "consumer" (KIP-848).
    """

    def __init__(
        self,
        config: Config,
        kept_days: Mapping[str, int] | None = None,
        group_protocol: GroupProtocol = "classic",
        deadlines: Deadlines = FOR_JOBS,
    ) -> None:
        self._seconds = min(deadlines.answer, LONGEST_ANSWER)
        self._delivery_seconds = min(deadlines.answer, LONGEST_DELIVERY)
        quiet = _ErrorLines()
        # librdkafka writes a line to stderr for each failed connection; errors come through `error_cb` instead.
        self._config = {**config, "error_cb": quiet, "log_level": 0, "client.id": "lemo"}
        self._kept_days = dict(kept_days or {})
        self._group_protocol = group_protocol

    def publisher(self) -> "KafkaPublisher":
        """A new publisher."""
        return KafkaPublisher(self._config, self, self._delivery_seconds)

    def reader(
        self,
        topics: Sequence[str],
        group: str,
        member: str,
        before_revoke: Callable[[], None] = nothing,
        *,
        prefix: str = "",
    ) -> "KafkaReader":
        """Joins the group; unfinished records of a member come to whoever gets its partitions.

        With KIP-848 the brokers look for topics by prefix, at most every 10 s.
        """
        config = {**self._config, **_MEMBERSHIP[self._group_protocol], "client.id": member}
        # A name that begins with ^ is a regular expression. Of what names are made of, only the dot means more in it.
        pattern = [f"^{prefix.replace('.', '[.]')}.+"] if prefix else []
        return KafkaReader(config, [*topics, *pattern], group, before_revoke)

    def create_topics(self, topics: Sequence[str]) -> None:
        """Makes the missing topics with PARTITIONS partitions and the brokers' default replication.

        Retention is the brokers' default too, but for topics in `kept_days`.
        """
        admin = AdminClient(self._config)
        try:
            there = admin.list_topics(timeout=self._seconds).topics
            missing = [
                NewTopic(
                    topic,
                    num_partitions=PARTITIONS,
                    replication_factor=-1,
                    config={
                        "max.message.bytes": str(LARGE_MESSAGE_BYTES),
                        "retention.ms": str(self._kept_days[topic] * 86_400_000),
                    }
                    if topic in self._kept_days
                    else {},
                )
                for topic in dict.fromkeys(topics)
                if topic not in there
            ]
            made = admin.create_topics(missing, operation_timeout=self._seconds) if missing else {}
            for future in made.values():
                try:
                    future.result(self._seconds)
                except KafkaException as error:
                    if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                        raise
        except KafkaException as error:
            raise _unavailable(error) from error

    def topics(self, prefix: str) -> list[str]:
        """The topics there are whose names go on after the prefix."""
        try:
            there = AdminClient(self._config).list_topics(timeout=self._seconds).topics
        except KafkaException as error:
            raise _unavailable(error) from error
        return sorted(name for name in there if name.startswith(prefix) and name != prefix)

    def lag(self, topics: Sequence[str], group: str) -> dict[str, int]:
        """Records past the group's committed offsets."""
        consumer = self._bystander(group)
        try:
            lags = dict.fromkeys(topics, 0)
            partitions = [place for topic in topics for place in _partitions(consumer, topic, self._seconds)]
            for place in consumer.committed(partitions, timeout=self._seconds) if partitions else []:
                low, high = _ends(consumer, place, self._seconds)
                lags[place.topic] += high - max(low, place.offset if place.offset >= 0 else low)
            return lags
        except KafkaException as error:
            raise _unavailable(error) from error
        finally:
            consumer.close()

    def oldest(self, topics: Sequence[str], group: str) -> dict[str, int]:
        """Unix ms of each topic's first record past the group's committed offsets, which has to be read for it."""
        # The brokers hand over one batch of each partition at least, and no more is wanted.
        consumer = self._bystander(group, {"max.partition.fetch.bytes": 1_000, "queued.min.messages": 1})
        try:
            partitions = [place for topic in topics for place in _partitions(consumer, topic, self._seconds)]
            ends: dict[tuple[str, int], int] = {}
            start: list[TopicPartition] = []
            for place in consumer.committed(partitions, timeout=self._seconds) if partitions else []:
                low, high = _ends(consumer, place, self._seconds)
                first = max(low, place.offset if place.offset >= 0 else low)
                if first < high:
                    ends[place.topic, place.partition] = high
                    start.append(TopicPartition(place.topic, place.partition, first))
            consumer.assign(start)
            oldest: dict[str, int] = {}
            deadline = time.monotonic() + self._seconds
            while ends and time.monotonic() < deadline:
                for message in consumer.consume(len(ends), 0.2):
                    record = _KafkaRecord(message)
                    if message.error() is None and ends.pop((record.topic, record.partition), None) is not None:
                        oldest[record.topic] = min(record.timestamp, oldest.get(record.topic, record.timestamp))
                        consumer.pause([TopicPartition(record.topic, record.partition)])
                # The last offsets of a partition may be transaction marks, behind which no record waits.
                for place in consumer.position(start):
                    if place.offset >= ends.get((place.topic, place.partition), place.offset + 1):
                        del ends[place.topic, place.partition]
            if ends:
                raise EngineUnavailable("Kafka did not hand over what waits in time.", "Try again.")
            return oldest
        except KafkaException as error:
            raise _unavailable(error) from error
        finally:
            consumer.close()

    def read_all(self, topic: str, limit: int) -> list[Record]:
        """The newest `limit` records, oldest of them first."""
        if limit <= 0:
            return []
        records = list(self._stored(topic, limit))
        records.sort(key=lambda record: (record.timestamp, record.partition, int(record.position)))
        return records[-limit:]

    def scan(self, topic: str) -> Iterator[Record]:
        """All records that stand in the topic now, in order within a partition."""
        return self._stored(topic, None)

    def _stored(self, topic: str, limit: int | None) -> Iterator[Record]:
        """The newest `limit` records of each partition, or all; raises EngineUnavailable."""
        consumer = self._bystander("lemo-looking-on")
        try:
            ends: dict[int, int] = {}
            start: list[TopicPartition] = []
            for place in _partitions(consumer, topic, self._seconds):
                low, high = _ends(consumer, place, self._seconds)
                if high > low:
                    ends[place.partition] = high
                    first = low if limit is None else max(low, high - limit)
                    start.append(TopicPartition(topic, place.partition, first))
            consumer.assign(start)
            deadline = time.monotonic() + self._seconds
            while ends and time.monotonic() < deadline:
                for message in consumer.consume(1_000, 0.2):
                    if message.error() is None:
                        yield _KafkaRecord(message)
                    deadline = time.monotonic() + self._seconds  # whoever asks may take its time for each
                # By position, not by message: the last offsets of a partition may be transaction marks.
                for place in consumer.position(start):
                    if place.offset >= ends.get(place.partition, 0):
                        ends.pop(place.partition, None)
            if ends:
                raise EngineUnavailable(f"Kafka did not hand over all of topic {topic!r} in time.", "Try again.")
        except KafkaException as error:
            raise _unavailable(error) from error
        finally:
            consumer.close()

    def ping(self) -> str:
        """Asks the brokers for a sign of life; returns how many there are."""
        try:
            brokers = len(AdminClient(self._config).list_topics(timeout=min(self._seconds, 5.0)).brokers)
        except KafkaException as error:
            raise _unavailable(error) from error
        return f"Kafka ({brokers} broker{'' if brokers == 1 else 's'})"

    def _bystander(self, group: str, config: Config | None = None) -> Consumer:
        """A consumer that asks and looks, but never joins its group."""
        return Consumer({**self._config, **(config or {}), "group.id": group, "enable.auto.commit": False})


class KafkaPublisher:
    """An idempotent producer that waits for all in-sync replicas. Safe to use from several threads."""

    def __init__(self, config: Config, log: KafkaLog, seconds: float) -> None:
        self._log = log
        self._topics: set[str] = set()
        self._producer = Producer(
            {
                **config,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 5,
                "message.timeout.ms": int(seconds * 1000),
                "message.max.bytes": LARGE_MESSAGE_BYTES,
                "partitioner": "murmur2_random",
            }
        )

    def publish(self, topic: str, messages: Iterable[Message]) -> int:
        """Publishes the messages, making the topic where it is missing.

        Raises EngineUnavailable when the brokers did not take them all in time, InvalidInput when one is too large.
        """
        if topic not in self._topics:
            self._log.create_topics([topic])
            self._topics.add(topic)
        delivery = _Delivery()
        for message in messages:
            self._produce(topic, message, delivery)
        while delivery.open:
            self._producer.poll(0.1)
        if delivery.error is not None:
            raise _refused(KafkaException(delivery.error))
        return delivery.sent

    def close(self) -> None:
        """Waits for what is under way."""
        self._producer.flush(LONGEST_ANSWER)

    def _produce(self, topic: str, message: Message, delivery: "_Delivery") -> None:
        headers: dict[str, str | bytes | None] = dict(message.headers)
        while delivery.error is None:
            try:
                delivery.started()
                self._producer.produce(
                    topic, message.value, message.key or None, headers=headers, on_delivery=delivery.ended
                )
                self._producer.poll(0)
                return
            except BufferError:  # the queue is full: wait until the brokers have taken some of it
                delivery.withdrawn()
                self._producer.poll(0.1)
            except KafkaException as error:
                delivery.withdrawn()
                raise _refused(error) from error


class _Delivery:
    """Counts what one call of `publish` has under way; the reports may arrive in any thread that polls."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.open = 0
        self.sent = 0
        self.error: KafkaError | None = None

    def started(self) -> None:
        with self._lock:
            self.open += 1
            self.sent += 1

    def withdrawn(self) -> None:
        with self._lock:
            self.open -= 1
            self.sent -= 1

    def ended(self, error: KafkaError | None, _message: KafkaMessage) -> None:
        with self._lock:
            self.open -= 1
            self.error = self.error or error


class KafkaReader:
    """One member of a group, which commits by hand only."""

    def __init__(self, config: Config, topics: Sequence[str], group: str, before_revoke: Callable[[], None]) -> None:
        self._config = {
            **config,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            # Between two calls of poll or hold; whoever takes longer is thrown out of the group.
            "max.poll.interval.ms": 120_000,
            "allow.auto.create.topics": False,
            "topic.metadata.refresh.interval.ms": _NOTICE_MS,
            # How long fetching rests when enough is at hand: the default of 1 s leaves a quick reader without.
            "fetch.queue.backoff.ms": 50,
        }
        self._topics = list(topics)
        self._before_revoke = before_revoke
        self._holding = False
        self._early: list[KafkaMessage] = []
        """Fetched while holding, because it was under way already."""
        self._owed: dict[tuple[str, int], int] = {}
        """Offsets to commit, of partitions that are ours."""
        self._given: dict[tuple[str, int], int] = {}
        """The offset behind the last record that was polled, by partition."""
        self._committed: dict[tuple[str, int], int] = {}
        self._consumer = self._joined()

    def poll(self, limit: int, seconds: float) -> Sequence[Record]:
        """Up to `limit` records; what came with the first is taken along, without waiting for more."""
        try:
            if not self._early:
                self._pass_marks()
            if self._owed:
                self._commit_owed()
            if self._holding:
                self._holding = False
                self._consumer.resume(self._consumer.assignment())
            first = None if self._early else self._consumer.poll(seconds)
            messages = self._early if first is None else [first, *self._consumer.consume(max(0, limit - 1), 0.01)]
            self._early = []
        except KafkaException as error:
            raise _unavailable(error) from error
        records = [_KafkaRecord(message) for message in messages if self._is_good(message)]
        self._given |= {(record.topic, record.partition): int(record.position) + 1 for record in records}
        return records

    def hold(self) -> None:
        """Pauses all partitions and lets the client do what a member must."""
        try:
            if not self._holding:
                self._holding = True
                self._consumer.pause(self._consumer.assignment())
            message = self._consumer.poll(0)
        except KafkaException as error:
            raise _unavailable(error) from error
        if message is not None:
            self._early.append(message)

    def commit(self, records: Sequence[Record]) -> None:
        """Commits the offsets after the records. Where a partition has gone to another member, it reads them again."""
        last = {(record.topic, record.partition): record for record in records}
        self._owed |= {place: int(record.position) + 1 for place, record in last.items()}
        self._commit_owed()

    def close(self) -> None:
        """Leaves the group at once."""
        self._consumer.close()

    def _commit_owed(self) -> None:
        try:
            ours = {(place.topic, place.partition) for place in self._consumer.assignment()}
            self._owed = {place: offset for place, offset in self._owed.items() if place in ours}
            if self._owed:
                offsets = [TopicPartition(*place, offset) for place, offset in self._owed.items()]
                self._consumer.commit(offsets=offsets, asynchronous=False)
                self._committed |= self._owed
            self._owed = {}
        except KafkaException as error:
            code = error.args[0].code()
            if code in _REBALANCING:
                # What stays ours is committed with the next call; what goes to another member is read again there.
                _log.info("a commit waits for the group to share its partitions anew", reason=error.args[0].name())
            elif code != KafkaError._NO_OFFSET:  # nothing new to commit
                raise _unavailable(error) from error

    def _pass_marks(self) -> None:
        """Owes the positions of partitions of which no record is at hand, where they are past what is committed.

        What lies between are marks and records of transactions that were taken back: they would count as lag for ever.
        Not to be called within a poll, when a record may be fetched that nobody has seen yet.
        """
        for reached in self._consumer.position(self._consumer.assignment()):
            place = (reached.topic, reached.partition)
            done = max(self._committed.get(place, 0), self._owed.get(place, 0))
            if reached.offset > done >= self._given.get(place, 0):
                self._owed[place] = reached.offset

    def _joined(self) -> Consumer:
        consumer = Consumer(self._config)
        consumer.subscribe(self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        return consumer

    def _is_good(self, message: KafkaMessage) -> bool:
        trouble = message.error()
        if trouble is None:
            return True
        if trouble.fatal():
            self._consumer.close()
            self._consumer = self._joined()
            raise _unavailable(KafkaException(trouble))
        # No topic may match the pattern yet.
        nobody = trouble.code() == KafkaError.UNKNOWN_TOPIC_OR_PART and (message.topic() or "").startswith("^")
        if trouble.code() != KafkaError._PARTITION_EOF and not nobody:
            _log.warning("kafka reported an error while reading", error=trouble.str(), topic=message.topic())
        return False

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if self._holding:
            consumer.incremental_assign(partitions)
            consumer.pause(partitions)

    def _revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._before_revoke()
        self._forget(partitions)

    def _lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # Another member may have them already, and reads again what was under way.
        _log.warning("lost partitions to the rest of the group", partitions=len(partitions))
        self._forget(partitions)

    def _forget(self, partitions: list[TopicPartition]) -> None:
        for place in partitions:
            for known in (self._owed, self._given, self._committed):
                known.pop((place.topic, place.partition), None)


class _KafkaRecord(Record):
    """A record that reads its message when asked: most of it is never asked for."""

    __slots__ = ("_message",)
    _message: Any

    def __init__(self, message: KafkaMessage) -> None:
        object.__setattr__(self, "_message", message)

    @property
    def topic(self) -> str:
        return str(self._message.topic())

    @property
    def partition(self) -> int:
        return int(self._message.partition())

    @property
    def position(self) -> str:
        return str(self._message.offset())

    @property
    def timestamp(self) -> int:
        kind, moment = self._message.timestamp()
        return time.time_ns() // 1_000_000 if kind == TIMESTAMP_NOT_AVAILABLE or moment <= 0 else int(moment)

    @property
    def value(self) -> bytes:
        return self._message.value() or b""

    @property
    def key(self) -> bytes:
        return self._message.key() or b""

    @property
    def headers(self) -> Mapping[str, bytes]:
        return {name: value or b"" for name, value in self._message.headers() or ()}


class _ErrorLines:
    """Turns librdkafka's errors into log lines, each kind at most once in 30 s."""

    def __init__(self) -> None:
        self._written: dict[int, float] = {}

    def __call__(self, error: KafkaError) -> None:
        now = time.monotonic()
        if now - self._written.get(error.code(), -60.0) > 30:
            self._written[error.code()] = now
            _log.warning("kafka is in trouble", error=error.name(), detail=error.str()[:200])


def _partitions(consumer: Consumer, topic: str, seconds: float) -> list[TopicPartition]:
    described = consumer.list_topics(topic, timeout=seconds).topics[topic]
    return [TopicPartition(topic, number, OFFSET_INVALID) for number in described.partitions]


def _ends(consumer: Consumer, place: TopicPartition, seconds: float) -> tuple[int, int]:
    """The first offset and the next one; asks again while the partition gets its leader, as right after it was made."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            low, high = consumer.get_watermark_offsets(place, timeout=seconds)
        except KafkaException as error:
            if error.args[0].code() not in _LEADERLESS or time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE)
            consumer.list_topics(place.topic, timeout=seconds)  # who leads, may have become known
        else:
            return low, high


def _refused(error: KafkaException) -> LemoError:
    if error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return InvalidInput("A message is larger than its Kafka topic takes.", "Raise the topic's max.message.bytes.")
    return _unavailable(error)


def _unavailable(error: KafkaException) -> EngineUnavailable:
    cause = error.args[0]
    detail = f"{cause.name()}: {cause.str()}" if isinstance(cause, KafkaError) else str(cause)
    return EngineUnavailable(
        f"Kafka did not do what it was asked ({detail[:200]}).",
        "Check LEMO_KAFKA_* and that the brokers are reachable (`lemo doctor`); the call may be repeated.",
    )
