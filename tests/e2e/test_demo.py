"""What a newcomer does first, on a fresh clone in an empty folder; and the same while every process is killed once."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

import servers
from servers import environment

SUPERVISED = ("redis", "clickhouse", "milvus", "consumer", "worker", "api", "beat", "console")


def summary(output: str) -> dict[str, Any]:
    """The last line of the demo."""
    return dict(json.loads(output.strip().splitlines()[-1]))


class Killer(threading.Thread):
    """Kills each process of a running demo once, one after the other, each when the one before it is back."""

    def __init__(self, env: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self.env = env
        self.killed: list[str] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set() and len(self.killed) < len(SUPERVISED):
            running = servers.supervised(self.env)
            if set(running) != set(SUPERVISED):
                self.over.wait(0.2)
                continue
            name = SUPERVISED[len(self.killed)]
            os.kill(running[name], signal.SIGKILL)
            self.killed.append(name)


SCALE = ("--scale", "0.1")
"""Enough for every job and a model ahead of popularity."""


def calm_demo(clone: Path, folder: Path) -> dict[str, Any]:
    """What the demo of a fresh clone says."""
    subprocess.run(["git", "clone", "--quiet", str(servers.ROOT), str(clone)], check=True)
    calm = subprocess.run(
        ["make", "demo", f"ARGS=--once {' '.join(SCALE)}"],
        cwd=clone,
        env=environment(folder / "calm"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert calm.returncode == 0, calm.stdout[-3000:] + calm.stderr[-3000:]
    expected = summary(calm.stdout)
    assert set(expected["jobs"].values()) == {"ok"}
    assert len(expected["jobs"]) == 7
    assert expected["ndcg_at_10"]["model"] > expected["ndcg_at_10"]["popularity"] > 0
    assert expected["recommended_users"] > 0
    del expected["seconds"]
    return expected


@pytest.mark.timeout(600)
def test_a_fresh_clone_shows_the_demo(tmp_path: Path) -> None:
    calm_demo(tmp_path / "clone", tmp_path)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_neither_kills_nor_a_cluster_change_a_number_of_the_demo(
    tmp_path: Path, kafka_servers: str, mongo_url: str, s3_url: str, s3_bucket: str
) -> None:
    clone = tmp_path / "clone"
    expected = calm_demo(clone, tmp_path)
    command = [str(clone / ".venv/bin/lemo"), "demo", "--once", *SCALE]
    assert demo_while_processes_are_killed(command, tmp_path) == expected
    assert demo_on_a_cluster(command, tmp_path, kafka_servers, mongo_url, s3_url, s3_bucket) == expected


def demo_while_processes_are_killed(command: list[str], folder: Path) -> dict[str, Any]:
    env = environment(folder / "killed")
    demo = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    killer = Killer(env)
    killer.start()
    output, _ = demo.communicate()
    killer.over.set()
    killer.join()
    assert demo.returncode == 0, output[-5000:]
    assert set(killer.killed) == set(SUPERVISED), f"the demo ended before all were killed: {killer.killed}"
    return without_seconds(output)


def demo_on_a_cluster(
    command: list[str], folder: Path, kafka_servers: str, mongo_url: str, s3_url: str, s3_bucket: str
) -> dict[str, Any]:
    """Kafka, MongoDB, S3 and a Redis by URL in place of the embedded ones, by settings alone."""
    own, redis_port = uuid.uuid4().hex[:8], servers.free_port()
    redis = subprocess.Popen(
        [sys.executable, "-m", "lemo.embedded.redis", "--path", str(folder / "redis"), "--port", str(redis_port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    cluster = {
        "LEMO_REDIS_URL": f"redis://127.0.0.1:{redis_port}",
        "LEMO_MONGO_URL": mongo_url,
        "LEMO_MONGO_DATABASE": f"lemo_test_{own}",
        "LEMO_KAFKA_BOOTSTRAP_SERVERS": kafka_servers,
        "LEMO_KAFKA_ITEM_INGEST_TOPICS": f"items-{own},vlog-items-{own},news-items-{own}",
        "LEMO_KAFKA_EVENT_TOPIC": f"events-{own}",
        "LEMO_KAFKA_DEAD_LETTER_TOPIC": f"dead-{own}",
        "LEMO_KAFKA_ITEM_RESULTS_TOPIC": f"results-{own}",
        "LEMO_SNAPSHOTS_URL": f"s3://{s3_bucket}/snapshots",
        "LEMO_S3_ENDPOINT": s3_url,
        "LEMO_S3_ACCESS_KEY_ID": "any",
        "LEMO_S3_SECRET_ACCESS_KEY": "any",
    }
    try:
        done = subprocess.run(
            command, env=environment(folder / "cluster") | cluster, capture_output=True, text=True, check=False
        )
    finally:
        redis.terminate()
        redis.wait()
        with MongoClient[dict[str, Any]](mongo_url) as client:
            client.drop_database(f"lemo_test_{own}")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return without_seconds(done.stdout)


def without_seconds(output: str) -> dict[str, Any]:
    found = summary(output)
    del found["seconds"]
    return found


def alive(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.timeout(300)
def test_ctrl_c_ends_the_demo_and_everything_it_started(tmp_path: Path) -> None:
    env = environment(tmp_path / "home")
    demo = subprocess.Popen(
        [sys.executable, "-m", "lemo.cli.main", "demo", "--scale", "0.1"],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while set(running := servers.supervised(env)) != set(SUPERVISED):
        assert time.monotonic() < deadline
        assert demo.poll() is None
        time.sleep(0.2)
    demo.send_signal(signal.SIGINT)
    assert demo.wait(90) == 0
    assert [name for name, pid in running.items() if alive(pid)] == []
