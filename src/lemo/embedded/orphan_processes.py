"""What a killed supervisor leaves behind: its children live on and hold folders and ports until they are ended."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from lemo.embedded.configuration import Folder

_SECONDS = 20.0


def _processes() -> dict[int, str]:
    """Command lines by pid."""
    proc = Path("/proc")
    if not (proc / "self" / "cmdline").exists():  # macOS
        listed = subprocess.run(["ps", "-Ao", "pid=,command="], capture_output=True, text=True, check=True).stdout
        return {int(pid): line for pid, _, line in (row.strip().partition(" ") for row in listed.splitlines())}
    found = {}
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                state = (entry / "stat").read_text().rpartition(") ")[2][0]
            except OSError:  # it ended while we looked
                continue
            if state not in "ZX":  # ended, but its parent has not asked how
                found[int(entry.name)] = line
    return found


def _members(session: int) -> list[int]:
    """The processes of a dead supervisor's session; the name is asked for too, since numbers begin anew at a reboot.

    One that is just ending has lost its command line, but may hold its files and ports still.
    """
    processes = _processes()
    if processes.get(session):  # somebody else has the number now, so the session is over
        return []
    members = []
    for pid, line in processes.items():
        try:
            if ("lemo" in line or not line) and os.getsid(pid) == session:
                members.append(pid)
        except (ProcessLookupError, PermissionError):
            continue
    return members


def end_leftovers(folder: Folder) -> bool:
    """Ends the children of a supervisor that was killed, asking first; whether there were any.

    To be called only while no supervisor of the folder lives.
    """
    try:
        session = int(folder.session_file.read_text())
    except (FileNotFoundError, ValueError):
        return False
    found = _members(session)
    for sent, seconds in ((signal.SIGTERM, _SECONDS), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + seconds
        for pid in _members(session):
            with suppress(ProcessLookupError):
                os.kill(pid, sent)
        while _members(session) and time.monotonic() < deadline:
            time.sleep(0.1)
    folder.session_file.unlink(missing_ok=True)
    return bool(found)
