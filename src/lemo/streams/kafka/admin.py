"""Queries about Kafka's topics, outside any group: their names, their content and the lag of a group."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.cimpl import NewTopic

from lemo.domain.deadlines import Deadlines
from lemo.domain.errors import EngineUnavailable
from lemo.streams import Record, Removed
from lemo.streams.kafka.client import Config, ErrorLines, KafkaRecord, coordinated, unavailable
from lemo.streams.kafka.publisher import LARGE_MESSAGE_BYTES

PARTITIONS = 4
"""Partitions of topics that Lemo makes: how many consumers can share one."""
LONGEST_ANSWER = 10.0
"""Seconds that the brokers may take for a query."""
_PAUSE = 0.1
_LEADERLESS = (KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION)


class KafkaAdmin:
    """Makes topics, lists them and looks at what they hold. Every method raises EngineUnavailable."""

    def __init__(self, config: Config, kept_days: Mapping[str, int], deadlines: Deadlines) -> None:
        self._seconds = min(deadlines.answer, LONGEST_ANSWER)
        # librdkafka writes a line to stderr for each failed connection; errors come through `error_cb` instead.
        self._config = {**config, "error_cb": ErrorLines(), "log_level": 0, "client.id": "lemo"}
        self._kept_days = dict(kept_days)

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
        except TimeoutError as error:
            raise EngineUnavailable(
                f"Kafka did not make the topics within {self._seconds:g} s.",
                "Check the brokers' load (`lemo doctor`); the call may be repeated.",
            ) from error
        except KafkaException as error:
            raise unavailable(error) from error

    def topics(self, prefix: str) -> list[str]:
        """The topics there are whose names go on after the prefix."""
        try:
            there = AdminClient(self._config).list_topics(timeout=self._seconds).topics
        except KafkaException as error:
            raise unavailable(error) from error
        return sorted(name for name in there if name.startswith(prefix) and name != prefix)

    def lag(self, topics: Sequence[str], group: str) -> dict[str, int]:
        """Records past the group's committed offsets."""
        consumer = self._outside_group(group)
        try:
            lags = dict.fromkeys(topics, 0)
            partitions = [place for topic in topics for place in _partitions(consumer, topic, self._seconds)]
            for place in self._committed(consumer, partitions):
                low, high = _ends(consumer, place, self._seconds)
                lags[place.topic] += high - max(low, place.offset if place.offset >= 0 else low)
            return lags
        except KafkaException as error:
            raise unavailable(error) from error
        finally:
            consumer.close()

    def oldest(self, topics: Sequence[str], group: str) -> dict[str, int]:
        """Unix ms of each topic's first record past the group's committed offsets, which has to be read for it."""
        # The brokers send at least one batch of each partition; one record is enough.
        consumer = self._outside_group(group, {"max.partition.fetch.bytes": 1_000, "queued.min.messages": 1})
        try:
            partitions = [place for topic in topics for place in _partitions(consumer, topic, self._seconds)]
            ends: dict[tuple[str, int], int] = {}
            start: list[TopicPartition] = []
            for place in self._committed(consumer, partitions):
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
                    record = KafkaRecord(message)
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
            raise unavailable(error) from error
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

    def uncommitted(self, topic: str, group: str) -> Iterator[Record]:
        """All records past the group's committed offsets, in order within a partition."""
        return self._stored(topic, None, group)

    def _stored(self, topic: str, limit: int | None, group: str = "") -> Iterator[Record]:
        """The newest `limit` records of each partition, or all, or those past the offsets of a group.

        Raises EngineUnavailable.
        """
        consumer = self._outside_group(group or "lemo-looking-on")
        try:
            ends: dict[int, int] = {}
            start: list[TopicPartition] = []
            places = _partitions(consumer, topic, self._seconds)
            for place in self._committed(consumer, places) if group else places:
                low, high = _ends(consumer, place, self._seconds)
                first = max(low, place.offset if place.offset >= 0 else low) if group else low
                if high > first:
                    ends[place.partition] = high
                    first = first if limit is None else max(first, high - limit)
                    start.append(TopicPartition(topic, place.partition, first))
            consumer.assign(start)
            deadline = time.monotonic() + self._seconds
            while ends and time.monotonic() < deadline:
                for message in consumer.consume(1_000, 0.2):
                    if message.error() is None:
                        yield KafkaRecord(message)
                    deadline = time.monotonic() + self._seconds  # the caller may take its time for each record
                # By position, not by message: the last offsets of a partition may be transaction marks.
                for place in consumer.position(start):
                    if place.offset >= ends.get(place.partition, 0):
                        ends.pop(place.partition, None)
            if ends:
                raise EngineUnavailable(f"Kafka did not hand over all of topic {topic!r} in time.", "Try again.")
        except KafkaException as error:
            raise unavailable(error) from error
        finally:
            consumer.close()

    def remove(self, topic: str, wanted: Callable[[Record], bool]) -> Removed:
        """Deletes nothing, as Kafka deletes by age alone; says when what stands in the topic now is gone."""
        del wanted
        admin = AdminClient(self._config)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        try:
            if topic not in admin.list_topics(timeout=self._seconds).topics:
                return Removed()
            entries = admin.describe_configs([resource], request_timeout=self._seconds)[resource].result(self._seconds)
        except TimeoutError as error:
            raise EngineUnavailable(
                f"Kafka did not describe the topic {topic!r} within {self._seconds:g} s.", "The call may be repeated."
            ) from error
        except KafkaException as error:
            raise unavailable(error) from error
        kept_ms = int(entries["retention.ms"].value)
        if kept_ms < 0 or "compact" in entries["cleanup.policy"].value:
            why = "is compacted" if kept_ms >= 0 else "has no retention"
            return Removed(0, f"The topic {topic!r} {why}: records stay until you delete them (kafka-delete-records).")
        segment = int(entries["segment.ms"].value)
        return Removed(
            0,
            f"Kafka deletes records of {topic!r} by age: its retention, and up to one segment more.",
            time.time_ns() // 1_000_000 + kept_ms + segment,
        )

    def ping(self) -> str:
        """Asks the brokers for a sign of life; returns how many there are."""
        try:
            brokers = len(AdminClient(self._config).list_topics(timeout=min(self._seconds, 5.0)).brokers)
        except KafkaException as error:
            raise unavailable(error) from error
        return f"Kafka ({brokers} broker{'' if brokers == 1 else 's'})"

    def _committed(self, consumer: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """The committed offsets of the consumer's group."""
        return coordinated(lambda: consumer.committed(partitions, timeout=self._seconds)) if partitions else []

    def _outside_group(self, group: str, config: Config | None = None) -> Consumer:
        """A consumer that never joins its group."""
        return Consumer({**self._config, **(config or {}), "group.id": group, "enable.auto.commit": False})


def _partitions(consumer: Consumer, topic: str, seconds: float) -> list[TopicPartition]:
    described = consumer.list_topics(topic, timeout=seconds).topics[topic]
    return [TopicPartition(topic, number, OFFSET_INVALID) for number in described.partitions]


def _ends(consumer: Consumer, place: TopicPartition, seconds: float) -> tuple[int, int]:
    """The first offset and the next one. Retries while the partition has no leader, as right after it was made."""
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
