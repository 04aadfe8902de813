"""The supervisor's folder below the home folder, and its configuration file. The file holds no secrets:
children inherit the environment and read their settings themselves."""

import getpass
import os
import shlex
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lemo.embedded.programs import Program

_LONGEST_SOCKET_PATH = 88
"""Characters: the kernel allows 104 (macOS) to 108, and the supervisor binds to the name and a pid behind it."""
LOG_BYTES = 10_000_000
LOG_BACKUPS = 3


@dataclass(frozen=True)
class Folder:
    """Where the supervisor of a home folder keeps its things."""

    home: Path

    @property
    def run(self) -> Path:
        """Folder of what lives only while the processes do; only its owner may enter."""
        return self.home / "run"

    @property
    def configuration(self) -> Path:
        """The supervisor's configuration, written at each start."""
        return self.run / "supervisord.conf"

    @property
    def health(self) -> Path:
        """The questions that the supervisor asks its programs, written at each start."""
        return self.run / "supervisord.health"

    @property
    def lock(self) -> Path:
        """Locked for as long as the supervisor lives."""
        return self.run / "supervisord.lock"

    @property
    def pid_file(self) -> Path:
        """The supervisor's pid, while it lives."""
        return self.run / "supervisord.pid"

    @property
    def session_file(self) -> Path:
        """The supervisor's session; it stays behind when the supervisor is killed or fails."""
        return self.run / "supervisord.session"

    @property
    def log(self) -> Path:
        """The supervisor's own log; `.1` and so on are the older ones."""
        return self.logs / "supervisor.log"

    @property
    def logs(self) -> Path:
        """Folder of the logs: NAME.log of each process."""
        return self.home / "logs"

    @property
    def socket_note(self) -> Path:
        """Holds the socket's path where the home folder's own would be too long."""
        return self.run / "socket"

    @property
    def socket(self) -> Path:
        """The supervisor's socket."""
        try:
            return Path(self.socket_note.read_text())
        except FileNotFoundError:
            return self.run / "supervisor.sock"

    def prepare(self) -> None:
        """Makes the folders; the socket lies in one that only its owner may enter."""
        for folder in (self.home, self.run, self.log.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.run.chmod(0o700)
        too_long = len(os.fsencode(self.run / "supervisor.sock")) > _LONGEST_SOCKET_PATH
        if too_long and not (self.socket_note.exists() and self.socket.parent.is_dir()):
            self.socket_note.write_text(str(Path(tempfile.mkdtemp(prefix="lemo-")) / "supervisor.sock"))  # mode 0700


def _literal(value: object) -> str:
    # The package expands %(...)s, and takes " ;" for the start of a comment, which quoting cannot prevent.
    return str(value).replace("%", "%%")


def _program(program: Program, folder: Path) -> str:
    return f"""
[program:{program.name}]
command={_literal(shlex.join(program.command))}
directory={_literal(folder)}
priority={10 if program.group == "engines" else 20}
autorestart=true
startsecs=2
startretries=10
stopsignal=TERM
stopwaitsecs={program.stop_seconds}
stopasgroup=false
killasgroup=true
redirect_stderr=true
stdout_logfile=NONE
"""


def configuration(programs: Sequence[Program], folder: Folder, working_folder: Path) -> str:
    """The text of the configuration file. Groups end as one, services before the engines that they need.

    Only a program's first process is asked to end (Celery's must see to its pool); what it leaves is killed. The
    pause between tries never exceeds startretries (see lemo.embedded.supervisord), so no program ends up FATAL.
    """
    text = f"""; Written by `lemo up` at each start: changes are lost.
[supervisord]
nodaemon=true
nocleanup=true
{f"user={getpass.getuser()}" if os.getuid() == 0 else ""}
logfile={_literal(folder.log)}
logfile_maxbytes={LOG_BYTES}
logfile_backups={LOG_BACKUPS}
pidfile={_literal(folder.pid_file)}
childlogdir={_literal(folder.run)}
identifier=lemo

[unix_http_server]
file={_literal(folder.socket)}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[rpcinterface:lemo]
supervisor.rpcinterface_factory=lemo.embedded.supervisord:make_restarts_interface
"""
    for group, priority in (("engines", 10), ("services", 20)):
        members = [program.name for program in programs if program.group == group]
        if members:
            text += f"\n[group:{group}]\nprograms={','.join(members)}\npriority={priority}\n"
    return text + "".join(_sections(programs, working_folder))


def _sections(programs: Iterable[Program], working_folder: Path) -> Iterable[str]:
    return (_program(program, working_folder) for program in programs)
