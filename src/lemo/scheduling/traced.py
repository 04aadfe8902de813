"""Spans of tasks: one where a task is sent, and one below it where a worker performs it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lemo.telemetry.tracing import HEADERS, traces

_ABOUT = {"messaging.system": "redis"}


@contextmanager
def sent(task: str) -> Iterator[None]:
    """Around the sending of a task, which then carries the span (`broker`)."""
    found = traces()
    if found is None:
        yield
        return
    with found.span(f"send {task}", "producer", {**_ABOUT, "messaging.operation.type": "send", "lemo.task": task}):
        yield


@contextmanager
def performed(task: str, headers: Mapping[str, Any] | None, **about: str) -> Iterator[None]:
    """Around a task in the worker, below whoever sent it. `about`: its scenario and run."""
    found = traces()
    if found is None:
        yield
        return
    carried = {name: value for name in HEADERS if isinstance(value := (headers or {}).get(name), str)}
    attributes = {f"lemo.{name}": value for name, value in about.items() if value}
    attributes |= {**_ABOUT, "messaging.operation.type": "process", "lemo.task": task}
    with found.span(f"perform {task}", "consumer", attributes, found.parent(carried)):
        yield
