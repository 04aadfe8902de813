"""The supervisor process: the `supervisor` package's own server, with one log per program and endless restarts.

What differs from the package as it comes, all by subclassing what its configuration makes:
every child's output goes to a rotated file of its own, and lines that a full disk refuses are lost and counted; the
pause before the next try of a child that dies at once grows to 5 s and the tries never end; when a child dies, whatever
is left of its process group dies with it; what runs and does not answer is ended (lemo.embedded.health); and
`lemo.restarts` tells over RPC how often each was started again.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from supervisor import loggers
from supervisor.dispatchers import POutputDispatcher
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.options import ProcessConfig, ServerOptions
from supervisor.process import Subprocess
from supervisor.states import ProcessStates
from supervisor.supervisord import Supervisor

from lemo.embedded.health import watch

LONGEST_PAUSE = 5
"""Seconds between two tries to start what dies at once, at most."""
_LONGEST_LINE = 65_536


class PatientLog(loggers.RotatingFileHandler):  # type: ignore[misc]
    """The log file: when it cannot be written (a full disk), lines are lost and counted, and everything goes on."""

    lost = 0

    def emit(self, record: Any) -> None:
        """Writes a record; the first one that can be written again is followed by the number of lost ones."""
        before = self.lost
        try:
            super().emit(record)
        except OSError:  # the rotation, which the package does not guard
            self.lost += 1
        if before and self.lost == before:
            self.lost = 0
            notice = f"{before} writes to this log failed; is the disk full?"
            super().emit(loggers.LogRecord(record.level, f"{notice}\n".encode()))

    def handleError(self) -> None:  # noqa: N802 - the package's name
        """Counts; the package would print a traceback to a file on the same full disk, and die of that."""
        self.lost += 1


class NamedOutput(POutputDispatcher):  # type: ignore[misc]
    """Writes a child's output to its log, line by line."""

    _rest = b""

    def _init_normallog(self) -> None:
        self._lines = self.process.config.options.lines_of(self.process.config.name)

    def _log(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        if lines:
            self._lines.info(b"".join(line + b"\n" for line in lines))

    def close(self) -> None:
        """Writes the unfinished last line of a child that died in the middle of it."""
        if not self.closed and self._rest:
            self._log(b"\n")
        super().close()


class KeptProcess(Subprocess):  # type: ignore[misc]
    """A child that is started again for as long as it takes."""

    starts = 0
    _backoff = 0

    @property
    def backoff(self) -> int:
        """Tries in a row that ended at once, and so the pause in seconds; never above startretries."""
        return self._backoff

    @backoff.setter
    def backoff(self, tries: int) -> None:
        self._backoff = min(tries, LONGEST_PAUSE)

    def spawn(self) -> Any:
        """Starts the child and counts it."""
        pid = super().spawn()
        if pid:
            self.starts += 1
        return pid

    def finish(self, pid: int, sts: int) -> None:
        """Notes the child's end; its own children must not outlive it and work beside its successor."""
        super().finish(pid, sts)
        with suppress(ProcessLookupError, PermissionError):  # nobody is left (macOS says it the second way)
            os.killpg(pid, signal.SIGKILL)


class KeptConfig(ProcessConfig):  # type: ignore[misc]
    """Makes the two above."""

    def make_process(self, group: Any = None) -> KeptProcess:
        """The process of a `program` section."""
        process = KeptProcess(self)
        process.group = group
        return process

    def make_dispatchers(self, proc: Any) -> Any:
        """The pipes of a child about to start, its output ones named."""
        dispatchers, pipes = super().make_dispatchers(proc)
        for fd, dispatcher in dispatchers.items():
            if isinstance(dispatcher, POutputDispatcher):
                dispatchers[fd] = NamedOutput(proc, dispatcher.event_type, fd)
        return dispatchers, pipes


class _OwnLines(loggers.Handler):  # type: ignore[misc]
    """Sends the supervisor's own lines to its log."""

    def __init__(self, lines: Any) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: Any) -> None:
        fields = record.asdict()
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._lines.info(f"{moment} {fields['levelname']:<5} {fields['message']}\n".encode())

    def reopen(self) -> None:
        """Nothing: the log is opened once."""


class KeptOptions(ServerOptions):  # type: ignore[misc]
    """The package's options, with our process class and a log for each."""

    first = True
    test = False

    def processes_from_section(self, parser: Any, section: str, group_name: str, klass: Any = None) -> Any:
        """The processes of a `program` section."""
        kept = KeptConfig if klass in (None, ProcessConfig) else klass
        return super().processes_from_section(parser, section, group_name, kept)

    def make_logger(self) -> None:
        """Opens the supervisor's own log; those of its programs are opened when they first start."""
        self._logs: dict[str, Any] = {}
        self.logger = loggers.Logger(self.loglevel, [_OwnLines(self.lines_of(Path(self.logfile).stem))])
        for message in (*self.parse_criticals, *self.parse_warnings):
            self.logger.warn(message)

    def lines_of(self, name: str) -> Any:
        """The log of a program, NAME.log beside the supervisor's own; a program that starts again goes on in it."""
        if name not in self._logs:
            lines = loggers.getLogger()
            file = str(Path(self.logfile).with_name(f"{name}.log"))
            log = PatientLog(file, "ab", self.logfile_maxbytes, self.logfile_backups)
            log.setFormat("%(message)s")
            log.setLevel(lines.level)
            lines.addHandler(log)
            self._logs[name] = lines
        return self._logs[name]


class _RestartsInterface:
    """The RPC namespace `lemo`."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def restarts(self) -> dict[str, int]:
        """How often each process was started again, by its name."""
        return {
            name: max(0, process.starts - 1)
            for group in self._supervisor.process_groups.values()
            for name, process in group.processes.items()
        }


def make_restarts_interface(supervisor: Supervisor, **_config: str) -> _RestartsInterface:
    """What the configuration's `rpcinterface:lemo` section names."""
    return _RestartsInterface(supervisor)


def _pid_of(supervisor: Supervisor, name: str) -> int | None:
    """The pid of a process that runs; None while it starts, stops or is gone."""
    for group in list(supervisor.process_groups.values()):
        process = group.processes.get(name)
        if process is not None and process.get_state() == ProcessStates.RUNNING:
            return process.pid or None
    return None


def main(argv: list[str] | None = None) -> int:
    """`python -m lemo.embedded.supervisord CONF`: keeps the programs of the file until SIGTERM.

    A lock beside the file tells that this supervisor lives; the kernel frees it, whatever ends the process.
    """
    configuration = Path((argv or sys.argv[1:])[0])
    lock = FileLock(configuration.with_suffix(".lock"))
    try:
        lock.acquire(timeout=5)  # whoever asks whether we run holds it for a moment
    except Timeout:
        sys.stderr.write(f"Another supervisor runs with {configuration}.\n")
        return 1
    # Stays behind when this process is killed or fails, and so names those whom it leaves behind.
    session = configuration.with_suffix(".session")
    session.write_text(str(os.getsid(0)))
    options = KeptOptions()
    options.realize(["--configuration", str(configuration)])
    supervisor = Supervisor(options)
    watch(configuration.with_suffix(".health"), partial(_pid_of, supervisor), lambda line: options.logger.warn(line))
    with suppress(ExitNow):
        supervisor.main()
    options.close_httpservers()
    session.unlink(missing_ok=True)
    lock.release()
    return 0


if __name__ == "__main__":
    sys.exit(main())
