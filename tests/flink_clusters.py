"""A cluster of Flink for tests: one job manager and one task manager, which may be killed and started again."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import yaml

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

    def newest_checkpoint(self, job_id: str) -> str:
        """The newest checkpoint of a job that is complete, on the disk; empty without one.

        What Flink told before it was killed may be gone: it keeps one, and may have made another since.
        """
        found = (self.folder / "checkpoints" / job_id).glob("chk-*/_metadata")
        newest = max(found, key=lambda path: int(path.parent.name.removeprefix("chk-")), default=None)
        return "" if newest is None else f"file://{newest.parent}"

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
        # The configuration of the image, at addresses and in folders of this machine.
        settings = yaml.safe_load((servers.ROOT / "deploy" / "flink" / "config.yaml").read_text())
        settings["env"]["java"]["opts"]["all"] += f" {_FRUGAL}"
        settings |= {
            "jobmanager.bind-host": LOOPBACK,
            "jobmanager.rpc.address": LOOPBACK,
            "jobmanager.rpc.port": servers.free_port(),
            "taskmanager.bind-host": LOOPBACK,
            "taskmanager.host": LOOPBACK,
            "rest.address": LOOPBACK,
            "rest.bind-address": LOOPBACK,
            "rest.port": self.port,
            "execution.checkpointing.dir": f"file://{self.folder}/checkpoints",
            "execution.checkpointing.savepoint-dir": f"file://{self.folder}/savepoints",
            "io.tmp.dirs": str(self.folder / "scratch"),
            "heartbeat.interval": 2000,
            "heartbeat.timeout": 15000,
            "python.executable": str(self.python),
            "python.client.executable": str(self.python),
        }
        (conf / "config.yaml").write_text(yaml.safe_dump(settings, width=10_000))
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
