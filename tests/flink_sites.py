"""An installation with Flink for tests: its events, its jobs, and whether its rows are the worker's."""

import json
import os
import random
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import clickhouse_connect
import pytest

from flink_clusters import Cluster
from lemo.domain.event import Event
from lemo.domain.realtime import HALF_LIVES
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

SECONDS = float(os.environ.get("LEMO_TEST_FLINK_SECONDS", "240"))
"""Longest wait for a step: a loaded machine needs more."""
_BATCH = 5_000
_TABLES = {
    "event_sessions": "user_id, at, event_id, item_id, toString(action), session_id, place, ifNull(dwell_ms, -1)",
    "realtime_minutes": "minute, placement, events, impressions, clicks, conversions, value",
}
"""What is compared of each table."""


class Installation:
    """Its settings, its stores, its scenario."""

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
        self.sent = 0
        """Events that were published, each counted once."""
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

    def send(self, name: str, count: int, between: Callable[[int], None] | None = None) -> None:
        """Publishes events of the last twenty hours, not in the order of time, in batches.

        A tenth of a batch is repeated in it, another in the next one, and there are messages that are no events.
        `between` is called before each batch.
        """
        draw = random.Random(name)
        bad = [Message(b"{broken"), Message(json.dumps({"tenant_id": "default", "scenario_id": "shop"}).encode())]
        repeated: list[Message] = []
        for batch, start in enumerate(range(0, count, _BATCH)):
            if between:
                between(batch)
            numbers = range(start, min(start + _BATCH, count))
            events = [_event(draw, f"{name}-{number}", max(20, count // 20)) for number in numbers]
            own = [event_message(self.scope, event) for event in events]
            sent = own + repeated + draw.sample(own, len(own) // 10) + bad
            repeated = draw.sample(own, len(own) // 10)
            draw.shuffle(sent)
            self.publish(sent)
        self.sent += count

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

    def submit(self, cluster: Cluster, places: dict[str, str] | None = None, *words: str) -> None:
        """Submits the jobs, each from its savepoint or checkpoint where it has one, and waits until they run."""
        tools = ("--flink", str(cluster.program), "--connector", str(cluster.connector), "--checkpoint-seconds", "3")
        found = places or {}

        def one(job: str) -> None:
            self.lemo(
                cluster, "flink", "submit", job, *(("--from", found[job]) if found.get(job) else ()), *tools, *words
            )

        with ThreadPoolExecutor(len(JOBS)) as pool:
            list(pool.map(one, JOBS))
        eventually(lambda: [(job.name, job.state) for job in live(self)] == [(name, "RUNNING") for name in JOBS])

    def stop(self, cluster: Cluster) -> dict[str, str]:
        """Stops all jobs; returns the savepoint of each."""
        stopped = json.loads(self.lemo(cluster, "flink", "stop", "--format", "json"))
        assert {each["job"] for each in stopped} == set(JOBS)
        return {each["job"]: each["savepoint"] for each in stopped}


def _event(draw: random.Random, event_id: str, users: int) -> Event:
    action = draw.choice(["impression"] * 5 + ["click", "click", "view", "cart", "order", "not_interested"])
    return Event(
        event_id=event_id,
        user_id=f"u{draw.randrange(users)}",
        item_id=f"i{draw.randrange(500)}",
        action=action,
        timestamp=time.time() - min(draw.expovariate(1 / 3600), 72_000),
        value=draw.choice([2.5, 10.0]) if action == "order" else None,
        attributes={"placement": draw.choice(["home", "cart/首页"])},
    )


def eventually(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Returns when the condition holds, asking at most twice a second, and half of the time: many read many rows."""
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if condition():
            return
        assert time.monotonic() < deadline, f"it did not happen within {seconds:.0f} s"
        threading.Event().wait(max(0.5, time.monotonic() - began))


def live(site: Installation) -> list[FlinkJob]:
    """The jobs that run, or will again by themselves, by what Flink says."""
    flink = Flink(site.settings.flink_url, 30)
    try:
        return [job for job in flink.jobs() if job.live]
    finally:
        flink.close()


class WorkersPath:
    """What the worker alone makes of the same events, in tables and keys of its own, beside what the site has."""

    def __init__(self, site: Installation) -> None:
        self._site = site
        name = f"{site.settings.installation}w{uuid.uuid4().hex[:6]}"
        self._settings = site.settings.model_copy(update={"installation": name, "clickhouse_database": name})
        self._scope = Scope(name, "shop")
        stores = Stores(self._settings)
        stores.events.migrate()
        stores.tenants.create(name)
        stores.scenarios.create(name, scenario_from_template("shop", "ecommerce"))
        self._client = clickhouse_connect.get_client(dsn=site.variables["LEMO_CLICKHOUSE_URL"])
        mine = {"tenant": name, **self._whose}
        self._client.command(
            f"INSERT INTO {name}.events SELECT * REPLACE ({{tenant:String}} AS tenant_id) "
            f"FROM (SELECT * FROM {site.settings.clickhouse_database}.events "
            "WHERE tenant_id = {theirs:String} AND scenario_id = {scenario:String})",
            parameters=mine,
        )
        aggregate(stores, self._scope, unattended())
        self.hot = _hot(stores, self._scope)
        stores.close()

    @property
    def _whose(self) -> dict[str, str]:
        return {"theirs": self._site.scope.tenant_id, "scenario": self._site.scope.scenario_id}

    def differing(self, table: str) -> int:
        """How many rows of a table one of both has and the other has not."""
        columns = _TABLES[table]

        def rows(database: str, tenant: str) -> str:
            whose = f"tenant_id = '{tenant}' AND scenario_id = {{scenario:String}}"
            return f"SELECT {columns} FROM {database}.{table} FINAL WHERE {whose}"

        ours = rows(self._settings.clickhouse_database, self._scope.tenant_id)
        theirs = rows(self._site.settings.clickhouse_database, self._site.scope.tenant_id)
        both = f"SELECT count() FROM (({ours} EXCEPT {theirs}) UNION ALL ({theirs} EXCEPT {ours}))"
        return self._number(both)

    def counted(self, table: str, what: str) -> int:
        """A count over the worker's rows of a table."""
        return self._number(f"SELECT {what} FROM {self._settings.clickhouse_database}.{table} FINAL")

    def _number(self, query: str) -> int:
        rows = self._client.query(query, parameters=self._whose).result_rows
        return int(rows[0][0])

    def close(self) -> None:
        self._client.command(f"DROP DATABASE {self._settings.clickhouse_database}")
        self._client.close()


def _hot(stores: Stores, scope: Scope) -> dict[str, dict[str, float]]:
    return {name: dict(stores.hot_scores.read(scope, name, 1_000).levels) for name in HALF_LIVES}


def all_in(site: Installation) -> None:
    """Waits until the stores hold each event that was sent, once."""
    eventually(lambda: site.stores.events.count(site.scope) >= site.sent)
    assert site.stores.events.count(site.scope) == site.sent


def check_equal(site: Installation) -> None:
    """Waits until all events are in and the site's rows are those of the worker's path, which count each event once."""
    all_in(site)
    worker = WorkersPath(site)
    assert worker.counted("event_sessions", "count()") == site.sent
    assert worker.counted("realtime_minutes", "sum(events)") == site.sent
    eventually(lambda: all(worker.differing(table) == 0 for table in _TABLES))
    expected = {life: pytest.approx(levels, abs=1e-6) for life, levels in worker.hot.items()}
    eventually(lambda: _hot(site.stores, site.scope) == expected)
    worker.close()
