"""Which topics the ingest log has, and what each carries."""

from collections.abc import Sequence

from lemo.domain.scope import NAME
from lemo.settings import Settings
from lemo.streams import Log


class Topics:
    """The topics that the settings name; each tenant may have an event topic of its own too, `TOPIC-TENANT`."""

    def __init__(self, settings: Settings) -> None:
        self.items = frozenset(settings.kafka_item_ingest_topics)
        self.events = settings.kafka_event_topic
        self.served = settings.kafka_served_topic
        """The topic of the API's answers."""
        self.realtime = settings.kafka_realtime_topic if settings.with_flink else ""
        """The topic of what Flink computed; empty without Flink."""
        self.accepted = settings.kafka_accepted_topic if settings.with_flink else ""
        """The topic of accepted events, for Flink; empty without Flink."""
        self.fixed = [*settings.kafka_item_ingest_topics, settings.kafka_event_topic, settings.kafka_served_topic]
        self.fixed += [self.realtime] if self.realtime else []
        """The topics that exist in every installation."""
        self.tenant_prefix = f"{settings.kafka_event_topic}-"
        """What the names of tenants' own event topics begin with."""
        self.written = [
            topic
            for topic in (settings.kafka_dead_letter_topic, settings.kafka_item_results_topic, self.accepted)
            if topic
        ]
        """The topics that the consumer writes to, and never reads."""
        self._others = {*self.fixed, *self.written}

    def tenant_of(self, topic: str) -> str | None:
        """The tenant whose events alone the topic carries; None for any other topic."""
        tenant_id = topic.removeprefix(self.tenant_prefix)
        if topic in self._others or tenant_id == topic or not NAME.fullmatch(tenant_id):
            return None
        return tenant_id

    def read_of(self, log: Log) -> Sequence[str]:
        """The topics that the consumer takes in, tenants' own included; raises EngineUnavailable."""
        return [*self.fixed, *(topic for topic in log.topics(self.tenant_prefix) if self.tenant_of(topic))]

    def label_of(self, topic: str) -> str:
        """The topic's name where tenants are not to be named: one for all their own topics."""
        return topic if self.tenant_of(topic) is None else f"{self.tenant_prefix}*"

    def is_read(self, topic: str) -> bool:
        """Whether the consumer takes in what the topic carries."""
        return topic in self.fixed or self.tenant_of(topic) is not None
