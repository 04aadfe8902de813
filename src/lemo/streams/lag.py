"""How far a group is behind, in messages and in time."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from lemo.streams import Log


@dataclass(frozen=True, slots=True)
class Lag:
    """What a group has not committed: how many messages, and for how many seconds the oldest one has stood there."""

    messages: int
    seconds: float

    def __str__(self) -> str:
        """For people: `1,204 messages, 3.1 s behind`."""
        if not self.messages:
            return "up to date"
        return f"{self.messages:,} message{'' if self.messages == 1 else 's'}, {_duration(self.seconds)} behind"


def lag_of(log: Log, topics: Sequence[str], group: str) -> Lag:
    """The group's lag over all the topics; raises EngineUnavailable."""
    messages, oldest = waiting(log, topics, group)
    return Lag(sum(messages.values()), age_seconds(min(oldest.values())) if oldest else 0.0)


def waiting(log: Log, topics: Sequence[str], group: str) -> tuple[dict[str, int], dict[str, int]]:
    """How many messages of each topic wait for the group, and since when (Unix ms) where some do.

    A topic without an oldest message has none waiting: they were committed between the two questions, or what Kafka
    counts are marks and messages of transactions that were taken back, which nobody is ever given.
    """
    lag = log.lag(topics, group)
    behind = [topic for topic, count in lag.items() if count]
    oldest = log.oldest(behind, group) if behind else {}
    return {topic: count if topic in oldest else 0 for topic, count in lag.items()}, oldest


def age_seconds(moment_ms: int) -> float:
    """Seconds since a moment (Unix ms); 0 for one that is ahead of our clock."""
    return max(0.0, time.time() - moment_ms / 1000)


def _duration(seconds: float) -> str:
    for length, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.1f} s"
