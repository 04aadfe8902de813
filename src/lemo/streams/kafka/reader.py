"""Reads topics of Kafka as one member of a consumer group."""

from collections.abc import Callable, Sequence

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from lemo.streams import Record
from lemo.streams.kafka.client import Config, KafkaRecord, unavailable

_log = structlog.get_logger(__name__)

_REBALANCING = (
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError._STATE,
    KafkaError._MAX_POLL_EXCEEDED,
)
_NOTICE_MS = 5_000
"""How often a reader by prefix looks for new topics."""


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
            raise unavailable(error) from error
        records = [KafkaRecord(message) for message in messages if self._is_good(message)]
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
            raise unavailable(error) from error
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
                raise unavailable(error) from error

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
            raise unavailable(KafkaException(trouble))
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
