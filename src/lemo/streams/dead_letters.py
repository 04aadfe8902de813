"""Dead letters: messages that can never be taken in, kept as they came with the reason in Kafka Connect's headers."""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lemo.domain.errors import InvalidInput
from lemo.streams import Message, Publisher, Record
from lemo.streams.messages import BadMessage, Fault

_PREFIX = "__connect.errors."
_TENANT, _SCENARIO, _PART, _TRUNCATED = "lemo-tenant", "lemo-scenario", "lemo-part", "lemo-truncated"
_FAULT = "lemo-fault"
CONNECTOR = "lemo-consumer"
_KEPT_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was refused: where it stood, why, and itself."""

    id: str
    """`topic:partition:position`, with `:index` when it is one item of a longer message."""
    topic: str
    partition: str
    position: str
    tenant_id: str
    """Empty when the message named no tenant that exists."""
    scenario_id: str
    """As the message claims it."""
    fault: str
    """One of `lemo.streams.messages.FAULTS`."""
    stage: str
    exception: str
    reason: str
    refused_at: int
    """Unix milliseconds."""
    message: Message
    """As it came: bytes, key and headers."""
    truncated: bool
    """Whether only its beginning is kept: it was larger than the dead-letter topic takes."""


def dead_letter(
    record: Record,
    error: BadMessage,
    *,
    tenant_id: str = "",
    scenario_id: str = "",
    part: int | None = None,
    value: bytes | None = None,
) -> Message:
    """The dead letter for a record: its bytes, key and headers, and why it was refused.

    `tenant_id` is set only for a tenant that exists. For one item of a longer message, `part` is its index and `value`
    a message that holds just it. The headers are those of Kafka Connect's DeadLetterQueueReporter, all ten of them.
    """
    headers = _without_ours(record)  # whoever sent the message does not decide to whom it is shown
    kind = type(error)
    about = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": record.position,
        "connector.name": CONNECTOR,
        "task.id": "0",
        "stage": error.stage,
        "class.name": "lemo.streams.messages",
        "exception.class.name": f"{kind.__module__}.{kind.__qualname__}",
        "exception.message": error.message,
        # Without what it came from: pydantic repeats the message in it.
        "exception.stacktrace": "".join(traceback.format_exception(error, chain=False)),
    }
    headers |= {_PREFIX + name: text.encode(errors="replace") for name, text in about.items()}
    headers[_FAULT] = error.fault.encode()
    if tenant_id:
        headers[_TENANT] = tenant_id.encode()
    if scenario_id:
        headers[_SCENARIO] = scenario_id.encode(errors="replace")
    if part is not None:
        headers[_PART] = str(part).encode()
    return Message(record.value if value is None else value, record.key, headers)


def is_part(letter: Message) -> bool:
    """Whether a dead letter holds one item of a message whose other items may be good."""
    return _PART in letter.headers


def fault_of(letter: Message) -> Fault:
    """The fault that a dead letter of ours was made for."""
    fault: Fault = letter.headers[_FAULT].decode()  # type: ignore[assignment]
    return fault


def publish_dead_letters(publisher: Publisher, topic: str, letters: Sequence[Message]) -> None:
    """Publishes dead letters; one that is too large for the topic loses its end, and says so in a header."""
    if not letters:
        return
    try:
        publisher.publish(topic, letters)
    except InvalidInput:
        for letter in letters:
            try:
                publisher.publish(topic, [letter])
            except InvalidInput:
                headers = {**letter.headers, _TRUNCATED: str(len(letter.value)).encode()}
                publisher.publish(topic, [replace(letter, value=letter.value[:_KEPT_BYTES], headers=headers)])


def read_dead_letter(record: Record) -> DeadLetter:
    """A record of the dead-letter topic as what it tells of."""

    def header(name: str) -> str:
        return record.headers.get(name, b"").decode(errors="replace")

    topic, partition, position = (header(_PREFIX + name) for name in ("topic", "partition", "offset"))
    part = header(_PART)
    return DeadLetter(
        id=f"{topic}:{partition}:{position}" + (f":{part}" if part else ""),
        topic=topic,
        partition=partition,
        position=position,
        tenant_id=header(_TENANT),
        scenario_id=header(_SCENARIO),
        fault=header(_FAULT),
        stage=header(_PREFIX + "stage"),
        exception=header(_PREFIX + "exception.class.name"),
        reason=header(_PREFIX + "exception.message"),
        refused_at=record.timestamp,
        message=Message(record.value, record.key, _without_ours(record)),
        truncated=_TRUNCATED in record.headers,
    )


def _without_ours(record: Record) -> dict[str, bytes]:
    """The headers that the sender gave the message."""
    ours = (_TENANT, _SCENARIO, _PART, _TRUNCATED, _FAULT)
    return {name: value for name, value in record.headers.items() if name not in ours and not name.startswith(_PREFIX)}
