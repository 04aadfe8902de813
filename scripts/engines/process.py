"""Processes that outlive the command that started them, and are stopped only when they are certainly ours."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

LOOPBACK = "127.0.0.1"
PORTS = range(17000, 17100)


class Failed(Exception):
    """An engine could not be had; `reason` says why and `hint` what to do."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(f"{reason}. Fix: {hint}" if hint else reason)
        self.reason = reason
        self.hint = hint


def birth(pid: int) -> str | None:
    """When a process was started, in the kernel's words; None if it is gone (or dead and only not yet reaped)."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else fields[19]
    answer = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = answer.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


class Daemon:
    """One process in the background, known by a pid file that also holds its birth, since pids are used again."""

    def __init__(self, folder: Path) -> None:
        self.pid_file = folder / "pid.json"
        self.log = folder / "log.txt"

    @property
    def pid(self) -> int | None:
        """The pid of the running process, None if it does not run."""
        try:
            known = json.loads(self.pid_file.read_text())
            pid, born = int(known["pid"]), known["birth"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return pid if birth(pid) == born else None

    @property
    def port(self) -> int | None:
        """The port that the running process was started on, None if it does not run."""
        return json.loads(self.pid_file.read_text())["port"] if self.pid is not None else None

    def start(self, command: Sequence[str | Path], port: int) -> None:
        """Starts `command` in a session of its own, its output in the log."""
        # Not subprocess.Popen: its objects mourn, with a warning, a process that outlives them.
        pid = os.posix_spawnp(
            command[0],
            [str(part) for part in command],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        self.pid_file.write_text(json.dumps({"pid": pid, "birth": birth(pid), "port": port}))

    def wait(self, ready: Callable[[], bool], seconds: float) -> None:
        """Returns once `ready()` is true; raises Failed with the end of the log when the process dies or time is up."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.pid is None:
                raise Failed(f"it ended at once:\n{tail(self.log)}", f"read {self.log}")
            if time.monotonic() > deadline:
                raise Failed(f"it was not ready after {seconds:.0f} s:\n{tail(self.log)}", f"read {self.log}")
            time.sleep(0.05)

    def stop(self, seconds: float = 15) -> bool:
        """Asks the process to end, insists after `seconds`; returns whether it ran."""
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + seconds
            while self.pid is not None and time.monotonic() < deadline:
                time.sleep(0.05)
            if self.pid is not None:
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):  # it is our child only in the process that started it
                os.waitpid(pid, 0)
        self.pid_file.unlink(missing_ok=True)
        return pid is not None


def tail(file: Path, lines: int = 15) -> str:
    """The last lines of a log, indented."""
    try:
        text = file.read_text(errors="replace")
    except FileNotFoundError:
        return "    (no log)"
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])


_TOOLS: set[int] = set()  # pids, each the leader of its group
_ENDING = threading.Event()


def run(command: Sequence[str | Path], log: Path, cwd: Path, environment: Mapping[str, str] | None = None) -> None:
    """Runs a tool to its end, its output added to `log`; raises Failed with the end of the log."""
    if _ENDING.is_set():
        raise Failed("interrupted")
    with (
        log.open("ab") as out,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            process_group=0,
        ) as tool,
    ):
        _TOOLS.add(tool.pid)
        code = tool.wait()
        _TOOLS.discard(tool.pid)
    if code:
        raise Failed(f"`{' '.join(map(str, command))[:120]}` failed ({code}):\n{tail(log)}", f"read {log}")


def stop_tools() -> None:
    """Ends what `run` runs in other threads, compilers that they started included."""
    _ENDING.set()
    for pid in list(_TOOLS):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGTERM)


def listens(port: int) -> bool:
    """Whether something accepts connections on the port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def choose_port(variable: str, usual: int) -> int:
    """The port that the variable names, else the usual one, else every tenth after it, so that two clones can run."""
    named = os.environ.get(variable)
    if named:
        if not named.isdecimal() or not 0 < int(named) < 65536:
            raise Failed(f"{variable}={named} is not a port", f"{variable}={usual}")
        if not _free(int(named)):
            raise Failed(f"port {named} ({variable}) is taken", f"free it, or unset {variable}")
        return int(named)
    for port in range(usual, PORTS.stop, 10):
        if _free(port):
            return port
    raise Failed(f"port {usual} and every tenth up to {PORTS.stop - 1} are taken", f"{variable}=PORT")


def exchange(port: int, request: bytes, answer: bytes) -> bool:
    """Whether a server, sent `request`, answers with something that holds `answer`."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2) as connection:
            connection.sendall(request)
            return answer in connection.recv(65536)
    except OSError:
        return False
