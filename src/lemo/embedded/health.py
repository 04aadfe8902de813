"""Whether a process that runs also answers, so that the supervisor starts again what hangs."""

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

MISSES = 3
"""Questions in a row that stay unanswered before a process is ended."""
PAUSE_SECONDS, ANSWER_SECONDS = 3.0, 4.0
"""Between two questions, and for an answer: what hangs is ended after about 20 s."""
_LATE_SECONDS = 1.5
"""When a pause took this much longer, the machine was suspended or overloaded, and silence says nothing."""
_HTTP2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
"""What an HTTP/2 client says first, with empty settings; a gRPC server answers with its own."""


@dataclass(frozen=True)
class Check:
    """A question that a living process answers at once, whatever work it does: kept free of its engines' state."""

    kind: Literal["http", "http2", "redis"]
    host: str
    port: int
    path: str = "/"

    def answers(self, seconds: float = ANSWER_SECONDS) -> bool:
        """Whether it answers in time. A listening socket proves nothing: the kernel accepts for a stopped process."""
        try:
            if self.kind == "http":
                return self._http(seconds)
            hello = b"PING\r\n" if self.kind == "redis" else _HTTP2_HELLO
            with socket.create_connection((self.host, self.port), seconds) as connection:
                connection.settimeout(seconds)
                connection.sendall(hello)
                return bool(connection.recv(64))  # also "-LOADING" and "-BUSY": it lives
        except OSError:
            return False

    def _http(self, seconds: float) -> bool:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=seconds)
        try:
            connection.request("GET", self.path)
            connection.getresponse()
        except http.client.HTTPException:
            return False
        finally:
            connection.close()
        return True


@dataclass(frozen=True)
class Pace:
    """Seconds between checks and for an answer, and missed answers until a restart."""

    pause: float = PAUSE_SECONDS
    answer: float = ANSWER_SECONDS
    misses: int = MISSES


USUAL = Pace()


class MissedAnswers:
    """Counts the checks in a row that one process did not answer; says when to restart it."""

    def __init__(self, misses: int) -> None:
        self._most = misses
        self._pid: int | None = None
        self._answered = False
        self._missed = 0

    def gave_up(self, pid: int, answered: bool, late: bool) -> bool:
        """Whether the process has been silent for too long, after an answer or a silence of now.

        One that has not answered since its start is still starting; while the machine itself is late nothing counts.
        """
        if pid != self._pid:
            self._pid, self._answered, self._missed = pid, False, 0
        if answered or late:
            self._answered, self._missed = self._answered or answered, 0
            return False
        self._missed += self._answered
        return self._missed >= self._most


def save(checks: Mapping[str, Check], file: Path, pace: Pace) -> None:
    """Writes the checks by program, for the supervisor's process."""
    known = {name: asdict(check) for name, check in checks.items()}
    file.write_text(json.dumps({"pace": asdict(pace), "checks": known}))


def watch(file: Path, pid_of: Callable[[str], int | None], tell: Callable[[str], None]) -> None:
    """Watches each program of the file in a thread for as long as this process lives."""
    with suppress(FileNotFoundError):
        known = json.loads(file.read_text())
        pace = Pace(**known["pace"])
        for name, check in known["checks"].items():
            threading.Thread(
                target=_watch, args=(name, Check(**check), pace, pid_of, tell), name=f"health {name}", daemon=True
            ).start()


def _watch(
    name: str, check: Check, pace: Pace, pid_of: Callable[[str], int | None], tell: Callable[[str], None]
) -> None:
    missed = MissedAnswers(pace.misses)
    while True:
        before, clock = time.monotonic(), time.time()
        time.sleep(pace.pause)
        # The monotonic clock stands still while a machine is suspended, the wall clock does not.
        late = max(time.monotonic() - before, time.time() - clock) > pace.pause + _LATE_SECONDS
        pid = pid_of(name)
        if pid is None:
            continue
        if missed.gave_up(pid, check.answers(pace.answer), late) and pid_of(name) == pid:
            tell(f"{name} (pid {pid}) runs but has not answered {pace.misses} times: it is started again")
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # a stopped process would not hear anything else
