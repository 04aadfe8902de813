"""`lemo api` with several processes, for tests of what they do together."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from lemo.settings import Settings
from lemo.stores.bootstrap import ensure_admin
from servers import environment, free_port


class Api:
    """`lemo api` with its processes."""

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


@contextmanager
def running_processes(settings: Settings, workers: int) -> Iterator[Api]:
    """The API of an installation by its own command, which is killed at the end where it still runs."""
    port = free_port()
    env = environment(settings.home) | {
        "LEMO_API_PORT": str(port),
        "LEMO_API_WORKERS": str(workers),
        "LEMO_REDIS_URL": settings.redis(0),
        "LEMO_INSTALLATION": settings.installation,
    }
    ensure_admin(settings)
    with (settings.home / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "lemo.cli.main", "api"], env=env, stdout=log, stderr=log)
        try:
            yield Api(process, port)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(20)
