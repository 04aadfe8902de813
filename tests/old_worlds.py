"""An installation by its command line, of this commit or an older one, and what it tells of its data.

The standard library alone: scripts/write-state drives old commits with it.
"""

import json
import os
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

PORTS = ("API", "CONSOLE", "REDIS", "CLICKHOUSE", "MILVUS", "WORKER_METRICS", "CONSUMER_METRICS")
LEFT_OUT = re.compile(r"/(logs|milvus|supervis[^/]*|metrics|run)(/|$)|\.(sock|pid|log|lock)$")
"""What of a home folder is no state, or is made anew (vectors)."""
_MAKE_KEY = (
    "from lemo.settings import Settings; from lemo.stores.bootstrap import ensure_admin; ensure_admin(Settings())"
)
"""What `lemo up` does first."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait(120)


class Installation:
    """`lemo` on a home folder, with ports of its own."""

    def __init__(self, command: Sequence[str], home: Path) -> None:
        self.command, self.home = list(command), home
        ports = {f"LEMO_{name}_PORT": str(_free_port()) for name in PORTS}
        # Vectors are made anew, and Milvus Lite takes its time to start.
        ports["LEMO_MILVUS_URI"] = "http://127.0.0.1:1"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LEMO_")}
        self.env = kept | ports | {"LEMO_HOME": str(home), "NO_COLOR": "1", "COLUMNS": "300"}
        self.url = f"http://127.0.0.1:{ports['LEMO_API_PORT']}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """The processes that a state needs, one by one: `lemo up` gives up on a busy machine."""
        self.home.mkdir(mode=0o700)
        python = str(Path(self.command[0]).with_name("python"))
        ports = {name: self.env[f"LEMO_{name.upper()}_PORT"] for name in ("redis", "clickhouse")}
        engines = [
            [python, "-m", f"lemo.embedded.{name}", "--path", str(self.home / name), "--port", port]
            for name, port in ports.items()
        ]
        self.env["LEMO_REDIS_URL"] = f"redis://127.0.0.1:{ports['redis']}"
        self.env["LEMO_CLICKHOUSE_URL"] = f"http://127.0.0.1:{ports['clickhouse']}"
        services = [[*self.command, name] for name in ("consumer", "worker", "api")]
        with ExitStack() as stack:
            log = stack.enter_context((self.home.parent / "log").open("wb"))

            def start(commands: Sequence[Sequence[str]]) -> None:
                for command in commands:
                    process = subprocess.Popen(command, cwd=self.home.parent, env=self.env, stdout=log, stderr=log)
                    stack.callback(_end, process)

            start(engines)
            subprocess.run([python, "-c", _MAKE_KEY], cwd=self.home.parent, env=self.env, check=True)
            self._wait(lambda: all(map(_answers, ports.values())))
            start(services)
            self._wait(lambda: self.get("/health/live") is not None)
            yield

    def lemo(self, *words: str) -> str:
        """What the command prints; fails with its words where it fails."""
        done = subprocess.run(
            [*self.command, *words], cwd=self.home.parent, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"lemo {' '.join(words)}: {done.stderr or done.stdout}"
        return done.stdout

    def json(self, *words: str) -> Any:
        """The JSON that the command prints."""
        return json.loads(self.lemo(*words, "--format", "json"))

    def get(self, path: str) -> Any:
        """The JSON that the API answers."""
        key = (self.home / "admin.key").read_text().strip()
        request = urllib.request.Request(f"{self.url}{path}", headers={"Authorization": f"Bearer {key}"})  # noqa: S310 - ours
        with urllib.request.urlopen(request, timeout=300) as answer:  # noqa: S310
            return json.loads(answer.read())

    def _wait(self, condition: Callable[[], bool], seconds: float = 300) -> None:
        until = time.monotonic() + seconds
        while True:
            try:
                if condition():
                    return
            except OSError:
                pass
            assert time.monotonic() < until, (self.home.parent / "log").read_text(errors="replace")[-3000:]
            time.sleep(0.2)

    def told(self) -> dict[str, Any]:
        """Counts, models and answers, in a form that all versions have in common."""
        lists = self.home.parent / "lists.jsonl"
        lists.unlink(missing_ok=True)
        self.lemo("recommend", "--scenario", "shop", "--all", "-n", "10", "--out", str(lists))
        rows = [json.loads(line) for line in lists.read_text().splitlines()]
        below = "/v1/scenarios/shop"
        return {
            "stats": self.json("stats", "--scenario", "shop"),
            "models": self.json("models", "list", "--scenario", "shop"),
            "lists": {row["user_id"]: _ids(row) for row in rows},
            "similar": {item: _ids(self.get(f"{below}/similar?item_id={item}&n=5")) for item in ("i0", "i1", "i12")},
            "latest": _ids(self.get(f"{below}/latest?n=40")),
        }


def _ids(answer: Any) -> list[str]:
    return [item["item_id"] for item in answer["items"]]
