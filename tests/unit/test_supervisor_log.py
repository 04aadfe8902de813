"""The supervisor's log on a full disk: lines are lost and counted, and the supervisor lives."""

from contextlib import suppress
from pathlib import Path

import pytest
from supervisor.loggers import LevelsByName, Logger

from lemo.embedded.supervisord import PatientLog


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full: only Linux has a file that is always full")
def test_a_full_disk_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    log = PatientLog("/dev/full", "ab", 0, 0)
    log.setFormat("%(message)s")
    log.setLevel(LevelsByName.INFO)
    lines = Logger(LevelsByName.INFO, [log])
    for number in range(3):
        lines.info(f"lost {number}\n".encode())
    assert log.lost == 3
    with suppress(OSError):  # it still holds what it could not write
        log.stream.close()
    log.stream = (tmp_path / "log").open("ab")
    lines.info(b"written\n")
    lines.info(b"and again\n")
    lines.close()
    first, notice, last = (tmp_path / "log").read_text().splitlines()
    assert (first, last) == ("written", "and again")
    assert notice == "3 writes to this log failed; is the disk full?"
    assert log.lost == 0


def test_a_log_is_rotated_and_bounded(tmp_path: Path) -> None:
    log = PatientLog(str(tmp_path / "api.log"), "ab", 200, 2)
    log.setFormat("%(message)s")
    log.setLevel(LevelsByName.INFO)
    lines = Logger(LevelsByName.INFO, [log])
    for number in range(100):
        lines.info(f"line {number}\n".encode())
    lines.close()
    files = {path.name: path for path in tmp_path.iterdir()}
    assert set(files) == {"api.log", "api.log.1", "api.log.2"}
    assert all(path.stat().st_size <= 220 for path in files.values())
    newest = "".join(files[name].read_text() for name in ("api.log.1", "api.log"))
    assert newest.splitlines()[-1] == "line 99"
