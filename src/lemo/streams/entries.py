"""Records of the ingest log in a file of a backup: the same form whichever engine holds the log."""

from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from lemo.streams import Message, Record

_LENGTH = 4
"""Bytes of the number in front of each entry: how long it is."""
_VALUE, _KEY, _HEADER = b"v", b"k", b"h:"


class Entry(msgspec.Struct, array_like=True):
    """A record as an entry of a Redis stream: `id` is `MILLISECONDS-NUMBER`, the moment when the log took it."""

    topic: str
    id: bytes
    fields: dict[bytes, bytes]

    @classmethod
    def of(cls, record: Record) -> "Entry":
        """The entry of another log's record."""
        fields = {_VALUE: record.value} | {_HEADER + name.encode(): value for name, value in record.headers.items()}
        return cls(record.topic, b"%d-0" % record.timestamp, fields | ({_KEY: record.key} if record.key else {}))

    def message(self) -> Message:
        """What another log publishes for it."""
        headers = {
            name.removeprefix(_HEADER).decode(errors="replace"): value
            for name, value in self.fields.items()
            if name.startswith(_HEADER)
        }
        return Message(self.fields.get(_VALUE, b""), self.fields.get(_KEY, b""), headers)


def write_entry(out: BinaryIO, entry: Entry) -> None:
    """Appends an entry to a file."""
    frame = msgspec.msgpack.encode(entry)
    out.write(len(frame).to_bytes(_LENGTH, "big") + frame)


def entries_of(source: BinaryIO) -> Iterator[Entry]:
    """The entries of a file."""
    while length := source.read(_LENGTH):
        yield msgspec.msgpack.decode(source.read(int.from_bytes(length, "big")), type=Entry)
