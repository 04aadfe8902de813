"""Flink's jobs give what the worker gives, row by row: through repeats, late and bad events, kills and savepoints."""

import json
import os
import random
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from flink_clusters import Cluster, running_cluster
from lemo.diagnostics.service_probes import probe_flink
from lemo.domain.event import Event
from lemo.domain.realtime import HALF_LIVES, MinuteRow, SessionRow
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.jobs.realtime import aggregate
from lemo.jobs.report import unattended
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.flink import JOBS, Flink, FlinkJob
from lemo.streams import Message
from lemo.streams.messages import event_message
from servers import ROOT
from sites import wait_for

pytestmark = [pytest.mark.flink, pytest.mark.timeout(3_000)]

EVENTS = int(os.environ.get("LEMO_TEST_FLINK_EVENTS", "10000"))
SECONDS = float(os.environ.get("LEMO_TEST_FLINK_SECONDS", "240"))
"""Longest wait for a step: a loaded machine needs more."""


class Installation:
    """An installation with Flink: its settings, its stores, its scenario."""

    def __init__(self, home: Path, redis_url: str, clickhouse_url: str, kafka_servers: str, flink_url: str) -> None:
        own = f"f{uuid.uuid4().hex[:10]}"
        self.variables = {
            "LEMO_HOME": str(home),
            "LEMO_INSTALLATION": own,
            "LEMO_REDIS_URL": redis_url,
            "LEMO_CLICKHOUSE_URL": clickhouse_url,
            "LEMO_KAFKA_BOOTSTRAP_SERVERS": kafka_servers,
            "LEMO_FLINK_URL": flink_url,
        }
        home.mkdir(exist_ok=True)
        self.settings = Settings(
            home=home,
            installation=own,
            redis_url=redis_url,
            clickhouse_url=clickhouse_url,
            kafka_bootstrap_servers=kafka_servers,
            flink_url=flink_url,
        )
        self.stores = Stores(self.settings)
        self.scope = Scope("default", "shop")
        self.stores.tenants.create(self.scope.tenant_id)
        self.stores.scenarios.create(self.scope.tenant_id, scenario_from_template("shop", "ecommerce"))

    @contextmanager
    def consuming(self) -> Iterator[None]:
        """With a consumer, in a process of its own."""
        command = [sys.executable, "-m", "lemo.cli.main", "consumer"]
        with (self.settings.state / "consumer.txt").open("ab") as log:
            consumer = subprocess.Popen(command, env=os.environ | self.variables, stdout=log, stderr=log)
        try:
            yield
        finally:
            consumer.terminate()
            consumer.wait(60)

    def publish(self, messages: Sequence[Message]) -> None:
        publisher = self.stores.log.publisher()
        publisher.publish(self.settings.kafka_event_topic, messages)
        publisher.close()

    def lemo(self, cluster: Cluster, *words: str) -> str:
        """Runs a command, as an operator would beside Flink."""
        done = subprocess.run(
            [sys.executable, "-m", "lemo.cli.main", *words],
            env=cluster.environment | self.variables,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def submit(self, cluster: Cluster, *words: str) -> None:
        tools = ("--flink", str(cluster.program), "--connector", str(cluster.connector), "--checkpoint-seconds", "3")
        self.lemo(cluster, "flink", "submit", *words, *tools)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("flink")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    redis_url: str,
    clickhouse_url: str,
    kafka_servers: str,
    cluster: Cluster,
) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("site"), redis_url, clickhouse_url, kafka_servers, cluster.url)
    with made.consuming():
        topics = {made.settings.kafka_accepted_topic, made.settings.kafka_realtime_topic}
        eventually(lambda: topics <= set(made.stores.log.topics(made.settings.installation)), SECONDS)
        made.submit(cluster)
        eventually(lambda: {job.name for job in running(made)} == set(JOBS), SECONDS)
        yield made
    made.stores.close()


