"""The ingest log: topics that are written to, and read in groups, over Redis Streams or Kafka."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """What is published: bytes, a key that keeps order where the engine has partitions, and headers."""

    value: bytes
    key: bytes = b""
    headers: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """A message as it stands in the log: `position` is unique within the topic and grows within the partition."""

    topic: str
    partition: int
    position: str
    timestamp: int
    """Unix milliseconds at which the log took the message."""
    value: bytes
    key: bytes
    headers: Mapping[str, bytes]

    @property
    def is_tombstone(self) -> bool:
        """Whether it has no value at all: a mark for the compaction of Kafka's topics, and no message."""
        return False


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal of records did."""

    count: int = 0
    """Records deleted."""
    remains: str = ""
    """What the engine still keeps, in words; empty for nothing."""
    until: int | None = None
    """Unix ms at which that is gone; None where nothing remains or nobody knows."""


class Publisher(Protocol):
    """Writes to topics. One per process; safe to use from several threads."""

    def publish(self, topic: str, messages: Iterable[Message]) -> int:
        """Writes the messages, and returns their number once the log holds all of them durably.

        Raises EngineUnavailable when it could not; some of them may stand in the log then, so publish again: whoever
        reads the log counts a message's content once.
        """

    def close(self) -> None:
        """Lets go of connections."""


class Reader(Protocol):
    """Reads topics as one member of a group. What was polled and not committed is delivered again after a crash.

    Not safe to use from several threads.
    """

    def poll(self, limit: int, seconds: float) -> Sequence[Record]:
        """Up to `limit` records, waiting at most `seconds` for the first; raises EngineUnavailable."""

    def hold(self) -> None:
        """Stays a member while the caller can take no records; to be called every few seconds, until the next poll.

        Records at hand stay this member's, and none are fetched. Raises EngineUnavailable.
        """

    def commit(self, records: Sequence[Record]) -> None:
        """Marks polled records as done for the group; they are in the order in which they were polled."""

    def close(self) -> None:
        """Leaves the group."""


def nothing() -> None:
    """Does nothing."""


class Log(Protocol):
    """The ingest log of the installation."""

    def publisher(self) -> Publisher:
        """A new publisher."""

    def reader(
        self,
        topics: Sequence[str],
        group: str,
        member: str,
        before_revoke: Callable[[], None] = nothing,
        *,
        prefix: str = "",
    ) -> Reader:
        """Joins the group. `member` is stable over restarts, so that a member finds its unfinished records again.

        With a `prefix`, every topic is read as well whose name goes on after it; one that appears later is noticed
        within seconds, and read from its start.

        `before_revoke` is called within poll, hold or close, before records of this member are handed to another one:
        the moment to finish and commit what is under way, without polling.
        """

    def create_topics(self, topics: Sequence[str]) -> None:
        """Makes the topics that are missing."""

    def topics(self, prefix: str) -> list[str]:
        """The topics there are whose names go on after the prefix, sorted; raises EngineUnavailable."""

    def lag(self, topics: Sequence[str], group: str) -> dict[str, int]:
        """How many records of each topic the group has not committed yet."""

    def oldest(self, topics: Sequence[str], group: str) -> dict[str, int]:
        """When the log took each topic's oldest record that the group has not committed: Unix milliseconds.

        Topics without such a record are left out.
        """

    def read_all(self, topic: str, limit: int) -> list[Record]:
        """The newest `limit` records of a topic, outside any group: for looking at dead letters."""

    def scan(self, topic: str) -> Iterator[Record]:
        """All records that stand in a topic when it is asked, outside any group; in order within a partition."""

    def remove(self, topic: str, wanted: Callable[[Record], bool]) -> Removed:
        """Deletes the records of a topic that are wanted, where the engine can delete one; raises EngineUnavailable."""

    def ping(self) -> str:
        """Asks the engine for a sign of life; returns its name and version."""
