"""The services of the Compose file, started as it says, on the real engines: from an item to an answer."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

import compose_file
import monitoring
from servers import free_port, server
from sites import wait_for

SERVED = ("api", "worker", "beat", "consumer", "console")
pytestmark = pytest.mark.deploy
PORTS = {"api": 8000, "console": 8080, "worker": 9540, "consumer": 9541}


class Composed:
    """The services with this machine's addresses in place of the network's names."""

    def __init__(self, home: Path, redis: str, mongo: str, clickhouse: str, kafka: str) -> None:
        password = dict.fromkeys(compose_file.asked_for(), "unused")
        self.services = compose_file.services({**password, "LEMO_MILVUS_URI": "", "LEMO_WORKER_CONCURRENCY": "1"})
        self.ports = {name: free_port() for name in PORTS}
        self.home = home
        self._engines = {
            "LEMO_REDIS_URL": redis,
            "LEMO_MONGO_URL": mongo,
            "LEMO_CLICKHOUSE_URL": clickhouse,
            "LEMO_KAFKA_BOOTSTRAP_SERVERS": kafka,
        }

    def environment(self, name: str) -> dict[str, str]:
        wanted = self.services[name]["environment"]
        assert self._engines.keys() <= wanted.keys()
        here = {key: "127.0.0.1" for key, value in wanted.items() if value in ("0.0.0.0", "api", "console")}
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith(("LEMO_", "PYTEST_"))},
            **wanted,
            **self._engines,
            **here,
            "LEMO_HOME": str(self.home),
            # Names of its own in engines that other tests use too.
            "LEMO_INSTALLATION": f"c{uuid.uuid5(uuid.NAMESPACE_URL, str(self.home)).hex[:12]}",
            "LEMO_API_PORT": str(self.ports["api"]),
            "LEMO_CONSOLE_PORT": str(self.ports["console"]),
            "LEMO_WORKER_METRICS_PORT": str(self.ports["worker"]),
            "LEMO_CONSUMER_METRICS_PORT": str(self.ports["consumer"]),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def command(self, name: str) -> list[str]:
        return ["lemo", *self.services[name]["command"]]

    def health_check(self, name: str) -> list[str]:
        kind, *words = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        for service, port in PORTS.items():
            words = [word.replace(f"127.0.0.1:{port}/", f"127.0.0.1:{self.ports[service]}/") for word in words]
        return list(words)

    def healthy(self, name: str) -> bool:
        words = self.health_check(name)
        found = subprocess.run(words, env=self.environment(name), capture_output=True, check=False, timeout=30)
        return found.returncode == 0


@pytest.fixture(scope="module")
def composed(
    tmp_path_factory: pytest.TempPathFactory, valkey_url: str, mongo_url: str, clickhouse_url: str, kafka_servers: str
) -> Iterator[Composed]:
    """All services, in the order of the file: `upgrade` to its end, then the others until they are healthy."""
    folder = tmp_path_factory.mktemp("composed")
    made = Composed(folder / "home", valkey_url, mongo_url, clickhouse_url, kafka_servers)
    env = made.environment("upgrade")
    first = subprocess.run(
        made.command("upgrade"), cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert first.returncode == 0, first.stderr
    with ExitStack() as stack:
        processes = {}
        for name in SERVED:
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            processes[name] = subprocess.Popen(
                made.command(name), cwd=folder, env=made.environment(name), stdout=log, stderr=log
            )
        try:
            for name in SERVED:
                wait_for(lambda name=name: made.healthy(name), 90)  # type: ignore[misc]
            yield made
        finally:
            for process in processes.values():
                process.terminate()
            codes = {name: process.wait(60) for name, process in processes.items()}
    assert set(codes.values()) <= {0, -15, 143}, codes


@pytest.fixture(scope="module")
def client(composed: Composed) -> Iterator[httpx.Client]:
    """The API, with the admin key that `upgrade` has made, and a scenario."""
    key = (composed.home / "admin.key").read_text().strip()
    url = f"http://127.0.0.1:{composed.ports['api']}"
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=20) as made:
        ask(made, "POST", "/v1/scenarios", json={"scenario_id": "shop", "template": "ecommerce"})
        yield made


def ask(client: httpx.Client, method: str, path: str, **how: Any) -> Any:
    answer = client.request(method, path, **how)
    assert answer.is_success, answer.text
    return answer.json()


@pytest.mark.timeout(240)
def test_services_become_healthy_and_carry_an_item_to_an_answer(client: httpx.Client) -> None:
    items = [{"item_id": f"i{number}", "title": f"Item {number}"} for number in range(3)]
    assert ask(client, "POST", "/v1/scenarios/shop/items", json={"items": items})["accepted"] == 3

    def latest() -> set[str]:
        answer = ask(client, "GET", "/v1/scenarios/shop/latest", params={"n": 10})
        return {item["item_id"] for item in answer["items"]}

    wait_for(lambda: latest() == {"i0", "i1", "i2"}, 60)
    answer = ask(client, "GET", "/v1/scenarios/shop/recommendations", params={"user_id": "u", "n": 3})
    assert answer["items"]
    assert {item["item_id"] for item in answer["items"]} <= {"i0", "i1", "i2"}


@pytest.fixture
def prometheus(composed: Composed, tmp_path: Path) -> Iterator[httpx.Client]:
    """A Prometheus that scrapes these services each second, with the alerts, under the jobs of our configuration."""
    program = Path(server("prometheus")).with_name("prometheus")
    ours = yaml.safe_load((monitoring.ALERTS.parent / "prometheus.yml").read_text())
    jobs = [each["job_name"] for each in ours["scrape_configs"]]
    targets = {job: f"127.0.0.1:{composed.ports[job.removeprefix('lemo-')]}" for job in jobs}
    (tmp_path / "prometheus.yml").write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(monitoring.ALERTS)],
                "scrape_configs": [
                    {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()
                ],
            }
        )
    )
    port = free_port()
    command = [str(program), "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], cwd=tmp_path, stdout=log, stderr=log
        )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as made:
                yield made
        finally:
            process.terminate()
            process.wait(30)


@pytest.mark.timeout(240)
def test_every_panel_shows_data_and_no_alert_of_a_healthy_system_fires(
    client: httpx.Client, prometheus: httpx.Client
) -> None:
    ask(client, "POST", "/v1/jobs/run", json={"entry": "cleanup-expired-cache-daily", "scenario": "shop"})

    def result(query: str) -> list[Any]:
        try:
            answer = prometheus.get("/api/v1/query", params={"query": query.replace("$__rate_interval", "1m")})
        except httpx.TransportError:
            return []  # it is still starting
        found: list[Any] = answer.json()["data"]["result"]
        return found

    missing = dict(monitoring.panel_queries())

    def all_answered() -> bool:
        for name in [name for name, query in missing.items() if result(query)]:
            del missing[name]
        return not missing

    try:
        wait_for(all_answered, 60)
    except AssertionError:
        pytest.fail(f"these panels show nothing: {missing}")
    # What an alert waits for before it fires may be there for moments, as on a busy machine.
    for query in monitoring.alert_queries().values():
        wait_for(lambda query=query: result(query) == [], 60)  # type: ignore[misc]
