"""Starting, watching and stopping the processes of one machine, whoever asks and from whichever terminal."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from lemo.domain.errors import Conflict, EngineUnavailable, LemoError
from lemo.embedded import health
from lemo.embedded.configuration import Folder, configuration
from lemo.embedded.logs import lines_since, named, sizes
from lemo.embedded.open_files import check_limit
from lemo.embedded.orphan_processes import end_leftovers
from lemo.embedded.port_locks import check_port
from lemo.embedded.programs import Program
from lemo.embedded.programs import programs as default_programs
from lemo.settings import Settings, check_urls

FREE_BYTES = 500_000_000
READY_SECONDS = 180.0
_POLL_SECONDS = 0.1
_ANSWER_SECONDS = 30.0
_SHUTTING_DOWN = 6  # supervisor.xmlrpc.Faults.SHUTDOWN_STATE


@dataclass(frozen=True)
class ServiceState:
    """One supervised process as the supervisor sees it: RUNNING, STARTING, BACKOFF, STOPPING, STOPPED or EXITED."""

    name: str
    state: str
    pid: int | None
    uptime: float
    """Seconds since its last start; 0 when it does not run."""
    restarts: int


@dataclass(frozen=True)
class Supervised:
    """A started set of processes."""

    settings: Settings
    programs: tuple[Program, ...]
    pid: int
    """The supervisor's."""
    logs: Path
    """The folder of the logs: NAME.log of each program, and supervisor.log."""
    log_offsets: Mapping[str, int]
    """Where in each log this start begins, in bytes."""


Watch = Callable[[Program, str], None]
"""Called with each program's state while the start waits: `ready`, or the supervisor's word for it."""


