"""Traces: one id from a request through the log to the stores, and from a schedule to the worker."""

import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import structlog

from collectors import Collector, Got, running_collector
from consumers import BOTH, connected, consume, consumer_settings, some_events, state
from lemo.domain.scope import Scope
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.streams.messages import event_message
from lemo.streams.traced import published
from lemo.telemetry.logging import configure
from lemo.telemetry.tracing import endpoint_of, start_traces, stop_traces, trace_id, traces
from servers import free_port
from sites import running_api

SCOPE = Scope("traced", "shop")
CALLER = "00-0123456789abcdef0123456789abcdef-00f067aa0ba902b7-01"
TRACE, CALLING_SPAN = CALLER.split("-")[1:3]
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with running_collector() as made:
        yield made


@pytest.fixture
def on(collector: Collector, tmp_path: Path) -> Iterator[Collector]:
    """Traces of this process, which go to the collector."""
    collector.spans.clear()
    collector.bodies.clear()
    start_traces("test", Settings(home=tmp_path, otlp_endpoint=collector.url))
    yield collector
    stop_traces()


@pytest.fixture
def off() -> None:
    assert traces() is None


@pytest.mark.parametrize("engine", BOTH)
def test_one_trace_goes_from_the_request_through_the_log_to_the_stores(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path, on: Collector
) -> None:
    settings = consumer_settings(request, engine, tmp_path, own_database=True)
    now = 1_700_000_000
    event = {"user_id": "secret-user", "item_id": "secret-item", "action": "click", "timestamp": now}
    with connected(settings, SCOPE) as stores:
        key = stores.api_keys.create(SCOPE.tenant_id).key
        headers = {"Authorization": f"Bearer {key}", "traceparent": CALLER}
        with running_api(Stores(settings)) as url, httpx.Client(base_url=url, headers=headers) as client:
            for _ in range(2):  # the first goes through FastAPI, the second, whose key is known, by the hot path
                answer = client.post("/v1/scenarios/shop/events", json={"events": [event]})
                assert answer.json()["accepted"] == 1, answer.text
            answer = client.post("/v1/scenarios/shop/items", json={"items": [{"item_id": "secret-item"}]})
            assert answer.json()["accepted"] == 1, answer.text
            assert client.get("/v1/scenarios/shop/popular", headers={"traceparent": ""}).is_success
            assert client.get("/health/live").is_success
        on_again(on, settings)
        consume(settings, stores)
        stop_traces()
        assert len(stores.events.interactions(SCOPE)) == 1

    spans = [span for span in on.spans if span.trace == TRACE]
    by_id = {span.id: span for span in spans}
    topic, items = settings.kafka_event_topic, settings.kafka_item_ingest_topics[0]
    ways = {
        tuple(each.name for each in way(by_id, span.id)) for span in spans if span.name.startswith(("write", "process"))
    }
    sending, taking = "POST /v1/scenarios/{scenario}/events", f"process {topic}"
    assert ways == {
        (sending, f"send {topic}", taking),
        (sending, f"send {topic}", taking, "write events"),
        (sending, f"send {topic}", taking, "write history"),
        ("POST /v1/scenarios/{scenario}/items", f"send {items}", f"process {items}"),
        ("POST /v1/scenarios/{scenario}/items", f"send {items}", f"process {items}", "write items"),
    }
    assert len(on.named(sending)) == len(on.named(taking)) == 2
    assert {each.parent for each in on.named(sending)} == {CALLING_SPAN}
    kinds = {span.name.partition(" ")[0]: span.kind for span in spans}
    assert kinds == {"POST": SERVER, "send": PRODUCER, "process": CONSUMER, "write": CLIENT}
    engines = {span.name: span.attributes["db.system.name"] for span in spans if span.kind == CLIENT}
    assert engines == {"write events": "clickhouse", "write history": "redis", "write items": "sqlite"}
    assert on.named(taking)[0].attributes["messaging.system"] == engine
    # The answer for everybody was asked for without a trace, and begins one; nobody traces what probes ask.
    [asked] = on.named("GET /v1/scenarios/{scenario}/popular")
    assert (asked.parent, asked.trace == TRACE) == ("", False)
    assert not any("/health" in span.name for span in on.spans)
    assert not any(secret in body for body in on.bodies for secret in (b"secret-", key.encode(), key[-16:].encode()))


def way(by_id: dict[str, Got], span_id: str) -> list[Got]:
    """The span with those above it, the highest first."""
    found = by_id.get(span_id)
    return [] if found is None else [*way(by_id, found.parent), found]


def on_again(collector: Collector, settings: Settings) -> None:
    """The API's end closed the traces of the process, which the consumer shares in this test."""
    stop_traces()
    start_traces("test", settings.model_copy(update={"otlp_endpoint": collector.url}))


def test_messages_with_and_without_a_trace_lead_to_the_same_state(
    request: pytest.FixtureRequest, tmp_path: Path, on: Collector
) -> None:
    """Old ones by a consumer that traces, and new ones by a consumer that knows nothing of traces."""
    states = []
    for place, carrying in enumerate([False, True]):
        settings = consumer_settings(request, "redis", tmp_path / str(place), own_database=True)
        with connected(settings, SCOPE) as stores:
            messages = [event_message(SCOPE, event) for event in some_events(20)]
            found = traces()
            assert found is not None
            with found.span("asked", "server"), published(settings, settings.kafka_event_topic, messages) as with_trace:
                assert all("traceparent" in each.headers for each in with_trace)
                publisher = stores.log.publisher()
                publisher.publish(settings.kafka_event_topic, with_trace if carrying else messages)
                publisher.close()
            if carrying:
                stop_traces()
            consume(settings, stores)
            states.append(state(stores, SCOPE))
    assert [span.name for span in on.spans if span.kind in (CONSUMER, CLIENT)] == []
    assert len(states[0]["events"]) == 20
    assert states[0] == states[1]


def test_off_means_no_header_no_span_and_no_layer(off: None, tmp_path: Path) -> None:
    from lemo.api.app import create_app
    from lemo.api.origins import Cors
    from lemo.api.server import server_of

    settings = Settings(home=tmp_path)
    messages = [event_message(SCOPE, event) for event in some_events(2)]
    with published(settings, "topic", messages) as same:
        assert same is messages
    assert trace_id() == ""
    stores = Stores(settings)
    assert type(server_of(create_app(stores)).config.app) is Cors
    stores.close()


def test_a_collector_that_is_away_stops_nothing_and_is_told_of_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    settings = Settings(home=tmp_path, otlp_endpoint=f"http://127.0.0.1:{free_port()}")
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        configure("test", settings)
        start_traces("test", settings)
        found = traces()
        assert found is not None
        with found.span("asked", "server"):
            structlog.get_logger().info("within")
            trace = trace_id()
        stop_traces()
    finally:
        root.handlers[:], _ = before
        root.setLevel(before[1])
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "within" in line and f"trace_id={trace}" in line]
    assert len([line for line in lines if "opentelemetry" in line]) == 1


@pytest.mark.parametrize(
    ("setting", "variables", "expected"),
    [
        ("", {}, None),
        ("http://a:4318/", {}, "http://a:4318/v1/traces"),
        ("http://a:4318", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b:4318"}, "http://a:4318/v1/traces"),
        ("", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b:4318"}, ""),
        ("", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b:4318/v1/traces"}, ""),
        ("http://a:4318", {"OTEL_SDK_DISABLED": "true"}, None),
    ],
)
def test_traces_are_on_where_an_endpoint_is_named(
    setting: str, variables: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert endpoint_of(Settings(home=tmp_path, otlp_endpoint=setting)) == expected
