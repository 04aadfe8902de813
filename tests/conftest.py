"""What every test may ask for. No test sees the settings of the machine it runs on."""

import os
import ssl
import tempfile
import urllib.request
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certifi
import pytest

import recovery
import servers
from engines.process import LOOPBACK
from lemo.domain.scope import Scope


def pytest_configure(config: pytest.Config) -> None:
    """The first process of a run makes the folder that its workers share."""
    if not hasattr(config, "workerinput"):
        os.environ[servers.RUN_FOLDER] = tempfile.mkdtemp(prefix="lemo-tests-")
        if "PYTHONPATH" in os.environ:  # processes that tests start have another working folder
            paths = [os.path.abspath(path) for path in os.environ["PYTHONPATH"].split(os.pathsep)]
            os.environ["PYTHONPATH"] = os.pathsep.join(paths)


def pytest_unconfigure(config: pytest.Config) -> None:
    """It also outlives them, and stops what they started."""
    if not hasattr(config, "workerinput") and servers.RUN_FOLDER in os.environ:
        servers.stop_embedded(Path(os.environ.pop(servers.RUN_FOLDER)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The recovery times that fault tests measured."""
    reports = terminalreporter.getreports("passed")
    measured = [line for report in reports for name, line in report.user_properties if name == recovery.PROPERTY]
    if measured:
        terminalreporter.section("recovery times")
        for line in sorted(map(str, measured)):
            terminalreporter.line(line)


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_this_machine() -> Iterator[None]:
    """Takes away LEMO_* variables; those of the tests themselves stay."""
    with pytest.MonkeyPatch.context() as patch:
        for name in servers.product_variables(os.environ):
            patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def _certificates_are_read_once() -> Iterator[None]:
    """Each client of httpx reads all certificates, 40 ms for every question of a test that waits for an answer."""
    read, certificates = ssl.create_default_context, certifi.where()
    shared = read(cafile=certificates)

    def context(*arguments: Any, **named: Any) -> ssl.SSLContext:
        return shared if named == {"cafile": certificates} and not arguments else read(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", context)
        yield


@pytest.fixture(scope="module", autouse=True)
def _new_databases_are_dropped() -> Iterator[None]:
    yield
    servers.drop_new_databases()


@pytest.fixture(autouse=True)
def _own_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder for each test: no .env, no lemo.toml, and `.lemo` is its own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def scope() -> Scope:
    """A tenant and a scenario that nobody else uses."""
    return Scope(f"tenant-{uuid.uuid4().hex[:12]}", f"scenario-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def free_port() -> int:
    """A port that is free at the moment."""
    return servers.free_port()


# The real engines of scripts/services: a test is skipped, or fails, by their name.


@pytest.fixture(scope="session")
def redis_url() -> str:
    """Redis, shared by all tests; the URL has no database number."""
    return servers.server("redis")


@pytest.fixture(scope="session")
def kafka_servers() -> str:
    """Kafka's bootstrap servers. Topics are not created by themselves."""
    return servers.server("kafka")


@pytest.fixture(scope="session")
def mongo_url() -> str:
    """MongoDB's protocol, by FerretDB: keep collections under 1,000 documents."""
    return servers.server("ferretdb")


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The browser's executable."""
    return servers.server("chromium")


# Lemo's embedded engines. One ClickHouse and one Milvus serve all workers of a run: they are the heavy ones.


@pytest.fixture(scope="session")
def clickhouse_url() -> str:
    """ClickHouse's HTTP interface over chDB. Tests take a database or a tenant of their own."""
    return f"http://{LOOPBACK}:{servers.embedded('clickhouse')}"


@pytest.fixture(scope="session")
def milvus_uri() -> str:
    """Milvus Lite's server."""
    return f"http://{LOOPBACK}:{servers.embedded('milvus')}"


@pytest.fixture(scope="session")
def valkey_url() -> str:
    """The embedded Valkey, one for each worker, so that its queues are not another worker's; no database number."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    return f"redis://{LOOPBACK}:{servers.embedded('redis', f'redis-{worker}')}"


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """An S3 endpoint (moto), one for each worker. Any key pair will do."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(moto|botocore|werkzeug|flask)\b")
        from moto.server import ThreadedMotoServer
    server = ThreadedMotoServer(ip_address=LOOPBACK, port=servers.free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[servers.OwnEngine]:
    """An embedded Redis of this test alone, for faults."""
    redis = servers.own_embedded("redis", tmp_path / "redis")
    redis.start()
    yield redis
    redis.kill()


@pytest.fixture
def s3_bucket(s3_url: str) -> str:
    """The name of an empty bucket at `s3_url`."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    request = urllib.request.Request(f"{s3_url}/{name}", method="PUT")  # noqa: S310 - our own http URL
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        assert answer.status == 200
    return name
