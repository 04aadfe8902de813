"""While Flink is away serving goes on and says how old hot scores are; the worker takes over, and Flink again."""

import os
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest

from flink_clusters import Cluster
from flink_sites import SECONDS, Installation, WorkersPath, all_in, check_equal, eventually, live
from lemo.domain.event import Event
from lemo.jobs.realtime import aggregate
from lemo.jobs.report import unattended
from lemo.stores.connect import Stores
from lemo.streams.messages import event_message
from sites import model_of, publish_model, running_api

pytestmark = [pytest.mark.flink, pytest.mark.timeout(3_600)]

AWAY_SECONDS = float(os.environ.get("LEMO_TEST_FLINK_AWAY_SECONDS", "10"))
"""How long Flink is stopped."""


def ask(http: httpx.Client) -> dict[str, Any]:
    response = http.post("/v1/scenarios/shop/recommendations", json={"user_id": "u1", "n": 5})
    assert response.status_code == 200, response.text
    return dict(response.json())


def answer(http: httpx.Client) -> tuple[datetime, list[Any]]:
    """Up to when events count in an answer, and its items."""
    body = ask(http)
    assert body["degraded"] is False
    return datetime.fromisoformat(body["hot_until"]), body["items"]


def test_serving_goes_on_while_flink_is_stopped_and_says_how_old_hot_scores_are(
    site: Installation, cluster: Cluster
) -> None:
    stores = Stores(site.settings)
    publish_model(stores, site.scope, "1", model_of())
    key = stores.api_keys.create(site.scope.tenant_id).key
    site.send("before", 200)
    check_equal(site)
    with running_api(stores) as address, httpx.Client(base_url=address, timeout=SECONDS) as http:
        http.headers["Authorization"] = f"Bearer {key}"
        put = http.put("/v1/scenarios/shop/pipeline", json={"pipeline": {"hot": {"weight": 1, "half_life": "10m"}}})
        assert put.status_code == 200, put.text
        eventually(lambda: "hot_until" in ask(http))
        jobs = live(site)
        cluster.kill()
        stopped = datetime.now(UTC)
        first, _ = answer(http)
        deadline = time.monotonic() + AWAY_SECONDS
        asked = 0
        while time.monotonic() < deadline or asked < 5:
            site.send(f"away-{asked}", 100)
            until, items = answer(http)
            assert items
            assert until < stopped
            asked += 1
        all_in(site)
        again = datetime.now(UTC)
        # Results that were under way when Flink was killed may have come in since.
        assert first <= answer(http)[0] < stopped
        cluster.start()
        site.submit(cluster, {job.name: cluster.newest_checkpoint(job.job_id) for job in jobs})
        check_equal(site)
        site.send("after", 20)
        eventually(lambda: answer(http)[0] > again - timedelta(seconds=1))
        print(f"away for {(again - stopped).total_seconds():.0f} s: {asked} answers")  # noqa: T201


def test_a_switch_to_the_worker_and_back_loses_and_doubles_nothing(site: Installation, cluster: Cluster) -> None:
    # Older than what Flink counts: left to the worker.
    day_old = [
        Event(event_id=f"late-{number}", user_id=f"u{number}", item_id="i1", action="click", timestamp=at)
        for number, at in enumerate(time.time() - 90_000 - 60 * number for number in range(50))
    ]
    site.publish([event_message(site.scope, event) for event in day_old] * 2)
    site.sent += len(day_old)
    site.send("with Flink", 1_000)
    all_in(site)
    worker = WorkersPath(site)
    eventually(partial(lambda found: found.differing("event_sessions") == len(day_old), worker))
    worker.close()
    savepoints = site.stop(cluster)
    site.send("with the worker", 1_000)
    all_in(site)
    aggregate(site.stores, site.scope, unattended())
    check_equal(site)
    site.submit(cluster, savepoints)
    site.send("with Flink again", 1_000)
    check_equal(site)
    aggregate(site.stores, site.scope, unattended())
    check_equal(site)
