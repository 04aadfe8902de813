"""The services of the Compose file, started as it says, on the real engines: from an item to an answer."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import yaml

import compose_file
import monitoring
from lemo.domain.scope import Scope
from lemo.jobs.drift import CTR_CHANGE, SCORE_PSI
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.streams import Message
from lemo.streams.served_messages import SentAnswer, ServedAnswer, ServedItem, served_messages
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
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
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

    def stores(self) -> Stores:
        """The same stores, for the test to reach what is behind the API."""
        wanted = self.environment("api")
        names = ("redis_url", "mongo_url", "clickhouse_url", "kafka_bootstrap_servers", "installation", "home")
        return Stores(Settings.model_validate({name: wanted[f"LEMO_{name.upper()}"] for name in names}))

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
        for name in SERVED:
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            made.processes[name] = subprocess.Popen(
                made.command(name), cwd=folder, env=made.environment(name), stdout=log, stderr=log
            )
        try:
            for name in SERVED:
                wait_for(lambda name=name: made.healthy(name), 90)  # type: ignore[misc]
            yield made
        finally:
            for process in made.processes.values():
                process.terminate()
            codes = {name: process.wait(60) for name, process in made.processes.items()}
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


def send_events(client: httpx.Client, events: list[dict[str, str]]) -> None:
    now = time.time()
    sent = [{"action": "click", "timestamp": now - place, **event} for place, event in enumerate(events)]
    assert ask(client, "POST", "/v1/scenarios/shop/events", json={"events": sent})["accepted"] == len(events)


def answered(composed: Composed, hours_ago: int, shift: float, clicked: float) -> None:
    """Answers of so long ago, each with an impression, whose scores are around `shift`."""
    at, scope = int((time.time() - hours_ago * 3_600) * 1000), Scope("default", "shop")
    draw = random.Random(hours_ago)
    answers, events = [], []
    for number in range(600):
        request = f"{at}-{number}"
        items = [ServedItem(f"i{place}", score=draw.gauss(shift, 1), source="popularity") for place in range(3)]
        sent = SentAnswer(request, items)
        answers.append(ServedAnswer(kind="recommendations", at=at, took_us=900, user_id="u", answer=sent))
        about = {"tenant_id": "default", "scenario_id": "shop", "user_id": "u", "item_id": "i0", "request_id": request}
        acts = ["impression", "click"] if number < 600 * clicked else ["impression"]
        events += [{**about, "action": act, "timestamp": at + 1_000 + number} for act in acts]
    with closing(composed.stores()) as stores, closing(stores.log.publisher()) as publisher:
        messages = served_messages(scope, 1.0, map(msgspec.json.encode, answers))
        publisher.publish(stores.settings.kafka_served_topic, messages)
        publisher.publish(stores.settings.kafka_event_topic, [Message(json.dumps(each).encode()) for each in events])


def measured_drift(client: httpx.Client) -> dict[str, float]:
    """What the hourly job measures now."""
    asked = {"entry": "check-experiments-hourly", "scenario": "shop"}
    [run] = ask(client, "POST", "/v1/jobs/run", json=asked)["runs"]

    def ended() -> bool:
        run.update(ask(client, "GET", "/v1/runs/show", params={"run_id": run["run_id"]}))
        return run["outcome"] in ("ok", "failed")

    wait_for(ended, 60)
    assert run["outcome"] == "ok", run
    return {name: run["detail"].get(name, 0.0) for name in (SCORE_PSI, CTR_CHANGE)}


@pytest.fixture(scope="module")
def prometheus(composed: Composed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A Prometheus that scrapes these services each second, with the alerts, under the jobs of our configuration."""
    tmp_path = tmp_path_factory.mktemp("prometheus")
    program = Path(server("prometheus")).with_name("prometheus")
    ours = yaml.safe_load((monitoring.ALERTS.parent / "prometheus.yml").read_text())
    jobs = [each["job_name"] for each in ours["scrape_configs"]]
    targets = {job: f"127.0.0.1:{composed.ports[job.removeprefix('lemo-')]}" for job in jobs}
    rules = yaml.safe_load(monitoring.ALERTS.read_text())
    for rule in rules["groups"][0]["rules"]:
        rule.pop("for", None)  # how long each waits is held by tests/deploy/alerts.test.yml
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(rules))
    (tmp_path / "prometheus.yml").write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": ["alerts.yml"],
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


