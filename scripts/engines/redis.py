"""Redis, from the system."""

import shutil

from engines.engine import Engine, Lack, debian
from engines.process import LOOPBACK, choose_port, exchange


class Redis(Engine):
    """The system's redis-server without persistence."""

    name = "redis"
    variable = "LEMO_TEST_REDIS_PORT"
    usual_port = 17001

    def lacks(self) -> list[Lack]:
        return [] if shutil.which("redis-server") else [debian("redis-server", "redis-server")]

    def url(self) -> str | None:
        port = self.daemon.port
        return f"redis://{LOOPBACK}:{port}" if port else None

    def start(self) -> str:
        if not self.daemon.port:
            port = choose_port(self.variable, self.usual_port)
            self.daemon.start(
                ["redis-server", "--bind", LOOPBACK, "--port", str(port), "--dir", str(self.fresh("data")),
                 "--save", "", "--appendonly", "no", "--databases", "16"],
                port,
            )  # fmt: skip
        port = self.daemon.port or 0
        self.daemon.wait(lambda: exchange(port, b"PING\r\n", b"+PONG"), 10)
        return f"redis://{LOOPBACK}:{port}"
