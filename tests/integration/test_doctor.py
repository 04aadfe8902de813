"""The doctor against real servers: each way to be away is told apart, in bounded time and without a password."""

import json
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from redis import Redis
from typer.testing import CliRunner

from lemo.diagnostics.dependencies import NEEDS, Dependency, Service
from lemo.diagnostics.doctor import examine, states
from lemo.diagnostics.report import Finding, as_json, as_markdown
from lemo.settings import Settings
from lemo.stores.clickhouse.events import SCHEMA_VERSION
from lemo.stores.connect import Stores
from lemo.stores.redis.beats import Beat, Beats
from lemo.streams.topics import Topics


@contextmanager
def silent_server() -> Iterator[int]:
    """A server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free_port: int) -> Callable[..., Settings]:
    """Settings of an installation of which nothing runs, with the given ones changed."""

    def make(**changed: object) -> Settings:
        nothing = dict.fromkeys(("redis_port", "clickhouse_port", "milvus_port", "api_port"), free_port)
        for name, value in {**nothing, "home": tmp_path, "console_port": free_port, **changed}.items():
            monkeypatch.setenv(f"LEMO_{name}".upper(), str(value))
        return Settings()

    return make


def found(settings: Settings, dependency: Dependency) -> Finding:
    return states(examine(settings), [dependency])[dependency]


def test_nothing_runs(settings: Callable[..., Settings]) -> None:
    report = examine(settings())
    assert report.exit_code == 1
    assert [(row.service, row.dependency) for row in report.rows] == [(need.service, need.dependency) for need in NEEDS]
    for row in report.rows:
        if row.state == "missing":
            assert row.detail
            assert row.hint
            assert row.without
    away = {row.dependency for row in report.rows if row.state == "missing"}
    assert {Dependency.cache, Dependency.documents, Dependency.events, Dependency.worker, Dependency.beat} <= away
    assert "lemo up" in states(report, [Dependency.events])[Dependency.events].hint
    assert states(report, [Dependency.clocks])[Dependency.clocks].state == "absent"
    # One Redis keeps nine things from answering: it is told once, with all that stops.
    [redis] = [trouble for trouble in report.problems() if "Redis 0" in trouble.headline]
    assert {row.dependency for row in redis.rows} >= {Dependency.broker, Dependency.log, Dependency.worker}
    assert [service for service, _ in redis.stops()] == list(Service)


def test_real_engines_are_found_with_their_versions(
    settings: Callable[..., Settings], redis_url: str, mongo_url: str, clickhouse_url: str
) -> None:
    database = f"doctor_{uuid.uuid4().hex[:8]}"
    report = examine(
        settings(redis_url=redis_url, mongo_url=mongo_url, mongo_database=database, clickhouse_url=clickhouse_url)
    )
    engines = states(report, Dependency)
    for dependency in (
        Dependency.cache,
        Dependency.broker,
        Dependency.results,
        Dependency.documents,
        Dependency.events,
    ):
        assert engines[dependency].state == "ok", engines[dependency]
        assert any(char.isdigit() for char in engines[dependency].version)
        assert (engines[dependency].latency_ms or 0) > 0
    assert "celery-redbeat" in engines[Dependency.packages].detail + "".join(row.detail for row in report.rows)


def test_the_schema_is_reported_whatever_the_database_is_called(
    settings: Callable[..., Settings], clickhouse_url: str
) -> None:
    made = settings(clickhouse_url=clickhouse_url, clickhouse_database=f"it's `{uuid.uuid4().hex[:8]}`")
    assert "no tables" in found(made, Dependency.events).detail
    with closing(Stores(made)) as stores:
        stores.events.migrate()
    finding = found(made, Dependency.events)
    assert (finding.state, finding.detail) == ("ok", f"schema {SCHEMA_VERSION} of {made.clickhouse_database}")


def test_kafka_reports_lag_and_members(settings: Callable[..., Settings], kafka_servers: str) -> None:
    made = settings(kafka_bootstrap_servers=kafka_servers, kafka_group=f"group-{uuid.uuid4().hex[:8]}")
    report = examine(made, Service.consumer)
    rows = states(report, Dependency)
    assert rows[Dependency.log].version
    assert rows[Dependency.log].state in ("ok", "warning")
    assert "nobody reads" in rows[Dependency.consumer].detail


def test_the_doctor_counts_no_message_that_a_transaction_took_back(
    settings: Callable[..., Settings], kafka_servers: str
) -> None:
    from confluent_kafka import Producer

    mine = uuid.uuid4().hex[:8]
    made = settings(
        kafka_bootstrap_servers=kafka_servers,
        kafka_group=f"group-{mine}",
        kafka_event_topic=f"events-{mine}",
        kafka_served_topic=f"served-{mine}",
        kafka_item_ingest_topics=f"items-{mine}",
    )
    with closing(Stores(made)) as stores:
        topics = Topics(made)
        stores.log.create_topics([*topics.fixed, *topics.written])
    producer = Producer({"bootstrap.servers": kafka_servers, "transactional.id": mine})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(made.kafka_event_topic, b"taken back")
    producer.flush(30)
    producer.abort_transaction(30)
    rows = states(examine(made, Service.consumer), Dependency)
    assert f"events-{mine} 0 (" in rows[Dependency.log].detail
    assert rows[Dependency.consumer].version == "up to date"


def test_a_wrong_url(settings: Callable[..., Settings]) -> None:
    finding = found(settings(redis_url="http://127.0.0.1:1"), Dependency.cache)
    assert "LEMO_REDIS_URL is no redis:// URL" in finding.detail
    assert "redis://user:password@host:6379" in finding.hint.replace("***", "password")


def test_an_unknown_host(settings: Callable[..., Settings]) -> None:
    finding = found(settings(clickhouse_url="http://nowhere.invalid:8123"), Dependency.events)
    assert "'nowhere.invalid' is unknown" in finding.detail
    assert "LEMO_CLICKHOUSE_URL" in finding.hint


def test_a_refused_connection(settings: Callable[..., Settings], free_port: int) -> None:
    finding = found(settings(milvus_uri=f"http://127.0.0.1:{free_port}"), Dependency.vectors)
    assert "refused the connection" in finding.detail
    assert "LEMO_MILVUS_URI" in finding.hint


def test_a_refused_password_is_never_shown(settings: Callable[..., Settings], redis_url: str) -> None:
    address = redis_url.removeprefix("redis://")
    report = examine(settings(redis_url=f"redis://ada:hunter2@{address}"))
    assert "refused the user or password" in states(report, [Dependency.cache])[Dependency.cache].detail
    assert "hunter2" not in as_markdown(report) + json.dumps(as_json(report))


def test_engines_that_accept_and_then_are_silent_do_not_hold_the_report_up(settings: Callable[..., Settings]) -> None:
    with silent_server() as port:
        started = time.monotonic()
        report = examine(
            settings(redis_port=port, clickhouse_port=port, milvus_port=port, api_port=port, console_port=port)
        )
        assert time.monotonic() - started < 15, "each probe is bounded, and all are asked at once"
    findings = states(report, Dependency)
    assert "silent" in findings[Dependency.cache].detail
    assert all(findings[each].state == "missing" for each in (Dependency.events, Dependency.vectors, Dependency.api))


def test_something_else_at_the_port(settings: Callable[..., Settings], redis_url: str) -> None:
    port = int(redis_url.rsplit(":", 1)[1])
    assert found(settings(clickhouse_port=port), Dependency.events).state == "missing"
    assert found(settings(api_port=port), Dependency.api).state == "missing"


def test_an_eviction_policy_that_drops_tasks_is_a_warning(settings: Callable[..., Settings], valkey_url: str) -> None:
    with Redis.from_url(f"{valkey_url}/0") as client:
        assert found(settings(redis_url=valkey_url), Dependency.durability).state == "ok"
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            finding = found(settings(redis_url=valkey_url), Dependency.durability)
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert finding.state == "warning"
    assert "config set maxmemory-policy noeviction" in finding.hint


def test_a_leading_beat(settings: Callable[..., Settings], valkey_url: str) -> None:
    made = settings(redis_url=valkey_url)
    with Redis.from_url(f"{valkey_url}/0") as client:
        client.set("lemo:redbeat::lock", "me", px=30_000)
        try:
            assert found(made, Dependency.beat).state == "ok"
            now = datetime.now(UTC)
            Beats(client).tell(Beat(name="host:1", state="leading", since=now, seen=now))
            Beats(client).tell(Beat(name="host:2", state="standby", since=now, seen=now))
            Beats(client).tell(Beat(name="host:3", state="standby", since=now, seen=now - timedelta(hours=1)))
            assert re.fullmatch(
                r"host:1 holds the lock for \d+ s more; 1 standing by", found(made, Dependency.beat).detail
            )
        finally:
            client.delete("lemo:redbeat::lock", "lemo:beats")
    assert found(made, Dependency.beat).state == "missing"


def test_the_command_and_its_exit_codes(settings: Callable[..., Settings]) -> None:
    from lemo.cli.doctor import doctor

    settings()
    app = typer.Typer()
    app.command()(doctor)
    table = CliRunner().invoke(app, [])
    assert table.exit_code == 1
    assert "refused the connection" in table.stdout
    answer = CliRunner().invoke(app, ["--format", "json", "--service", "worker"])
    assert answer.exit_code == 1
    report = json.loads(answer.stdout)
    assert report["exit_code"] == 1
    assert {row["service"] for row in report["rows"]} == {"worker"}
    own = next(row for row in report["rows"] if row["dependency"] == "worker")
    assert own["required"] is False
    markdown = CliRunner().invoke(app, ["--format", "markdown"])
    assert markdown.stdout.startswith("# Lemo doctor")
    assert CliRunner().invoke(app, ["--service", "florist"]).exit_code == 2


def test_watching_examines_again_until_it_is_stopped(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lemo.cli.doctor import doctor

    settings()
    pauses: list[float] = []

    def stopped_in_the_second(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", stopped_in_the_second)
    app = typer.Typer()
    app.command()(doctor)
    answer = CliRunner().invoke(app, ["--watch", "--format", "json", "--interval", "30"])
    assert answer.exit_code == 1
    reports = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [report["ok"] for report in reports] == [False, False]
    assert pauses == [pytest.approx(30 - report["seconds"]) for report in reports]


def test_one_service_may_start_when_its_engines_are_there(settings: Callable[..., Settings], valkey_url: str) -> None:
    report = examine(settings(redis_url=valkey_url), Service.beat)
    assert [row.dependency for row in report.rows if row.state == "missing"] == [Dependency.beat, Dependency.worker]
    assert report.exit_code == 0