def result(prometheus: httpx.Client, query: str) -> list[Any]:
    try:
        answer = prometheus.get("/api/v1/query", params={"query": query.replace("$__rate_interval", "1m")})
    except httpx.TransportError:
        return []  # it is still starting
    found: list[Any] = answer.json()["data"]["result"]
    return found


@pytest.mark.timeout(240)
def test_every_panel_shows_data_and_no_alert_of_a_healthy_system_fires(
    composed: Composed, client: httpx.Client, prometheus: httpx.Client
) -> None:
    ask(client, "POST", "/v1/jobs/run", json={"entry": "cleanup-expired-cache-daily", "scenario": "shop"})
    send_events(client, [{"user_id": f"u{each % 7}", "item_id": f"i{each % 3}"} for each in range(50)])

    def counted() -> int:
        return sum(period["events"] for period in ask(client, "GET", "/v1/scenarios/shop/stats")["periods"])

    wait_for(lambda: counted() == 50, 60)
    answered(composed, 100, 0.0, 0.5)
    answered(composed, 5, 0.0, 0.49)  # as good as before, and not the same to the last digit
    wait_for(lambda: 0 not in measured_drift(client).values(), 90)
    ask(client, "POST", "/v1/jobs/run", json={"entry": "train-model-daily", "scenario": "shop"})
    for _ in range(100):  # more than were asked for while there was nothing to answer
        ask(client, "GET", "/v1/scenarios/shop/latest")

    missing = dict(monitoring.panel_queries())

    def all_answered() -> bool:
        for name in [name for name, query in missing.items() if result(prometheus, query)]:
            del missing[name]
        return not missing

    try:
        wait_for(all_answered, 60)
    except AssertionError:
        pytest.fail(f"these panels show nothing: {missing}")
    # What an alert waits for before it fires may be there for moments, as on a busy machine.
    for query in monitoring.alert_queries().values():
        wait_for(lambda query=query: result(prometheus, query) == [], 60)  # type: ignore[misc]


@pytest.mark.timeout(240)
def test_alerts_fire_when_what_they_watch_breaks(
    composed: Composed, client: httpx.Client, prometheus: httpx.Client
) -> None:
    def firing() -> set[str]:
        alerts = prometheus.get("/api/v1/alerts").json()["data"]["alerts"]
        return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}

    wait_for(lambda: not firing(), 60)
    with closing(composed.stores()) as stores, closing(stores.log.publisher()) as publisher:
        publisher.publish(stores.settings.kafka_item_ingest_topics[0], [Message(b"no JSON")] * 20)
        event = {
            "tenant_id": "default",
            "scenario_id": "shop",
            "user_id": "u",
            "action": "click",
            "event_id": "order 7",
        }
        events = [{**event, "item_id": f"i{place}", "timestamp": time.time()} for place in range(20)]
        topic = stores.settings.kafka_event_topic
        publisher.publish(topic, [Message(json.dumps(each).encode(), b"u") for each in events])
    ask(client, "POST", "/v1/scenarios", json={"scenario_id": "bare", "template": "ecommerce"})
    for hours_ago in (4, 6, 7):
        answered(composed, hours_ago, 2.0, 0.0)
    wait_for(lambda: (found := measured_drift(client))[SCORE_PSI] > 0.25 and found[CTR_CHANGE] < -0.3, 90)
    worker = composed.processes["worker"].pid
    os.kill(worker, signal.SIGSTOP)
    try:
        for _ in range(120):
            ask(client, "POST", "/v1/jobs/run", json={"entry": "cleanup-expired-cache-daily", "scenario": "bare"})
        for _ in range(300):
            assert ask(client, "GET", "/v1/scenarios/bare/latest")["items"] == []
        expected = {"LemoMessagesRefused", "LemoEventIdsReused", "LemoServiceDown", "LemoQueueLong", "LemoAnswersPoor"}
        expected |= {"LemoScoreDrift", "LemoCtrDrop"}
        try:
            wait_for(lambda: firing() == expected, 60)
        except AssertionError:
            found = firing()
            pytest.fail(f"these do not fire: {expected - found}; these do, and should not: {found - expected}")
    finally:
        os.kill(worker, signal.SIGCONT)
    wait_for(lambda: not firing() & {"LemoServiceDown", "LemoQueueLong"}, 90)
