"""Flink's jobs give what the worker gives, row by row: through repeats, bad events, kills and an upgrade."""

import json
import os
import random
import shutil
import time
from functools import partial
from pathlib import Path

import pytest

from flink_clusters import Cluster
from flink_sites import Installation, check_equal, live
from lemo.console.ingest.flink import read_jobs
from lemo.console.queries import Queries
from lemo.diagnostics.service_probes import probe_flink
from lemo.domain.event import Event
from lemo.stores.flink import JOBS
from lemo.streams.messages import event_message
from servers import ROOT
from sites import wait_for

pytestmark = [pytest.mark.flink, pytest.mark.timeout(7_200)]

EVENTS = int(os.environ.get("LEMO_TEST_FLINK_EVENTS", "20000"))
KILLS = (("taskmanager",), ("taskmanager",), ("taskmanager",), ("jobmanager",), ("jobmanager", "taskmanager"))
UPGRADE = {
    "sessions.py": ("PAUSE_MS = 1_000", "PAUSE_MS = 500"),
    "hot_scores.py": ("PAUSE_MS = 1_000", "PAUSE_MS = 500"),
    "realtime_metrics.py": ('allow-latency": "1 s"', 'allow-latency": "2 s"'),
}
"""What the next version of each job changes."""


def test_flinks_rows_are_the_workers_though_its_processes_are_killed(site: Installation, cluster: Cluster) -> None:
    seed = time.time_ns()
    print(f"kills by seed {seed}")  # noqa: T201 - to repeat them
    draw = random.Random(seed)
    batches = -(-EVENTS // 5_000) + 1  # the last one: when all is sent
    kills = [(draw.randrange(batches), names) for names in draw.sample(KILLS, len(KILLS))]

    began = time.monotonic()

    def kill(batch: int) -> None:
        for _, names in filter(lambda each: each[0] == batch, kills):
            before = live(site)
            print(f"batch {batch} after {time.monotonic() - began:.0f} s: {' and '.join(names)} killed")  # noqa: T201
            cluster.kill(*names)
            cluster.start(*names)
            # A job manager without high availability forgets its jobs: an operator submits them again.
            if "jobmanager" in names:
                site.submit(cluster, {job.name: cluster.newest_checkpoint(job.job_id) for job in before})

    site.send("killed", EVENTS, kill)
    kill(batches - 1)
    check_equal(site)
    print(f"{EVENTS:,} events and {len(KILLS)} kills: {time.monotonic() - began:.0f} s")  # noqa: T201


def test_a_savepoint_carries_the_state_into_the_next_version_of_a_job(
    site: Installation, cluster: Cluster, tmp_path: Path
) -> None:
    savepoints = site.stop(cluster)
    assert probe_flink(site.settings).state == "warning"
    site.send("meanwhile", 2_000)
    folder = tmp_path / "flink"
    shutil.copytree(ROOT / "deploy" / "flink", folder)
    for name, (before, after) in UPGRADE.items():
        text = (folder / name).read_text()
        assert text.count(before) == 1, name
        (folder / name).write_text(text.replace(before, after))
    site.submit(cluster, savepoints, "--folder", str(folder))
    site.send("upgraded", 2_000)
    check_equal(site)
    wait_for(lambda: probe_flink(site.settings).state == "ok", 60)
    told = probe_flink(site.settings)
    assert all(f"{name} running, checkpoint " in told.detail for name in JOBS)
    assert "events behind" in told.detail
    queries = Queries(site.settings)
    wait_for(lambda: [job.behind for job in read_jobs(queries)] == [0, 0, 0], 60)
    assert [(job.name, job.late) for job in read_jobs(queries)] == [(name, False) for name in JOBS]
    queries.close()
    listed = json.loads(site.lemo(cluster, "flink", "list", "--format", "json"))
    assert {each["job"] for each in listed if each["state"] == "RUNNING"} == set(JOBS)


def is_hot(site: Installation, item_id: str) -> bool:
    return item_id in site.stores.hot_scores.read(site.scope, "10m", 1_000).levels


def test_a_click_makes_its_item_hot_within_five_seconds(site: Installation) -> None:
    took = []
    for number in range(100):
        event = Event(user_id="u", item_id=f"hot{number}", action="click", timestamp=time.time())
        began = time.monotonic()
        site.publish([event_message(site.scope, event)])
        site.sent += 1
        wait_for(partial(is_hot, site, event.item_id), 30)
        took.append(time.monotonic() - began)
    took.sort()
    print(f"click to hot score: p50 {took[49]:.2f} s, p99 {took[98]:.2f} s")  # noqa: T201 - the figure that was asked for
    assert took[98] < 5
