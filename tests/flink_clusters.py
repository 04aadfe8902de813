"""A cluster of Flink for tests: one job manager and one task manager, which may be killed and started again."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

import servers
from engines.flink import CONNECTOR
from engines.process import LOOPBACK
from sites import wait_for

_STARTS_SECONDS = 180
_FRUGAL = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
"""Each command is a Java of its own, and short."""


class Cluster:
    """Its processes; each is the leader of a group, with the Python processes that it started."""

    def __init__(self, folder: Path) -> None:
        installed = Path(servers.server("flink"))
        self.folder = folder
        self.python = installed / "venv" / "bin" / "python"
        self.home = next((installed / "venv" / "lib").glob("python*/site-packages/pyflink"))
        self.connector = installed / f"libs-{CONNECTOR}" / f"flink-sql-connector-kafka-{CONNECTOR}.jar"
        self.port = servers.free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._configure()

    @property
    def environment(self) -> dict[str, str]:
        """What Flink's programs need."""
        path = f"{self.python.parent}:{os.environ['PATH']}"
        folders = {"FLINK_HOME": self.home, "FLINK_CONF_DIR": self.folder / "conf", "FLINK_LOG_DIR": self.folder}
        return {**os.environ, "PATH": path, **{name: str(value) for name, value in folders.items()}}

    @property
    def program(self) -> Path:
        """Flink's command line."""
        return self.home / "bin" / "flink"

    def start(self, *names: str) -> None:
        """Starts `jobmanager` and `taskmanager`, or one of them, and waits until there are slots."""
        for name in names or ("jobmanager", "taskmanager"):
            with (self.folder / f"{name}.txt").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    ["bash", self.home / "bin" / f"{name}.sh", "start-foreground"],
                    env=self.environment,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        wait_for(lambda: self._slots() > 0, _STARTS_SECONDS)

    def kill(self, *names: str) -> None:
        """Kills processes at once, with those that they started."""
        for name in names or tuple(self.processes):
            process = self.processes.pop(name)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _slots(self) -> int:
        try:
            return int(httpx.get(f"{self.url}/overview", timeout=5, trust_env=False).json()["slots-total"])
        except (httpx.HTTPError, ValueError, KeyError):
            return 0

    def _configure(self) -> None:
        conf = self.folder / "conf"
        conf.mkdir()
        for file in (self.home / "conf").iterdir():
            (conf / file.name).write_bytes(file.read_bytes())
        lines = (self.home / "conf" / "config.yaml").read_text().splitlines()
        opens = next(line.strip() for line in lines if line.strip().startswith("all: "))
        settings = {
            "jobmanager.bind-host": LOOPBACK,
            "jobmanager.rpc.address": LOOPBACK,
            "jobmanager.rpc.port": servers.free_port(),
            "jobmanager.memory.process.size": "900m",
            "taskmanager.bind-host": LOOPBACK,
            "taskmanager.host": LOOPBACK,
            "taskmanager.numberOfTaskSlots": 4,
            "taskmanager.memory.process.size": "1600m",
            "taskmanager.memory.managed.size": "256m",
            "rest.address": LOOPBACK,
            "rest.bind-address": LOOPBACK,
            "rest.port": self.port,
            "state.backend.type": "rocksdb",
            "execution.checkpointing.dir": f"file://{self.folder}/checkpoints",
            "execution.checkpointing.savepoint-dir": f"file://{self.folder}/savepoints",
            "io.tmp.dirs": str(self.folder / "scratch"),
            "heartbeat.interval": 2000,
            "heartbeat.timeout": 15000,
            "python.executable": self.python,
            "python.client.executable": self.python,
        }
        text = "".join(f"{name}: {value}\n" for name, value in settings.items())
        (conf / "config.yaml").write_text(f"env:\n  java:\n    opts:\n      {opens} {_FRUGAL}\n{text}")
        (self.folder / "scratch").mkdir()


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster, killed at the end."""
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()
