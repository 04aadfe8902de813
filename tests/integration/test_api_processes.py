"""Several processes of the API on one port: one that dies is replaced, and none outlives the parent."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lemo.settings import Settings
from lemo.stores.bootstrap import ensure_admin
from servers import environment, free_port
from sites import wait_for


class Api:
    """`lemo api` with two processes."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.process, self.url = process, f"http://127.0.0.1:{port}"

    @property
    def children(self) -> set[int]:
        """The processes that serve; multiprocessing has one more, which cleans up."""
        found = set()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parent = int((entry / "stat").read_text().rpartition(") ")[2].split()[1])
                    line = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if parent == self.process.pid and b"spawn_main" in line:
                    found.add(int(entry.name))
        return found

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


@pytest.fixture
def api(tmp_path: Path, redis_url: str) -> Iterator[Api]:
    port = free_port()
    env = environment(tmp_path / "home") | {
        "LEMO_API_PORT": str(port),
        "LEMO_API_WORKERS": "2",
        "LEMO_REDIS_URL": redis_url,
        "LEMO_INSTALLATION": f"test{port}",
    }
    ensure_admin(Settings(home=tmp_path / "home"))
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "lemo.cli.main", "api"], env=env, stdout=log, stderr=log)
        try:
            yield Api(process, port)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(20)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def test_a_process_that_dies_is_replaced_and_none_outlives_the_parent(api: Api) -> None:
    wait_for(lambda: api.ready() and len(api.children) == 2, 60)
    before = api.children
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: len(api.children - {victim}) == 2 and api.ready(), 60)
    assert before - {victim} < api.children, "the other one went on"
    children = api.children
    os.kill(api.process.pid, signal.SIGKILL)
    api.process.wait(10)
    wait_for(lambda: not any(map(lives, children)), 30)


def test_an_orderly_end_ends_all(api: Api) -> None:
    wait_for(lambda: api.ready() and len(api.children) == 2, 60)
    children = api.children
    api.process.terminate()
    assert api.process.wait(30) == 0
    assert not any(map(lives, children))