def running(settings: Settings) -> int | None:
    """The pid of the supervisor of this home folder; None when nothing runs."""
    folder = Folder(settings.state)
    if not folder.lock.exists():
        return None
    # Shared, so that two who ask do not take each other for the supervisor, which holds it exclusively.
    descriptor = os.open(folder.lock, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            return int(folder.pid_file.read_text())
        except (FileNotFoundError, ValueError):  # it is about to write it, or just removed it
            return 0
    finally:
        os.close(descriptor)
    return None


def _proxy(folder: Folder) -> Any:
    from supervisor.xmlrpc import SupervisorTransport

    return xmlrpc.client.ServerProxy(
        "http://127.0.0.1", transport=SupervisorTransport(None, None, f"unix://{folder.socket}")
    )


def status(settings: Settings) -> list[ServiceState]:
    """The state of each process, engines first; empty when nothing runs."""
    if running(settings) is None:
        return []
    with _proxy(Folder(settings.state)) as proxy:
        try:
            found, restarts = proxy.supervisor.getAllProcessInfo(), proxy.lemo.restarts()
        except (OSError, xmlrpc.client.ProtocolError):  # just starting or just ending
            return []
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == _SHUTTING_DOWN:
                return []
            raise
    found.sort(key=lambda info: info["group"])  # engines, services
    return [
        ServiceState(
            name=info["name"],
            state=info["statename"],
            pid=info["pid"] or None,
            uptime=float(max(0, info["now"] - info["start"])) if info["pid"] else 0.0,
            restarts=restarts.get(info["name"], 0),
        )
        for info in found
    ]


def _check(settings: Settings, programs: Sequence[Program]) -> None:
    check_urls(settings)
    check_limit()
    folder = Folder(settings.state)
    pid = running(settings)
    if pid is not None:
        raise Conflict(
            f"Lemo is already running on {folder.home} (pid {pid or 'not known yet'}).",
            "See it with `lemo status`, stop it with `lemo down`, or use another folder with LEMO_HOME.",
        )
    free = shutil.disk_usage(folder.home).free
    if free < FREE_BYTES:
        raise LemoError(
            f"Only {free // 1_000_000} MB are free where {folder.home} lies; "
            f"the engines need {FREE_BYTES // 1_000_000} MB.",
            "Make room there, or choose another folder with LEMO_HOME.",
        )
    end_leftovers(folder)  # of a supervisor that was killed: they hold the ports
    for program in programs:
        if program.listens:
            where = program.listens
            check_port(where.host, where.port, program.name, where.setting)


def launch(
    settings: Settings, programs: Sequence[Program] | None = None, pace: health.Pace = health.USUAL
) -> Supervised:
    """Starts the supervisor, which starts the programs, and returns as soon as it answers.

    Raises Conflict when it runs already or a port is taken, LemoError when the disk is full.
    Without `programs` it is those of this machine, and the first start makes the tenant `default` and its admin key.
    """
    folder = Folder(settings.state)
    try:
        folder.prepare()
    except OSError as error:
        raise LemoError(
            f"The folder {folder.home} cannot be made or written: {error.strerror}.", "Choose another with LEMO_HOME."
        ) from None
    with FileLock(folder.run / "start.lock"):
        table = tuple(default_programs(settings) if programs is None else programs)
        _check(settings, table)
        if programs is None:
            from lemo.stores.bootstrap import ensure_admin
            from lemo.stores.installation import claim_at_start

            ensure_admin(settings)
            if settings.redis_url:  # the embedded one is asked by each service
                claim_at_start(settings)
        folder.configuration.write_text(configuration(table, folder, Path.cwd()))
        health.save({each.name: each.check for each in table if each.check}, folder.health, pace)
        offsets = sizes(folder.logs)
        output = folder.run / "supervisord.out"
        with output.open("wb") as out:
            # A session of its own: Ctrl-C in this terminal reaches us alone, and we end the others in order.
            child = subprocess.Popen(
                [sys.executable, "-m", "lemo.embedded.supervisord", str(folder.configuration)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        try:
            deadline = time.monotonic() + _ANSWER_SECONDS
            while not status(settings):
                if child.poll() is not None or time.monotonic() > deadline:
                    text = output.read_text(errors="replace").strip()
                    raise LemoError(f"The supervisor did not start. {text}", f"See {folder.log}.")
                time.sleep(_POLL_SECONDS)
        except BaseException:
            child.terminate()
            raise
        finally:
            child.returncode = child.returncode or 0  # it outlives us, found by its lock: Popen need not wait for it
        return Supervised(settings, table, child.pid, folder.logs, offsets)


def wait_ready(
    supervised: Supervised, watch: Watch = lambda _program, _state: None, seconds: float = READY_SECONDS
) -> None:
    """Waits until each program runs and answers; raises EngineUnavailable with the last log lines of what does not."""
    deadline = time.monotonic() + seconds
    waiting = list(supervised.programs)
    while waiting:
        states = {state.name: state for state in status(supervised.settings)}
        if not states and running(supervised.settings) is None:
            raise LemoError("The processes were stopped while they started.", "Start them again with `lemo up`.")
        for program in tuple(waiting):
            state = states[program.name].state if program.name in states else "STOPPED"
            if state == "RUNNING" and _is_ready(program):
                waiting.remove(program)
                watch(program, "ready")
            else:
                watch(program, state.lower())
        if waiting and time.monotonic() > deadline:
            names = ", ".join(program.name for program in waiting)
            lines = [line for program in waiting for line in last_lines(supervised, program.name)]
            raise EngineUnavailable(
                f"Not ready after {seconds:.0f} s: {names}.\n" + "\n".join(lines), f"The whole logs: {supervised.logs}"
            )
        time.sleep(_POLL_SECONDS)


def _is_ready(program: Program) -> bool:
    try:
        return program.ready()
    except OSError:
        return False


def last_lines(supervised: Supervised, name: str, count: int = 15) -> list[str]:
    """The last lines that a process wrote since this start."""
    lines = lines_since(supervised.logs, name, supervised.log_offsets.get(name, 0))
    return [named(name, line) for line in lines[-count:]]


def start(
    settings: Settings, programs: Sequence[Program] | None = None, watch: Watch = lambda _program, _state: None
) -> Supervised:
    """Starts everything and returns when all of it is ready; stops and reports what does not become ready."""
    supervised = launch(settings, programs)
    try:
        wait_ready(supervised, watch)
    except BaseException:
        stop(settings)
        raise
    return supervised


def _wait_gone(settings: Settings, deadline: float) -> int | None:
    """The supervisor's pid when it still runs at the deadline (a moment of time.monotonic), else None."""
    while (pid := running(settings)) is not None and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return pid


def stop(settings: Settings, seconds: float = 90.0) -> bool:
    """Stops services, then engines, and waits until they are gone; whether anything ran."""
    folder = Folder(settings.state)
    deadline = time.monotonic() + seconds
    pid = running(settings)
    ran = pid is not None
    while pid == 0 and time.monotonic() < deadline:  # it is just starting, or just ending
        time.sleep(_POLL_SECONDS)
        pid = running(settings)
    if pid:
        _signal(pid, signal.SIGTERM)
        pid = _wait_gone(settings, deadline)
    if pid:
        _signal(pid, signal.SIGKILL)
        _wait_gone(settings, time.monotonic() + 5)
    return end_leftovers(folder) or ran


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
