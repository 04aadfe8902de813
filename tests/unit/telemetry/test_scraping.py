"""A service's own /metrics: on loopback, switched off by port 0, and never the end of the service."""

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge
from structlog.testing import capture_logs

from lemo.settings import Settings
from lemo.telemetry.scraping import serve_registry
from servers import free_port


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("lemo_answer", "The answer.", registry=registry).set(42)
    return registry


def test_a_taken_port_costs_the_metrics_and_says_what_to_do(registry: CollectorRegistry) -> None:
    settings = Settings(consumer_metrics_port=free_port())
    serve_registry(settings, "consumer", registry)
    served = httpx.get(f"http://127.0.0.1:{settings.consumer_metrics_port}/metrics", trust_env=False)
    assert "lemo_answer 42.0" in served.text.splitlines()
    with capture_logs() as lines:
        serve_registry(settings, "consumer", registry)
    assert [line["hint"] for line in lines] == ["give it another LEMO_CONSUMER_METRICS_PORT, or 0 for none"]


def test_port_0_serves_nothing(registry: CollectorRegistry) -> None:
    with capture_logs() as lines:
        serve_registry(Settings(worker_metrics_port=0), "worker", registry)
    assert lines == []
