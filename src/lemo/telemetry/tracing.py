"""Traces by OpenTelemetry, off unless an OTLP endpoint is set: few spans of our own, no instrumentation of libraries.

OpenTelemetry is imported only where traces are on. Attributes hold no id of a user or an item, no key and no message of
an error: what went wrong is told by its class, and its words stand in the log under the same `trace_id`.
"""

import atexit
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

import structlog

from lemo import __version__
from lemo.settings import Settings
from lemo.threads import run_in_thread

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

Kind = Literal["server", "producer", "consumer", "client"]
Attributes = Mapping[str, str | int]
HEADERS = ("traceparent", "tracestate")
"""The headers of W3C Trace Context, of requests and of messages."""
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_LOGGER = "opentelemetry"
_QUIET_SECONDS = 60.0
_CLOSE_SECONDS = 5.0
"""How long a service that ends waits for the collector."""

log = structlog.get_logger()


class Traces:
    """The spans of one service, which a thread exports. Safe for threads."""

    def __init__(self, service: str, exporter: "SpanExporter") -> None:
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say comes last, and wins.
        ours = Resource({"service.name": f"lemo-{service}", "service.version": __version__})
        resource = ours.merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        # Not the global provider: libraries that bring spans of their own stay silent.
        self._tracer = self._provider.get_tracer("lemo", __version__)
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def span(
        self, name: str, kind: Kind, attributes: Attributes | None = None, parent: "Context | None" = None
    ) -> "Iterator[Span]":
        """A span that is current within the block; below `parent`, else below the one that is current now.

        An error that leaves the block marks the span with its class.
        """
        from opentelemetry.trace import use_span

        span = self.start(name, kind, attributes, parent)
        with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield span
            except BaseException as error:
                failed(span, type(error).__name__)
                raise

    def start(
        self,
        name: str,
        kind: Kind,
        attributes: Attributes | None = None,
        parent: "Context | None" = None,
        started: int | None = None,
    ) -> "Span":
        """A span that the caller ends; `started` in Unix nanoseconds, else now."""
        from opentelemetry.trace import SpanKind

        return self._tracer.start_span(
            name, parent, kind=SpanKind[kind.upper()], attributes=dict(attributes or {}), start_time=started
        )

    def headers(self) -> dict[str, str]:
        """The headers by which others continue the trace of the current span; none where it is not recorded."""
        from opentelemetry.trace import get_current_span

        headers: dict[str, str] = {}
        if get_current_span().is_recording():
            self._propagator.inject(headers)
        return headers

    def parent(self, headers: Mapping[str, str]) -> "Context | None":
        """The span that headers name; None where they name none."""
        from opentelemetry.trace import get_current_span

        context = self._propagator.extract(headers)
        return context if get_current_span(context).get_span_context().is_valid else None

    def recorded_parent(self, headers: Mapping[str, str]) -> "Context | None":
        """The span that headers name, where its sender records it."""
        from opentelemetry.trace import get_current_span

        context = self.parent(headers)
        sampled = context is not None and get_current_span(context).get_span_context().trace_flags.sampled
        return context if sampled else None

    def close(self) -> None:
        """Exports what is left, for a few seconds; spans that end later are lost."""
        done = run_in_thread(self._provider.shutdown, "traces-end")
        try:
            done.result(_CLOSE_SECONDS)
        except TimeoutError:
            log.warning("the last spans are lost: the collector does not answer")


def failed(span: "Span", kind: str) -> None:
    """Marks a span as failed by this class of error."""
    from opentelemetry.trace import StatusCode

    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


_traces: Traces | None = None


def start_traces(service: str, settings: Settings) -> None:
    """Begins to trace this process as a service, where an endpoint is set; warns where the packages are missing."""
    global _traces
    endpoint = endpoint_of(settings)
    if endpoint is None or _traces is not None:
        return
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        log.warning("no traces: OpenTelemetry is not installed", hint="pip install 'lemo-recommender[tracing]'")
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    _traces = Traces(service, OTLPSpanExporter(endpoint=endpoint or None))
    atexit.register(stop_traces)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_AtMostOnceAMinute(_LOGGER))


def stop_traces() -> None:
    """Exports what is left, and traces no more."""
    global _traces
    if _traces is not None:
        _traces.close()
        _traces = None


def traces() -> Traces | None:
    """The traces of this process; None while they are off."""
    return _traces


def endpoint_of(settings: Settings) -> str | None:
    """The address that spans are sent to; None: traces are off; empty: the exporter reads it from its own variables."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if settings.otlp_endpoint:
        return f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
    return "" if any(os.environ.get(name) for name in _ENDPOINTS) else None


def trace_id() -> str:
    """The id of the trace that the current span belongs to; empty without one."""
    if _traces is None:
        return ""
    from opentelemetry.trace import format_trace_id, get_current_span

    context = get_current_span().get_span_context()
    return format_trace_id(context.trace_id) if context.is_valid else ""


class _AtMostOnceAMinute(logging.Filter):
    """Passes at most one line a minute of the exporter, which would write several for each attempt of each batch."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._prefix = name
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if not record.name.startswith(self._prefix):
            return True
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + _QUIET_SECONDS
        return True
