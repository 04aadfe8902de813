"""Schedules and runs as operators reach them: the real API, the real command line, and a real beat."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from collectors import Collector, running_collector
from command_lines import run_command
from lemo.domain.run import Progress
from lemo.domain.scenario import scenario_from_template
from lemo.domain.schedule import DEFAULT_CRONS
from lemo.domain.scope import Scope
from lemo.scheduling.redbeat_crontab import Encoder
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.documents.schedules import ALL_SCOPES, Setting
from lemo.stores.redis.client import connect_redis
from servers import free_port
from sites import wait_for

DAILY = "train-model-daily"
HOURLY = "compute-item-similarity-hourly"
TENANTS = ("default", "shop")
PREFIX = "lemo:redbeat:"


@dataclass(frozen=True)
class Installation:
    """An installation with the tenants `default` and `shop`, each with the scenarios a and b, and its API."""

    stores: Stores
    variables: dict[str, str]
    keys: dict[str, str]
    redis: Redis
    broker: Redis
    log: Path
    clients: dict[str, httpx.Client] = field(default_factory=dict)

    def api(self, tenant_id: str = "default") -> httpx.Client:
        """A client with the tenant's key; without one for an unknown tenant."""
        if tenant_id not in self.clients:
            key = self.keys.get(tenant_id)
            self.clients[tenant_id] = httpx.Client(
                base_url=f"http://127.0.0.1:{self.variables['LEMO_API_PORT']}",
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=30,
                trust_env=False,
            )
        return self.clients[tenant_id]

    def lemo(self, *arguments: str, tenant_id: str = "default", code: int = 0) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, **self.variables, "LEMO_KEY": self.keys[tenant_id], "COLUMNS": "200"}
        ended = run_command(arguments, environment)
        assert ended.returncode == code, ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr
        return ended

    def said(self, *arguments: str, tenant_id: str = "default") -> Any:
        return json.loads(self.lemo(*arguments, "--format", "json", tenant_id=tenant_id).stdout)

    @contextmanager
    def service(self, name: str) -> "Iterator[subprocess.Popen[bytes]]":
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "lemo.cli.main", name],
                env={**os.environ, **self.variables},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:  # as the supervisor does: Celery's warm shutdown hangs now and then
                process.kill()
                process.wait()

    def held(self) -> set[str]:
        """The entries that beat looks at."""
        members = self.redis.zrange(f"{PREFIX}:schedule", 0, -1)
        assert isinstance(members, list)
        return {str(member).removeprefix(PREFIX) for member in members}

    def forget_redbeat(self) -> None:
        """Empties what RedBeat has in Redis, its lock included, and whose Redis it is."""
        self.redis.delete("lemo:installation")
        for key in self.redis.scan_iter(f"{PREFIX}*", count=10_000):
            self.redis.delete(key)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as made:
        yield made


@pytest.fixture
def installation(tmp_path: Path, valkey_url: str) -> Iterator[Installation]:
    variables = {
        "LEMO_HOME": str(tmp_path / "home"),
        "LEMO_REDIS_URL": valkey_url,
        "LEMO_API_PORT": str(free_port()),
    }
    stores = Stores(Settings(home=tmp_path / "home", redis_url=valkey_url))
    keys = {}
    for tenant_id in TENANTS:
        stores.tenants.create(tenant_id)
        for name in "ab":
            stores.scenarios.create(tenant_id, scenario_from_template(name, "vlog"))
        keys[tenant_id] = stores.api_keys.create(tenant_id).key
    with connect_redis(f"{valkey_url}/0?decode_responses=True") as redis, connect_redis(f"{valkey_url}/1") as broker:
        made = Installation(stores, variables, keys, redis, broker, tmp_path / "log")
        made.forget_redbeat()
        broker.flushdb()
        yield made
        made.forget_redbeat()
        broker.flushdb()
    stores.close()
    for client in made.clients.values():
        client.close()
    for key in keys.values():
        assert not made.log.exists() or key not in made.log.read_text()


