"""Encodes messages as entries of a Redis stream, and decodes them."""

from collections.abc import Mapping

from lemo.streams import Message, Record

_VALUE, _KEY, _HEADER = b"v", b"k", b"h:"


def fields_of(message: Message) -> list[bytes]:
    """The arguments of XADD: names and values in turn."""
    fields = [_VALUE, message.value]
    if message.key:
        fields += (_KEY, message.key)
    for name, value in message.headers.items():
        fields += (_HEADER + name.encode(), value)
    return fields


def record_of(topic: str, entry_id: bytes, fields: Mapping[bytes, bytes] | None) -> Record:
    """The record of an entry; empty where the entry was deleted."""
    fields = fields or {}
    return Record(
        topic=topic,
        partition=0,
        position=entry_id.decode(),
        timestamp=milliseconds_of(entry_id),
        value=fields.get(_VALUE, b""),
        key=fields.get(_KEY, b""),
        headers={
            name[len(_HEADER) :].decode(errors="replace"): value
            for name, value in fields.items()
            if name.startswith(_HEADER)
        },
    )


def milliseconds_of(entry_id: bytes) -> int:
    """When the server took the entry."""
    return int(entry_id.partition(b"-")[0])
