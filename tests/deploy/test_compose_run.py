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

import compose_file
from servers import free_port
from sites import wait_for

SERVED = ("api", "worker", "beat", "consumer", "console")
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


@pytest.fixture
def composed(
    tmp_path: Path, valkey_url: str, mongo_url: str, clickhouse_url: str, kafka_servers: str
) -> Iterator[Composed]:
    """All services, in the order of the file: `upgrade` to its end, then the others."""
    made = Composed(tmp_path / "home", valkey_url, mongo_url, clickhouse_url, kafka_servers)
    first = subprocess.run(
        made.command("upgrade"),
        env=made.environment("upgrade"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert first.returncode == 0, first.stderr
    with ExitStack() as stack:
        processes = {}
        for name in SERVED:
            log = stack.enter_context((tmp_path / f"{name}.log").open("wb"))
            processes[name] = subprocess.Popen(made.command(name), env=made.environment(name), stdout=log, stderr=log)
        try:
            yield made
        finally:
            for process in processes.values():
                process.terminate()
            codes = {name: process.wait(60) for name, process in processes.items()}
    assert set(codes.values()) <= {0, -15, 143}, codes


@pytest.mark.deploy
@pytest.mark.timeout(240)
def test_services_become_healthy_and_carry_an_item_to_an_answer(composed: Composed) -> None:
    for name in SERVED:
        wait_for(lambda name=name: composed.healthy(name), 90)  # type: ignore[misc]
    key = (composed.home / "admin.key").read_text().strip()
    with httpx.Client(
        base_url=f"http://127.0.0.1:{composed.ports['api']}", headers={"Authorization": f"Bearer {key}"}, timeout=20
    ) as client:

        def ask(method: str, path: str, **how: Any) -> Any:
            answer = client.request(method, path, **how)
            assert answer.is_success, answer.text
            return answer.json()

        ask("POST", "/v1/scenarios", json={"scenario_id": "shop", "template": "ecommerce"})
        items = [{"item_id": f"i{number}", "title": f"Item {number}"} for number in range(3)]
        assert ask("POST", "/v1/scenarios/shop/items", json={"items": items})["accepted"] == 3

        def latest() -> set[str]:
            answer = ask("GET", "/v1/scenarios/shop/latest", params={"n": 10})
            return {item["item_id"] for item in answer["items"]}

        wait_for(lambda: latest() == {"i0", "i1", "i2"}, 60)
        answer = ask("GET", "/v1/scenarios/shop/recommendations", params={"user_id": "u", "n": 3})
        assert {item["item_id"] for item in answer["items"]} <= {"i0", "i1", "i2"}
        assert answer["items"]