@pytest.fixture
def http(installation: Installation) -> Iterator[Installation]:
    """The installation with its API running."""

    def alive() -> bool:
        try:
            return installation.api().get("/health/live").status_code == 200
        except httpx.TransportError:
            return False

    with installation.service("api"):
        wait_for(alive, 30)
        yield installation


def problem(answer: httpx.Response, status: int, *words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    for word in words:
        assert word in answer.json()["detail"]


def test_the_api_lists_changes_and_remembers(http: Installation) -> None:
    api = http.api()
    rows = api.get("/v1/schedules").raise_for_status().json()["schedules"]
    assert {row["entry"]: row["cron"] for row in rows} == DEFAULT_CRONS
    answer = api.patch(f"/v1/schedules/{DAILY}", json={"cron": "30 2 * * *", "timezone": "Asia/Shanghai"})
    assert answer.status_code == 200
    assert answer.json()["changed"] is True
    row = next(row for row in api.get("/v1/schedules").json()["schedules"] if row["entry"] == DAILY)
    assert (row["cron"], row["timezone"], row["paused"], row["own"]) == ("30 2 * * *", "Asia/Shanghai", False, False)
    due = datetime.fromisoformat(row["next_run"])
    assert (due.hour, due.minute, due.second) == (18, 30, 0)
    assert api.patch(f"/v1/schedules/{DAILY}", json={"paused": True}).json()["schedule"]["paused"] is True
    assert api.patch(f"/v1/schedules/{DAILY}", json={"paused": True}).json()["changed"] is False
    assert DAILY not in http.held()
    changes = api.get("/v1/schedules/history", params={"entry": DAILY}).json()["changes"]
    assert [(change["action"], change["before"]["cron"], change["after"]["paused"]) for change in changes] == [
        ("pause", "30 2 * * *", True),
        ("edit", "0 3 * * *", False),
    ]
    assert changes[0]["changed_by"].startswith("default, API (key ")
    assert http.keys["default"] not in changes[0]["changed_by"]


def test_a_tenant_changes_the_schedules_of_its_own_scenarios_only(http: Installation) -> None:
    shop = http.api("shop")
    problem(shop.patch(f"/v1/schedules/{DAILY}", json={"paused": True}), 403, "Name a scenario of yours")
    answer = shop.patch(f"/v1/schedules/{DAILY}", json={"scenario": "a", "paused": True})
    assert (answer.status_code, answer.json()["schedule"]["scenario_id"]) == (200, "a")
    rows = shop.get("/v1/schedules", params={"scenario": "a"}).json()["schedules"]
    assert [row["entry"] for row in rows if row["paused"]] == [DAILY]
    assert all(row["own"] is False for row in http.api().get("/v1/schedules").json()["schedules"])
    assert http.api().get("/v1/schedules/history").json()["changes"] == []
    assert http.stores.schedules.own_scopes(DAILY) == {Scope("shop", "a")}
    anybody = http.api("nobody")
    for path in ("/v1/schedules", "/v1/schedules/history", "/v1/runs", "/v1/runs/show?run_id=x"):
        problem(anybody.get(path), 401)
    problem(anybody.patch(f"/v1/schedules/{DAILY}", json={"paused": True}), 401)
    problem(anybody.post("/v1/jobs/run", json={"entry": DAILY}), 401)


def test_invalid_changes_are_refused_with_a_valid_example(http: Installation) -> None:
    api = http.api()
    for path, body, status, words in (
        ("train-model", {"paused": True}, 404, "Did you mean train-model-daily?"),
        ("embed-items", {"paused": True}, 422, "runs when items arrive"),
        (DAILY, {"cron": "every day"}, 422, "'0 3 * * *' is 03:00 every day"),
        (DAILY, {"timezone": "Shanghai"}, 422, "Did you mean Asia/Shanghai?"),
        (DAILY, {"pause": True}, 422, "pause: is not a field"),
        (DAILY, {"paused": "perhaps"}, 422, "paused"),
        (DAILY, {}, 422, "This changes nothing."),
        (DAILY, {"scenario": "z", "paused": True}, 404, "There is no scenario 'z'"),
        (DAILY, [], 422, ""),
    ):
        problem(api.patch(f"/v1/schedules/{path}", json=body), status, words)
    problem(api.patch(f"/v1/schedules/{DAILY}", content=b"{"), 400, "not JSON")
    problem(api.get("/v1/schedules", params={"scenario": "z"}), 404)
    problem(api.get("/v1/schedules/history", params={"limit": 0}), 422)
    problem(api.post("/v1/jobs/run", json={"entry": "nothing"}), 404, "The entries are")
    problem(api.post("/v1/jobs/run", json={"entry": DAILY, "scenario": "z"}), 404)
    problem(api.get("/v1/runs", params={"entry": "nothing"}), 404)
    problem(api.get("/v1/runs", params={"scenario": "z"}), 404)
    problem(api.get("/v1/runs/show", params={"run_id": "nothing"}), 404, "There is no task run")
    assert http.stores.schedules.audit() == []


def test_runs_are_started_listed_and_watched(http: Installation) -> None:
    api = http.api()
    api.patch(f"/v1/schedules/{DAILY}", json={"paused": True}).raise_for_status()
    answer = api.post("/v1/jobs/run", json={"entry": DAILY, "scenario": "a"})
    assert answer.status_code == 202
    (queued,) = answer.json()["runs"]
    assert (queued["outcome"], queued["trigger"], queued["scenario_id"]) == ("queued", "manual", "a")
    assert http.broker.llen("lemo:model_training") == 1
    assert len(api.post(f"/v1/schedules/{DAILY}/run").json()["runs"]) == 2
    assert len(api.post(f"/v1/schedules/{DAILY}/run", json={"scenario": "b"}).json()["runs"]) == 1
    lines = api.get("/v1/audit").json()["lines"]
    assert [(line["action"], line["subject"], line["scenario_id"]) for line in lines[:4]] == [
        ("job.run", DAILY, "b"),
        ("job.run", DAILY, ""),
        ("job.run", DAILY, "a"),
        ("schedule.pause", DAILY, ""),
    ]
    problem(api.post(f"/v1/schedules/{DAILY}/run", json={"scenarios": "b"}), 422, "scenarios: is not a field")
    listed = api.get("/v1/runs", params={"entry": DAILY, "scenario": "a", "outcome": "queued"}).json()["runs"]
    assert queued["run_id"] in [run["run_id"] for run in listed]
    run = http.stores.runs.get("default", queued["run_id"])
    run.outcome, run.started_at = "running", datetime.now(UTC)
    run.progress = Progress(stage="fitting", done=3, total=8)
    http.stores.runs.save("default", run)
    watched = api.get("/v1/runs/show", params={"run_id": run.run_id}).json()
    assert (watched["outcome"], watched["progress"]) == ("running", {"stage": "fitting", "done": 3, "total": 8})
    run.outcome, run.finished_at = "ok", run.started_at + timedelta(seconds=4)
    http.stores.runs.save("default", run)
    assert api.get("/v1/runs/show", params={"run_id": run.run_id}).json()["took_seconds"] == 4.0
    problem(http.api("shop").get("/v1/runs/show", params={"run_id": run.run_id}), 404)
    assert http.api("shop").get("/v1/runs").json()["runs"] == []


def test_the_command_line_changes_schedules_and_reports_it(installation: Installation) -> None:
    lemo, said = installation.lemo, installation.said
    assert said("schedule", "edit", DAILY, "--cron", "30 2 * * *")["cron"] == "30 2 * * *"
    assert said("schedule", "edit", DAILY, "-s", "a", "--timezone", "Europe/Berlin")["timezone"] == "Europe/Berlin"
    assert said("schedule", "pause", HOURLY)["paused"] is True
    assert "is so already" in lemo("schedule", "pause", HOURLY).stderr
    listed = lemo("schedule", "list").stdout
    assert "paused" in listed
    assert "Europe/Berlin" in listed
    rows = said("schedule", "list", "-s", "a")
    assert [(row["cron"], row["own"]) for row in rows if row["entry"] == DAILY] == [("30 2 * * *", True)]
    assert said("schedule", "resume", HOURLY)["paused"] is False
    assert installation.held() == {*DEFAULT_CRONS, f"{DAILY}@default/a"}
    assert said("schedule", "reset", DAILY, "-s", "a")["timezone"] == "UTC"
    history = said("schedule", "history")
    assert [(line["action"], line["scenario_id"]) for line in history] == [
        ("reset", "a"),
        ("resume", ""),
        ("pause", ""),
        ("edit", "a"),
        ("edit", ""),
    ]
    assert history[0]["changed_by"].startswith("default, command line (")
    assert "0 3 * * * UTC" in lemo("schedule", "history", DAILY).stdout
    (run,) = said("schedule", "run", DAILY, "-s", "b")
    assert (run["scenario_id"], run["trigger"], run["outcome"]) == ("b", "manual", "queued")


def test_the_command_line_teaches(installation: Installation) -> None:
    for arguments, code, words in (
        (("schedule", "pause", "train-model"), 1, "Did you mean train-model-daily?"),
        (("schedule", "run", "train-model"), 1, "Did you mean train-model-daily?"),
        (("schedule", "edit", DAILY, "--cron", "nightly"), 1, "Give five fields"),
        (("schedule", "edit", DAILY, "--timezone", "Berlin"), 1, "Europe/Berlin"),
        (("schedule", "edit", DAILY), 2, "Give --cron, --timezone or both"),
        (("schedule", "pause", DAILY, "-s", "z"), 1, "There is no scenario 'z'"),
    ):
        assert words in installation.lemo(*arguments, code=code).stderr
    told = installation.lemo("schedule", "pause", DAILY, tenant_id="shop", code=1).stderr
    assert "Name a scenario of yours" in told


def test_a_pause_survives_restarts_of_beat_and_an_emptied_redis(installation: Installation) -> None:
    installation.lemo("schedule", "pause", HOURLY)
    installation.lemo("schedule", "edit", DAILY, "-s", "a", "--cron", "0 1 * * *", "--timezone", "Asia/Tokyo")
    expected = {*DEFAULT_CRONS, f"{DAILY}@default/a"} - {HOURLY}
    for _ in range(2):
        installation.forget_redbeat()
        assert installation.held() == set()
        with installation.service("beat"):
            wait_for(lambda: expected <= installation.held(), 30)
            assert installation.held() == expected


def test_beat_starts_what_is_due_and_nothing_that_is_paused(installation: Installation, collector: Collector) -> None:
    """Both were due an hour ago; one was paused. Beat has sent the other to the queue within seconds, and it alone."""
    long_ago = datetime.now(UTC) - timedelta(days=2)
    run = installation.stores.runs.create("shop", DAILY, "a", "schedule")
    run.queued_at = long_ago
    installation.stores.runs.save("shop", run)
    run.entry = HOURLY
    installation.stores.runs.save("shop", run.model_copy(update={"run_id": f"{run.run_id}-2"}))
    installation.stores.schedules.set(DAILY, ALL_SCOPES, Setting(paused=True), "test")
    # What an older beat, which knew of no pause, left in Redis.
    definition = {"name": "x", "task": f"lemo.fan_out.{DAILY}", "args": [], "kwargs": {}, "options": {}}
    installation.redis.hset(PREFIX + DAILY, "definition", json.dumps(definition))
    installation.redis.hset(PREFIX + DAILY, "meta", json.dumps({"last_run_at": long_ago}, cls=Encoder))
    installation.redis.zadd(f"{PREFIX}:schedule", {PREFIX + DAILY: long_ago.timestamp()})
    installation.variables.update(LEMO_OTLP_ENDPOINT=collector.url)
    with installation.service("beat"):
        wait_for(lambda: bool(installation.broker.llen("lemo:default")), 30)
        wait_for(lambda: installation.held() == set(DEFAULT_CRONS) - {DAILY}, 10)
    messages = installation.broker.lrange("lemo:default", 0, -1)
    assert isinstance(messages, list)
    [headers] = [json.loads(message)["headers"] for message in messages]
    assert headers["task"] == f"lemo.fan_out.{HOURLY}"
    [sent] = collector.named(f"send lemo.fan_out.{HOURLY}")
    assert headers["traceparent"].startswith(f"00-{sent.trace}-{sent.id}-")


def test_what_is_sent_twice_for_one_due_time_makes_the_same_runs(installation: Installation) -> None:
    """Beat may die between sending and noting it; a fan-out task may die half-way. Each scenario still runs once."""
    due = "2026-11-24T03:00:00+00:00"
    stores = installation.stores
    first = stores.runs.create("shop", DAILY, "a", "schedule", due)
    assert first.outcome == "queued"
    first.outcome = "running"
    stores.runs.save("shop", first)
    again = stores.runs.create("shop", DAILY, "a", "schedule", due)
    assert again == first, "as it is now, so that it is not sent a second time"
    others = [
        stores.runs.create("shop", DAILY, "b", "schedule", due),
        stores.runs.create("default", DAILY, "a", "schedule", due),
        stores.runs.create("shop", HOURLY, "a", "schedule", due),
        stores.runs.create("shop", DAILY, "a", "schedule", "2026-11-25T03:00:00+00:00"),
    ]
    assert len({run.run_id for run in (first, *others)}) == 5


def test_a_worker_given_a_due_time_twice_runs_each_scenario_once(
    installation: Installation, clickhouse_url: str, tmp_path: Path, collector: Collector
) -> None:
    """And a trace goes from what was due to each run."""
    installation.variables["LEMO_CLICKHOUSE_URL"] = clickhouse_url
    with closing(Stores(Settings(home=tmp_path, clickhouse_url=clickhouse_url))) as stores:
        stores.events.migrate()
    message = [DAILY, "", "", datetime.now(UTC).isoformat()]
    code = (
        "import sys; from lemo.tasks.perform import fan_out_due, settings; from lemo.telemetry import tracing;"
        " tracing.start_traces('beat', settings); fan_out_due(*sys.argv[1:])"
    )
    installation.variables.update(LEMO_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="100")
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-c", code, *message], env={**os.environ, **installation.variables}, check=True, timeout=60
        )
    with installation.service("worker"):
        wait_for(lambda: all(run.finished for t in TENANTS for run in installation.stores.runs.list(t, DAILY)), 60)
    # A worker starts other jobs by itself, such as the embedding of what Redis has lost.
    runs = [(t, run.scenario_id) for t in TENANTS for run in installation.stores.runs.list(t, DAILY)]
    assert sorted(runs) == [("default", "a"), ("default", "b"), ("shop", "a"), ("shop", "b")]
    performed = collector.named(f"perform lemo.run.{DAILY}")
    by_id = {span.id: span for span in collector.spans}
    for span in performed:
        sent = by_id[span.parent]
        due = by_id[sent.parent]
        assert (sent.name, due.name) == (f"send lemo.run.{DAILY}", f"perform lemo.fan_out.{DAILY}")
        assert span.trace == sent.trace == due.trace
        assert (span.service, sent.service) == ("lemo-worker", "lemo-beat")
    assert {span.attributes["lemo.run"] for span in performed} == {
        run.run_id for t in TENANTS for run in installation.stores.runs.list(t, DAILY)
    }
