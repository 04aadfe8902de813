"""Publishes messages to Kafka."""

import threading
from collections.abc import Callable, Iterable, Sequence

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as KafkaMessage

from lemo.domain.errors import InvalidInput, LemoError
from lemo.streams import Message
from lemo.streams.kafka.client import Config, unavailable

LARGE_MESSAGE_BYTES = 8_000_000
"""Largest message of a topic of dead letters: any message of other topics, with headers."""
_CLOSE_SECONDS = 10.0
"""How long `close` waits for deliveries."""


class KafkaPublisher:
    """An idempotent producer that waits for all in-sync replicas. Safe to use from several threads."""

    def __init__(self, config: Config, create_topics: Callable[[Sequence[str]], None], seconds: float) -> None:
        self._create_topics = create_topics
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
            self._create_topics([topic])
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
        self._producer.flush(_CLOSE_SECONDS)

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


def _refused(error: KafkaException) -> LemoError:
    if error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return InvalidInput("A message is larger than its Kafka topic takes.", "Raise the topic's max.message.bytes.")
    return unavailable(error)
