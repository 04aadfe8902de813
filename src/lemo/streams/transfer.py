"""Copies what no consumer has taken in of the ingest log into a file, and back, whichever engine holds the log."""

from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from lemo.settings import Settings
from lemo.streams import Log
from lemo.streams.entries import Entry, entries_of, write_entry
from lemo.streams.redis.transfer import StreamTransfer

if TYPE_CHECKING:
    from lemo.streams.kafka.log import KafkaLog

_BATCH = 5_000


class LogTransfer(Protocol):
    """Every method raises EngineUnavailable."""

    def topics(self) -> list[str]:
        """Topics besides those that the settings name."""

    def dump(self, topic: str, group: str, out: BinaryIO) -> int:
        """Appends to `out` each record of the topic that the group has not committed; returns how many."""

    def remove(self) -> None:
        """Makes room for a repeated `load`, where one twice would stay."""

    def load(self, file: Path) -> int:
        """Adds the records of a file; returns how many."""


class KafkaTransfer:
    """The topics of a Kafka cluster. What is loaded stands behind what the topics hold, and counts once."""

    def __init__(self, log: "KafkaLog") -> None:
        self._log = log

    def topics(self) -> list[str]:
        """None: topics of tenants are found by their names."""
        return []

    def dump(self, topic: str, group: str, out: BinaryIO) -> int:
        """Appends to `out` each record behind the group's offsets."""
        count = 0
        for record in self._log.uncommitted(topic, group):
            write_entry(out, Entry.of(record))
            count += 1
        return count

    def remove(self) -> None:
        """Nothing: Kafka deletes by age, and a message that comes twice counts once."""

    def load(self, file: Path) -> int:
        """Publishes the records of a file."""
        count = 0
        publisher = self._log.publisher()
        try:
            with file.open("rb") as source:
                for topic, entries in groupby(entries_of(source), lambda entry: entry.topic):
                    while batch := [entry.message() for entry in islice(entries, _BATCH)]:
                        count += publisher.publish(topic, batch)
        finally:
            publisher.close()
        return count


def transfer_of(settings: Settings, log: Log) -> LogTransfer:
    """The transfer of the log that the settings name."""
    if settings.kafka_bootstrap_servers:
        return KafkaTransfer(cast("KafkaLog", log))
    return StreamTransfer(settings.redis(0), settings.installation)
