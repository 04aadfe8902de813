"""Drift: what was answered and clicked today moved away from the week before, is measured hourly and exported."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from consumers import connected, consumer_settings
from lemo.diagnostics.installation_metrics import Installation
from lemo.domain.event import Event
from lemo.domain.scope import Scope
from lemo.jobs.drift import FEWEST_ANSWERS, drift
from lemo.scheduling.execution import execute
from lemo.scheduling.jobs import job_of
from lemo.stores.clickhouse.served import ServedRow
from lemo.stores.connect import Stores

SCOPE = Scope("drifting", "shop")
HOUR = 3_600_000
NOW = time.time_ns() // 1_000_000
TODAY, BEFORE = NOW - 5 * HOUR, NOW - 100 * HOUR
ITEMS = 4


@pytest.fixture
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    settings = consumer_settings(request, "redis", tmp_path, own_database=True)
    with connected(settings, SCOPE) as made:
        made.events.migrate()
        yield made


def answer(stores: Stores, at: int, count: int, shift: float, clicked: float, degraded: bool = False) -> None:
    """Answers whose scores are drawn around `shift`, of which a share is clicked."""
    draw = random.Random(at + degraded)
    rows, events = [], []
    for number in range(count):
        request, user = f"{at}-{degraded}-{number}", f"u{number % 50}"
        scores = sorted((draw.gauss(shift, 1) for _ in range(ITEMS)), reverse=True)
        items = [f"i{place}" for place in range(ITEMS)]
        rows.append(
            ServedRow(
                SCOPE.tenant_id, SCOPE.scenario_id, at + number, request, "recommendations", user, [], [], "", items,
                ["ridge"] * ITEMS, [False] * ITEMS, [None] * ITEMS, "1", None, "", "", degraded, 900, 1.0, "", scores,
            )
        )  # fmt: skip
        acts = ["impression", "click"] if number < clicked * count else ["impression"]
        events += [
            Event(user_id=user, item_id="i0", action=act, timestamp=at + number + 1_000, request_id=request)
            for act in acts
        ]
    stores.served.insert(rows)
    stores.events.insert([(SCOPE, event) for event in events])


def test_what_moved_is_measured_and_what_did_not_is_near_zero(stores: Stores) -> None:
    assert drift(stores, SCOPE) == {}
    answer(stores, BEFORE, 1_000, 0.0, 0.4)
    assert drift(stores, SCOPE) == {}, "there is nothing to compare with"
    answer(stores, TODAY, FEWEST_ANSWERS, 0.0, 0.38)
    answer(stores, TODAY, 2_000, 9.0, 0.38, degraded=True)  # popular items, which have other scores
    answer(stores, NOW - HOUR // 2, 2_000, 9.0, 0.0)  # its clicks are still to come
    calm = drift(stores, SCOPE)
    assert 0 <= calm["score_psi"] < 0.02
    assert calm["ctr_change"] == pytest.approx(-0.05, abs=0.001)

    answer(stores, TODAY - HOUR, 2_000, 1.0, 0.0)
    moved = drift(stores, SCOPE)
    assert moved["score_psi"] > 0.25
    assert moved["ctr_change"] < -0.3


def test_the_hourly_run_tells_prometheus(stores: Stores) -> None:
    answer(stores, BEFORE, 600, 0.0, 0.4)
    answer(stores, TODAY, 600, 1.5, 0.1)
    job = job_of("check-experiments-hourly")
    stores.availability.rebuild(SCOPE, [])
    run = stores.runs.create(SCOPE.tenant_id, job.entry, SCOPE.scenario_id, "manual")
    execute(stores, job, SCOPE, run.run_id)
    detail = stores.runs.get(SCOPE.tenant_id, run.run_id).detail
    registry = CollectorRegistry()
    registry.register(Installation(stores))
    assert registry.get_sample_value("lemo_drift_score_psi") == detail["score_psi"] > 0.25
    assert registry.get_sample_value("lemo_drift_ctr_change") == detail["ctr_change"] == -0.75
