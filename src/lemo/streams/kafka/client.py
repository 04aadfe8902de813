"""The shared part of all Kafka clients: configuration, records and errors."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import structlog
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, KafkaException
from confluent_kafka import Message as KafkaMessage

from lemo.domain.errors import EngineUnavailable
from lemo.streams import Record

_log = structlog.get_logger(__name__)

Config = Mapping[str, Any]
"""librdkafka's properties."""
COORDINATED_SECONDS = 2.5
"""How long a group may have no coordinator: less than a probe of the doctor takes."""
_PAUSE = 0.1
_UNCOORDINATED = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)
_Answer = TypeVar("_Answer")


class KafkaRecord(Record):
    """A record that reads each field of its message on access: most fields of most records are never read."""

    __slots__ = ("_message",)
    _message: Any

    def __init__(self, message: KafkaMessage) -> None:
        object.__setattr__(self, "_message", message)

    @property
    def topic(self) -> str:
        """The name of the topic."""
        return str(self._message.topic())

    @property
    def partition(self) -> int:
        """The number of the partition."""
        return int(self._message.partition())

    @property
    def position(self) -> str:
        """The offset in the partition."""
        return str(self._message.offset())

    @property
    def timestamp(self) -> int:
        """Unix milliseconds at which the log took the message; the current time where the brokers keep none."""
        kind, moment = self._message.timestamp()
        return time.time_ns() // 1_000_000 if kind == TIMESTAMP_NOT_AVAILABLE or moment <= 0 else int(moment)

    @property
    def value(self) -> bytes:
        """The bytes of the message."""
        return self._message.value() or b""

    @property
    def is_tombstone(self) -> bool:
        """Whether it has no value at all."""
        return self._message.value() is None

    @property
    def key(self) -> bytes:
        """The key of the message; empty without one."""
        return self._message.key() or b""

    @property
    def headers(self) -> Mapping[str, bytes]:
        """The headers of the message."""
        return {name: value or b"" for name, value in self._message.headers() or ()}


class ErrorLines:
    """Turns librdkafka's errors into log lines, each kind at most once in 30 s."""

    def __init__(self) -> None:
        self._written: dict[int, float] = {}

    def __call__(self, error: KafkaError) -> None:
        """Logs the error, unless one of its kind was logged within 30 s."""
        now = time.monotonic()
        if now - self._written.get(error.code(), -60.0) > 30:
            self._written[error.code()] = now
            _log.warning("kafka is in trouble", error=error.name(), detail=error.str()[:200])


def coordinated(ask: Callable[[], _Answer]) -> _Answer:
    """What the coordinator of a group answers. Asks again for `COORDINATED_SECONDS` while there is none.

    Brokers that have just started agree on one only then. Raises KafkaException.
    """
    deadline = time.monotonic() + COORDINATED_SECONDS
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in _UNCOORDINATED or time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE)


def unavailable(error: KafkaException) -> EngineUnavailable:
    """The error of the product for an error of librdkafka."""
    cause = error.args[0]
    detail = f"{cause.name()}: {cause.str()}" if isinstance(cause, KafkaError) else str(cause)
    return EngineUnavailable(
        f"Kafka refused or did not finish the call ({detail[:200]}).",
        "Check LEMO_KAFKA_* and that the brokers are reachable (`lemo doctor`); the call may be repeated.",
        engine="Kafka",
    )