def eventually(condition: Callable[[], bool], seconds: float) -> None:
    """Returns when the condition holds, asking twice a second: each question is a query of many rows."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {seconds:.0f} s"
        threading.Event().wait(0.5)


def running(site: Installation) -> list[FlinkJob]:
    flink = Flink(site.settings.flink_url, 30)
    try:
        return [job for job in flink.jobs() if job.state == "RUNNING"]
    finally:
        flink.close()


def events_of(prefix: str, count: int) -> list[Event]:
    """Events of the last twenty hours, not in the order of time."""
    draw = random.Random(prefix)
    now = time.time()
    actions = ["impression"] * 5 + ["click", "click", "view", "cart", "order", "not_interested"]
    return [
        Event(
            event_id=f"{prefix}-{number}",
            user_id=f"u{draw.randrange(count // 20)}",
            item_id=f"i{draw.randrange(500)}",
            action=(action := draw.choice(actions)),
            timestamp=now - min(draw.expovariate(1 / 3600), 72_000),
            value=draw.choice([2.5, 10.0]) if action == "order" else None,
            attributes={"placement": draw.choice(["home", "cart/首页"])},
        )
        for number in range(count)
    ]


def messages_of(scope: Scope, events: Sequence[Event]) -> list[Message]:
    """The events with repeats of a tenth of them, and bad messages among them."""
    draw = random.Random(len(events))
    sent = [event_message(scope, event) for event in events]
    sent += draw.sample(sent, len(sent) // 10)
    bad = [Message(b"{broken"), Message(json.dumps({"tenant_id": "default", "scenario_id": "shop"}).encode())]
    sent += bad * (len(events) // 1_000)
    draw.shuffle(sent)
    return sent


Rows = tuple[list[SessionRow], list[MinuteRow], dict[str, dict[str, float]]]


def rows_of(stores: Stores, scope: Scope) -> Rows:
    hot = {name: dict(stores.hot_scores.read(scope, name, 1_000).levels) for name in HALF_LIVES}
    return stores.realtime.sessions(scope), stores.realtime.minutes(scope), hot


def by_the_worker(site: Installation, name: str) -> Rows:
    """What the worker makes of the same events, in tables and keys of its own."""
    with_worker = site.settings.model_copy(
        update={"installation": f"{site.settings.installation}{name}", "clickhouse_database": f"worker_{name}"}
    )
    stores = Stores(with_worker)
    stores.events.migrate()
    rows = site.stores.events.all_rows(site.scope)
    names = ("event_id", "user_id", "item_id", "action", "value")
    events = [
        Event.model_validate(
            {field: row[field] for field in names}
            | {"timestamp": row["timestamp"] / 1000, "attributes": json.loads(row["attributes"] or "{}")}
        )
        for row in rows
    ]
    scope = Scope(f"{site.settings.installation}{name}", "shop")
    stores.tenants.create(scope.tenant_id)
    stores.scenarios.create(scope.tenant_id, scenario_from_template("shop", "ecommerce"))
    stores.events.insert([(scope, event) for event in events])
    aggregate(stores, scope, unattended())
    found = rows_of(stores, scope)
    stores.close()
    return found


def check_equal(site: Installation, count: int, name: str) -> None:
    """Waits until all events are in, and Flink's rows are the worker's."""
    stores, scope = site.stores, site.scope
    eventually(lambda: stores.events.count(scope) == count, SECONDS)
    sessions, minutes, hot = by_the_worker(site, name)
    eventually(lambda: stores.realtime.minutes(scope) == minutes, SECONDS)
    eventually(lambda: stores.realtime.sessions(scope) == sessions, SECONDS)
    eventually(lambda: rows_of(stores, scope)[2] == {life: pytest.approx(hot[life], abs=1e-6) for life in hot}, SECONDS)


def test_flinks_rows_are_the_workers_though_its_processes_are_killed(site: Installation, cluster: Cluster) -> None:
    events = events_of("first", EVENTS)
    messages = messages_of(site.scope, events)
    third = len(messages) // 3
    site.publish(messages[:third])
    eventually(lambda: site.stores.realtime.minutes(site.scope) != [], SECONDS)
    cluster.kill("taskmanager")
    site.publish(messages[third : 2 * third])
    cluster.start("taskmanager")
    eventually(lambda: all(job.checkpoint for job in running(site)) and len(running(site)) == len(JOBS), SECONDS)
    before = {job.name: job.checkpoint for job in running(site)}
    cluster.kill()
    site.publish(messages[2 * third :])
    cluster.start()
    for job, checkpoint in before.items():
        site.submit(cluster, job, "--from", checkpoint)
    check_equal(site, EVENTS, "killed")


def test_a_savepoint_carries_the_state_into_the_next_job(site: Installation, cluster: Cluster) -> None:
    known = site.stores.events.count(site.scope)
    stopped = json.loads(site.lemo(cluster, "flink", "stop", "--format", "json"))
    assert {each["job"] for each in stopped} == set(JOBS)
    assert probe_flink(site.settings).state == "warning"
    site.publish(messages_of(site.scope, events_of("second", 2_000)))
    for each in stopped:
        site.submit(cluster, each["job"], "--from", each["savepoint"])
    check_equal(site, known + 2_000, "savepoint")
    eventually(lambda: probe_flink(site.settings).state == "ok", SECONDS)
    told = probe_flink(site.settings)
    assert all(f"{name} running, checkpoint " in told.detail for name in JOBS)
    assert "events behind" in told.detail
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
        wait_for(partial(is_hot, site, event.item_id), 30)
        took.append(time.monotonic() - began)
    took.sort()
    print(f"click to hot score: p50 {took[49]:.2f} s, p99 {took[98]:.2f} s")  # noqa: T201 - the figure that was asked for
    assert took[98] < 5
