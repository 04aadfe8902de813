"""Spans of a batch: the consumer's, and one for each write, in each trace that the batch's messages belong to.

A batch is written at once, so the writes of all its traces have the same times.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lemo.settings import Settings
from lemo.streams import Message, Record
from lemo.streams.dead_letters import is_part
from lemo.streams.topics import Topics
from lemo.streams.traced import context_of, system_of
from lemo.telemetry.tracing import Attributes, Traces, failed, traces

if TYPE_CHECKING:
    from opentelemetry.context import Context

MOST_TRACES = 100
"""Traces of a batch that get spans; a batch may hold thousands, whose spans would cost more than their events."""
_EVENTS, _ITEMS = "events", "items"


@dataclass(slots=True)
class _Traced:
    """The messages of a batch that carry one context, which are of one topic: whoever sends them names one."""

    parent: "Context"
    topic: str
    messages: int = 0
    refused: int = 0
    """Messages that were refused as a whole."""
    letters: int = 0
    """Dead letters, also those of single items of a message."""


@dataclass(frozen=True, slots=True)
class _Write:
    stage: str
    started: int
    ended: int
    rows: int
    error: str


@dataclass(slots=True)
class BatchTrace:
    """What is told of a batch once it is written. The writing threads note their writes."""

    found: Traces
    settings: Settings
    size: int
    of: dict[str, _Traced]
    started: int = field(default_factory=time.time_ns)
    writes: list[_Write] = field(default_factory=list)

    @classmethod
    def begun(cls, settings: Settings, records: Sequence[Record], dead: Sequence[Message]) -> "BatchTrace | None":
        """None where traces are off, or no record belongs to a trace that is recorded. `dead`: the refused ones."""
        found = traces()
        if found is None:
            return None
        of: dict[str, _Traced] = {}
        for record in records:
            carried = context_of(record.headers)
            key = carried.get("traceparent", "")
            if key and key not in of and len(of) < MOST_TRACES:
                parent = found.recorded_parent(carried)
                if parent is not None:
                    of[key] = _Traced(parent, record.topic)
            if key in of:
                of[key].messages += 1
        for letter in dead:  # it keeps the headers of its message
            key = context_of(letter.headers).get("traceparent", "")
            if key in of:
                of[key].letters += 1
                of[key].refused += not is_part(letter)
        return cls(found, settings, len(records), of) if of else None

    @contextmanager
    def write(self, stage: str, rows: int) -> Iterator[None]:
        """Notes a write, also one that failed and is tried again."""
        started, error = time.time_ns(), ""
        try:
            yield
        except BaseException as caught:
            error = type(caught).__name__
            raise
        finally:
            if rows:
                self.writes.append(_Write(stage, started, time.time_ns(), rows, error))

    def end(self) -> None:
        """Makes the spans, when the batch is written."""
        from opentelemetry.trace import set_span_in_context

        ended = time.time_ns()
        topics = Topics(self.settings)
        for each in self.of.values():
            topic = topics.label_of(each.topic)
            about: Attributes = {
                "messaging.system": system_of(self.settings),
                "messaging.operation.type": "process",
                "messaging.destination.name": topic,
                "messaging.consumer.group.name": self.settings.kafka_group,
                "messaging.batch.message_count": self.size,
                "lemo.messages": each.messages,
            }
            span = self.found.start(f"process {topic}", "consumer", about, each.parent, self.started)
            inside = set_span_in_context(span)
            for write in self.writes:
                if write.stage in self._stages(each):
                    engine = self._engine(write.stage)
                    rows: Attributes = {"db.system.name": engine, "db.operation.batch.size": write.rows}
                    child = self.found.start(f"write {write.stage}", "client", rows, inside, write.started)
                    if write.error:
                        failed(child, write.error)
                    child.end(write.ended)
            span.end(ended)

    def _stages(self, each: _Traced) -> set[str]:
        """The stages that write messages of the topic."""
        good = {_ITEMS} if each.topic in Topics(self.settings).items else {_EVENTS, "history"}
        return (good if each.refused < each.messages else set()) | ({"dead-letters"} if each.letters else set())

    def _engine(self, stage: str) -> str:
        if stage == _ITEMS:
            return "mongodb" if self.settings.mongo_url else "sqlite"
        if stage == "dead-letters":
            return system_of(self.settings)
        return "clickhouse" if stage == _EVENTS else "redis"
