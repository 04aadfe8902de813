"""Dead letters: messages that can never be taken in, kept as they came with the reason in Kafka Connect's headers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lemo.domain.errors import InvalidInput
from lemo.streams import Log, Message, Publisher, Record

_PREFIX = "__connect.errors."
_TENANT, _SCENARIO, _PART, _TRUNCATED = "lemo-tenant", "lemo-scenario", "lemo-part", "lemo-truncated"
CONNECTOR = "lemo-consumer"
SCANNED = 10_000
"""Newest dead letters, of all tenants, that a listing looks at."""
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
    stage: str
    exception: str
    reason: str
    refused_at: int
    """Unix milliseconds."""
    key: bytes
    value: bytes


def dead_letter(
    record: Record,
    *,
    reason: str,
    stage: str,
    exception: str,
    tenant_id: str = "",
    scenario_id: str = "",
    part: int | None = None,
    value: bytes | None = None,
) -> Message:
    """The dead letter for a record: its bytes, key and headers, and why it was refused.

    `tenant_id` is set only for a tenant that exists. For one item of a longer message, `part` is its index and `value`
    a message that holds just it. `stage` is Kafka Connect's: VALUE_CONVERTER (not JSON) or TRANSFORMATION (not valid).
    """
    headers = dict(record.headers)
    for name in (_TENANT, _SCENARIO, _PART, _TRUNCATED):
        headers.pop(name, None)  # whoever sent the message does not decide to whom it is shown
    about = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": record.position,
        "connector.name": CONNECTOR,
        "task.id": "0",
        "stage": stage,
        "class.name": "lemo.streams.messages",
        "exception.class.name": exception,
        "exception.message": reason,
    }
    headers |= {_PREFIX + name: text.encode(errors="replace") for name, text in about.items()}
    if tenant_id:
        headers[_TENANT] = tenant_id.encode()
    if scenario_id:
        headers[_SCENARIO] = scenario_id.encode(errors="replace")
    if part is not None:
        headers[_PART] = str(part).encode()
    return Message(record.value if value is None else value, record.key, headers)


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


def read_dead_letters(log: Log, topic: str, tenant_id: str, scenario_id: str = "") -> list[DeadLetter]:
    """The dead letters of a tenant (those of no known tenant: ""), newest first, of the newest `SCANNED` of all.

    A message that was read again, after a crash or in a replay, and refused again is listed once.
    """
    found: dict[str, DeadLetter] = {}
    for record in log.read_all(topic, SCANNED):
        letter = _read(record)
        if letter.tenant_id == tenant_id and scenario_id in ("", letter.scenario_id):
            found.pop(letter.id, None)
            found[letter.id] = letter
    return list(reversed(found.values()))


def _read(record: Record) -> DeadLetter:
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
        stage=header(_PREFIX + "stage"),
        exception=header(_PREFIX + "exception.class.name"),
        reason=header(_PREFIX + "exception.message"),
        refused_at=record.timestamp,
        key=record.key,
        value=record.value,
    )
