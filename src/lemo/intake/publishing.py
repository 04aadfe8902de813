"""Publishes items and events: each is checked by itself, and the good ones are durably in the log."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from threading import Lock
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lemo.domain.errors import EngineUnavailable, InvalidInput, TooLarge
from lemo.domain.event import OTHER_CONTENTS, Event
from lemo.domain.item import Item
from lemo.domain.reasons import reason
from lemo.domain.scenario import Scenario
from lemo.domain.scope import Scope
from lemo.serving.breaker import Breaker
from lemo.stores.connect import Stores
from lemo.streams import Message, Publisher
from lemo.streams.messages import event_message, item_message, item_topic
from lemo.streams.traced import published

MOST = 10_000
"""Items or events that one request may carry."""

_Checked = tuple[str, Any, Message]
"""The id of an item or event, what may not differ where it comes again, and the message that carries it."""


class Rejected(BaseModel):
    """An item or event that was not taken: its place in the request's list, from 0, and why."""

    index: int
    reason: str


class Accepted(BaseModel):
    """What became of a request's items or events. The accepted ones are durably in the ingest log."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "accepted": 1,
                "repeated": 0,
                "rejected": [{"index": 1, "reason": "timestamp: is more than one hour in the future"}],
            }
        }
    )

    accepted: int
    repeated: int = Field(
        0, description="Of the accepted ones, those that repeat an id of the request: each counts once."
    )
    rejected: list[Rejected]


class Ingest:
    """Publishes what requests bring. One per process, safe for threads."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._settings = stores.settings
        self._publisher: Publisher | None = None
        self._lock = Lock()
        self._breaker = Breaker()

    def items(self, scope: Scope, scenario: Scenario, raw: Sequence[Any]) -> Accepted:
        """Publishes the good items and says which are not; raises TooLarge and EngineUnavailable."""
        topic = item_topic(self._settings.kafka_item_ingest_topics, scenario.template)

        def message(each: Any) -> _Checked:
            item = Item.model_validate(each)
            return item.item_id, None, item_message(scope, item)

        messages, accepted = _checked(raw, message)
        with published(self._settings, topic, messages) as carrying:
            self._publish(topic, carrying)
        return accepted

    def events(self, scope: Scope, scenario: Scenario, raw: Sequence[Any]) -> Accepted:
        """Publishes the good events and says which are not; raises TooLarge and EngineUnavailable."""
        messages, accepted = self.checked_events(scope, scenario, raw)
        with self.carrying(messages) as carrying:
            self.publish_events(carrying)
        return accepted

    def checked_events(
        self, scope: Scope, scenario: Scenario, raw: Sequence[Any]
    ) -> tuple[Sequence[Message], Accepted]:
        """The messages of the good events, and which are not good; raises TooLarge."""

        def message(each: Any) -> _Checked:
            event = Event.model_validate(each)
            if event.action not in scenario.actions:
                known = ", ".join(sorted(scenario.actions))
                raise InvalidInput(f"action: {event.action!r} is not known in this scenario; it knows {known}")
            return event.event_id, event.contents(), event_message(scope, event)

        return _checked(raw, message)

    def carrying(self, events: Sequence[Message]) -> AbstractContextManager[Sequence[Message]]:
        """Around the publishing of a request's events: they carry its trace, where traces are on."""
        return published(self._settings, self._settings.kafka_event_topic, events)

    def publish_events(self, messages: Sequence[Message]) -> None:
        """Returns when the log has them; raises EngineUnavailable."""
        self._publish(self._settings.kafka_event_topic, messages)

    def _publish(self, topic: str, messages: Sequence[Message]) -> None:
        if not messages:
            return
        if not self._breaker.allows():
            raise EngineUnavailable("The ingest log does not answer.", "Nothing was taken; send it again later.")
        try:
            self._ready_publisher().publish(topic, messages)
        except EngineUnavailable:
            self._breaker.failed()
            raise
        self._breaker.worked()

    def _ready_publisher(self) -> Publisher:
        with self._lock:
            if self._publisher is None:
                # The first message may come before any consumer made the topics.
                self._stores.log.create_topics(
                    [*self._settings.kafka_item_ingest_topics, self._settings.kafka_event_topic]
                )
                self._publisher = self._stores.log.publisher()
            return self._publisher

    def close(self) -> None:
        """Lets go of connections."""
        with self._lock:
            if self._publisher is not None:
                self._publisher.close()
                self._publisher = None


def _checked(raw: Sequence[Any], message: Callable[[Any], _Checked]) -> tuple[list[Message], Accepted]:
    """The messages of what is good, and what is not; raises TooLarge."""
    if len(raw) > MOST:
        raise TooLarge(f"One request may carry {MOST:,}; this one carries {len(raw):,}.", "Send them in parts.")
    messages: list[Message] = []
    rejected: list[Rejected] = []
    seen: dict[str, Any] = {}
    for index, each in enumerate(raw):
        try:
            name, contents, checked = message(each)
            if seen.setdefault(name, contents) != contents:
                raise InvalidInput(f"event_id: {name[:80]!r} {OTHER_CONTENTS}")
            messages.append(checked)
        except ValidationError as error:
            rejected.append(Rejected(index=index, reason=reason(error)))
        except InvalidInput as error:
            rejected.append(Rejected(index=index, reason=error.message))
        except OverflowError:
            rejected.append(Rejected(index=index, reason="a number is too large"))
    return messages, Accepted(accepted=len(messages), repeated=len(messages) - len(seen), rejected=rejected)
