"""Each engine, away in each way: real sockets and servers, one different line for each fault, in bounded time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from threading import Event
from typing import Any

import pytest

from lemo.diagnostics import doctor
from lemo.diagnostics.dependencies import Dependency
from lemo.diagnostics.doctor import examine, states
from lemo.diagnostics.report import Finding
from lemo.settings import Settings
from sites import wait_for

ENGINES = {
    "redis_url": ("redis://{}/0", Dependency.cache),
    "mongo_url": ("mongodb://{}/", Dependency.documents),
    "kafka_bootstrap_servers": ("{}", Dependency.log),
    "clickhouse_url": ("http://{}", Dependency.events),
    "milvus_uri": ("http://{}", Dependency.vectors),
}
TLS = {
    "redis_url": "rediss://{}/0",
    "mongo_url": "mongodb://{}/?tls=true",
    "clickhouse_url": "https://{}",
    "milvus_uri": "https://{}",
}


@contextmanager
def silent() -> Iterator[str]:
    """The address of a server that accepts connections and never says a word."""
    with create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def ask(monkeypatch: pytest.MonkeyPatch, home: Path, values: dict[str, str]) -> dict[Dependency, Any]:
    for name, value in {"home": str(home), **values}.items():
        monkeypatch.setenv(f"LEMO_{name}".upper(), value)
    return dict(states(examine(Settings()), Dependency))


def test_each_fault_has_its_own_line_for_each_engine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free_port: int
) -> None:
    with silent() as quiet:
        faults = {
            "wrong": dict.fromkeys(ENGINES, "ftp://nowhere"),
            "unknown": {name: form.format("nothing.invalid:9") for name, (form, _) in ENGINES.items()},
            "refused": {name: form.format(f"127.0.0.1:{free_port}") for name, (form, _) in ENGINES.items()},
            "silent": {name: form.format(quiet) for name, (form, _) in ENGINES.items()},
        }
        said: dict[str, dict[Dependency, Any]] = {}

        def each_answers() -> bool:  # on a busy machine a probe's time may be up before its engine's
            said.update({fault: ask(monkeypatch, tmp_path, values) for fault, values in faults.items()})
            findings = [found[dependency] for found in said.values() for _, dependency in ENGINES.values()]
            return not any("no answer within" in finding.detail for finding in findings)

        wait_for(each_answers, 60)
    words = {"wrong": " is no ", "unknown": "is unknown", "refused": "refused the connection", "silent": "silent"}
    for fault, findings in said.items():
        for name, (_, dependency) in ENGINES.items():
            finding = findings[dependency]
            assert finding.state == "missing", (fault, name)
            assert words[fault] in finding.detail, (fault, name, finding.detail)
            assert finding.hint, (fault, name)


def test_a_probe_that_hangs_holds_up_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free_port: int
) -> None:
    released = Event()

    def hang(_: Settings) -> Finding:
        released.wait()
        return Finding(state="ok")

    monkeypatch.setattr(doctor, "PROBE_SECONDS", 2.0)
    monkeypatch.setitem(doctor._PROBES, Dependency.vectors, hang)
    nowhere = {name: form.format(f"127.0.0.1:{free_port}") for name, (form, _) in ENGINES.items()}
    findings: dict[Dependency, Any] = {}

    def home_is_told() -> bool:  # on a busy machine its time may be up too
        findings.update(ask(monkeypatch, tmp_path, nowhere))
        return bool(findings[Dependency.home].state == "ok")

    try:
        wait_for(home_is_told, 60)
    finally:
        released.set()
    assert findings[Dependency.vectors].state == "missing"
    assert "no answer within 2 s" in findings[Dependency.vectors].detail


def test_tls_to_an_engine_without_it_is_reported_as_tls(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, redis_url: str, clickhouse_url: str
) -> None:
    redis, clickhouse = (
        url.partition("://")[2].partition("/")[0].rpartition("@")[2] for url in (redis_url, clickhouse_url)
    )
    plain = {"redis_url": redis, "mongo_url": clickhouse, "clickhouse_url": clickhouse, "milvus_uri": clickhouse}
    urls = {name: TLS[name].format(place) for name, place in plain.items()}
    found: dict[str, Finding] = {}

    def all_is_told() -> bool:  # on a busy machine a probe's time may be up before the handshake fails
        findings = ask(monkeypatch, tmp_path, urls)
        found.update({name: findings[ENGINES[name][1]] for name in TLS})
        return all("TLS failed" in finding.detail for finding in found.values())

    wait_for(all_is_told, 60)
    assert all(finding.hint for finding in found.values())


def test_a_password_that_redis_refuses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, valkey_url: str) -> None:
    from redis import Redis

    with Redis.from_url(valkey_url) as server:
        server.config_set("requirepass", "right-one")
    try:
        place = valkey_url.partition("://")[2].partition("/")[0]
        for user in ("", ":wrong-secret@"):
            finding = ask(monkeypatch, tmp_path, {"redis_url": f"redis://{user}{place}/0"})[Dependency.cache]
            assert "refused the user or password" in finding.detail
            assert "wrong-secret" not in finding.detail + finding.hint
    finally:
        with Redis.from_url(valkey_url, password="right-one") as server:
            server.config_set("requirepass", "")
