"""The ingest log on Kafka: opens publishers and readers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.streams import nothing
from lemo.streams.kafka.admin import KafkaAdmin
from lemo.streams.kafka.client import Config
from lemo.streams.kafka.publisher import KafkaPublisher
from lemo.streams.kafka.reader import KafkaReader

LONGEST_DELIVERY = 20.0
"""Seconds that the brokers may take to take messages."""
GroupProtocol = Literal["classic", "consumer"]

# Only what moves is revoked, and the others go on. A member that was killed holds its partitions for the session's
# time-out; with the protocol of KIP-848 that is the brokers' to say (group.consumer.session.timeout.ms, 45 s).
_MEMBERSHIP: Mapping[GroupProtocol, Config] = {
    "classic": {"partition.assignment.strategy": "cooperative-sticky", "session.timeout.ms": 10_000},
    "consumer": {"group.protocol": "consumer"},
}


class KafkaLog(KafkaAdmin):
    """The log on a Kafka cluster. `config` holds librdkafka's properties: servers and security.

    Topics in `kept_days` are made so that they keep messages for these days, and take large ones. `group_protocol` is
    how readers join their group: "classic", or "consumer" (KIP-848).
    """

    def __init__(
        self,
        config: Config,
        kept_days: Mapping[str, int] | None = None,
        group_protocol: GroupProtocol = "classic",
        deadlines: Deadlines = FOR_JOBS,
    ) -> None:
        super().__init__(config, kept_days or {}, deadlines)
        self._delivery_seconds = min(deadlines.answer, LONGEST_DELIVERY)
        self._group_protocol = group_protocol

    def publisher(self) -> KafkaPublisher:
        """A new publisher."""
        return KafkaPublisher(self._config, self.create_topics, self._delivery_seconds)

    def reader(
        self,
        topics: Sequence[str],
        group: str,
        member: str,
        before_revoke: Callable[[], None] = nothing,
        *,
        prefix: str = "",
    ) -> KafkaReader:
        """Joins the group; unfinished records of a member come to whoever gets its partitions.

        With KIP-848 the brokers look for topics by prefix, at most every 10 s.
        """
        config = {**self._config, **_MEMBERSHIP[self._group_protocol], "client.id": member}
        # A name that begins with ^ is a regular expression. Of what names are made of, only the dot means more in it.
        pattern = [f"^{prefix.replace('.', '[.]')}.+"] if prefix else []
        return KafkaReader(config, [*topics, *pattern], group, before_revoke)
