"""Messages of the ingest log carry the trace that they belong to, in headers of W3C Trace Context.

Readers that know nothing of traces pass over the headers; messages without them belong to no trace.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from lemo.settings import Settings
from lemo.streams import Message
from lemo.telemetry.tracing import HEADERS, Attributes, traces


@contextmanager
def published(settings: Settings, topic: str, messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """A span around the publishing of messages, and the messages with its context; as they are while traces are off."""
    found = traces()
    if found is None:
        yield messages
        return
    about: Attributes = {
        "messaging.system": system_of(settings),
        "messaging.operation.type": "send",
        "messaging.destination.name": topic,
        "messaging.batch.message_count": len(messages),
    }
    with found.span(f"send {topic}", "producer", about):
        context = {name: value.encode() for name, value in found.headers().items()}
        yield [replace(each, headers={**each.headers, **context}) for each in messages] if context else messages


def context_of(headers: Mapping[str, bytes]) -> dict[str, str]:
    """The headers of a message that say to which trace it belongs."""
    return {name: headers[name].decode("latin-1") for name in HEADERS if name in headers}


def system_of(settings: Settings) -> str:
    """OpenTelemetry's word for the engine of the log."""
    return "kafka" if settings.kafka_bootstrap_servers else "redis"
