"""The supervisor with stand-in programs: one log, restarts, second starts, ends in order and out of order."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from lemo.domain.errors import Conflict, EngineUnavailable, LemoError
from lemo.embedded import supervisor
from lemo.embedded.configuration import Folder
from lemo.embedded.health import Check, Pace
from lemo.embedded.logs import named
from lemo.embedded.programs import Listens, Program
from lemo.settings import Settings

STAND_IN = """
import os, signal, sys, time
name = sys.argv[1]
print(name, "started in", os.getcwd(), flush=True)
print(name, "writes to stderr", file=sys.stderr, flush=True)
signal.signal(signal.SIGTERM, lambda *_: (print(name, "ends at", time.time(), flush=True), sys.exit(0)))
while True:
    signal.pause()
"""


def stand_in(name: str, group: Literal["engines", "services"] = "services", code: str = STAND_IN) -> Program:
    script = Path(tempfile.mkdtemp(prefix="stand-in-", dir=os.environ["STAND_INS"])) / "lemo.py"
    script.write_text(code)
    return Program(name, (sys.executable, str(script), f"lemo-{name}"), group)


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv("STAND_INS", str(tmp_path))
    made = Settings(home=tmp_path / "home with space")
    yield made
    supervisor.stop(made)


def merged(supervised: supervisor.Supervised) -> str:
    """All logs, each line with its process's name."""
    files = sorted(supervised.logs.glob("*.log"))
    return "".join(f"{named(file.stem, line)}\n" for file in files for line in file.read_text().splitlines())


def states(settings: Settings) -> dict[str, supervisor.ServiceState]:
    return {state.name: state for state in supervisor.status(settings)}


def test_starts_names_lines_and_stops_services_before_engines(settings: Settings) -> None:
    seen: list[tuple[str, str]] = []
    table = [stand_in("engine", "engines"), stand_in("one"), stand_in("two")]
    supervised = supervisor.start(settings, table, watch=lambda program, state: seen.append((program.name, state)))

    assert supervisor.running(settings) == supervised.pid
    found = supervisor.status(settings)
    assert [state.name for state in found] == ["engine", "one", "two"]
    assert {state.state for state in found} == {"RUNNING"}
    assert all(state.pid and alive(state.pid) and state.restarts == 0 for state in found)
    assert {("engine", "ready"), ("one", "ready"), ("two", "ready")} <= set(seen)
    assert Folder(settings.state).socket.stat().st_mode & 0o077 == 0
    assert Folder(settings.state).run.stat().st_mode & 0o077 == 0

    assert supervisor.stop(settings)
    assert supervisor.status(settings) == []
    assert not any(alive(state.pid or 0) for state in found)
    log = merged(supervised)
    assert f"one        | lemo-one started in {os.getcwd()}\n" in log
    assert "two        | lemo-two writes to stderr\n" in log
    assert sorted(file.name for file in supervised.logs.iterdir()) == [
        "engine.log",
        "one.log",
        "supervisor.log",
        "two.log",
    ]
    ends = {name: float(log.split(f"lemo-{name} ends at ")[1].split()[0]) for name in ("engine", "one", "two")}
    assert max(ends["one"], ends["two"]) <= ends["engine"]
    assert not supervisor.stop(settings)


def test_what_is_killed_starts_again_with_its_children_gone(settings: Settings) -> None:
    code = "import subprocess, sys\n" + STAND_IN.replace(
        "while True", "print('child', subprocess.Popen(['sleep', '600']).pid, flush=True)\nwhile True"
    )
    supervised = supervisor.start(settings, [stand_in("one", code=code), stand_in("two")])
    before = states(settings)
    pid = before["one"].pid
    assert pid
    until(lambda: "child" in merged(supervised))
    child = int(merged(supervised).split("child ")[1].split()[0])
    assert alive(child)

    os.kill(pid, signal.SIGKILL)

    until(lambda: (state := states(settings)["one"]).state == "RUNNING" and state.pid != pid)
    until(lambda: not alive(child))
    assert states(settings)["one"].restarts == 1
    assert states(settings)["two"].pid == before["two"].pid


def test_what_dies_at_once_is_tried_again_for_as_long_as_it_takes(settings: Settings, tmp_path: Path) -> None:
    flag = tmp_path / "engine-is-there"
    code = f"import os, sys\nif not os.path.exists({str(flag)!r}): sys.exit('no engine')\n" + STAND_IN
    supervised = supervisor.launch(settings, [stand_in("late", code=code)])
    until(lambda: merged(supervised).count("late       | no engine\n") >= 3)
    assert states(settings)["late"].state in {"BACKOFF", "STARTING"}
    with pytest.raises(EngineUnavailable, match=r"(?s)Not ready after .* late.*no engine"):
        supervisor.wait_ready(supervised, seconds=0.1)
    flag.touch()
    supervisor.wait_ready(supervised, seconds=20)


ANSWERING = """
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", PORT), Answer).serve_forever()
"""


def test_what_runs_and_does_not_answer_is_started_again(settings: Settings, free_port: int) -> None:
    hanging = stand_in("one", code=ANSWERING.replace("PORT", str(free_port)))
    hanging = replace(hanging, check=Check("http", "127.0.0.1", free_port))
    supervised = supervisor.launch(settings, [hanging, stand_in("two")], Pace(pause=0.2, answer=0.5, misses=2))
    supervisor.wait_ready(supervised)
    before = states(settings)
    until(lambda: " 200 " in merged(supervised))  # it has answered once

    os.kill(before["one"].pid or 0, signal.SIGSTOP)

    until(lambda: (state := states(settings)["one"]).state == "RUNNING" and state.pid != before["one"].pid)
    assert "has not answered 2 times: it is started again" in merged(supervised)
    assert states(settings)["two"].pid == before["two"].pid


def test_a_second_start_says_who_runs(settings: Settings) -> None:
    supervised = supervisor.start(settings, [stand_in("one")])
    with pytest.raises(Conflict, match=rf"already running .*pid {supervised.pid}.*lemo status.*lemo down"):
        supervisor.start(settings, [stand_in("one")])
    assert states(settings)["one"].state == "RUNNING"


def test_a_taken_port_is_named_with_its_setting(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        program = Program("api", ("true",), listens=Listens("127.0.0.1", port, "LEMO_API_PORT"))
        with pytest.raises(Conflict, match=rf"api cannot listen on 127\.0\.0\.1:{port}.*LEMO_API_PORT"):
            supervisor.start(settings, [program])
    assert supervisor.running(settings) is None


def test_a_full_disk_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FREE_BYTES", 10**18)
    with pytest.raises(LemoError, match="MB are free"):
        supervisor.start(settings, [stand_in("one")])


def test_a_killed_supervisor_leaves_nothing_that_stop_does_not_end(settings: Settings) -> None:
    supervised = supervisor.start(settings, [stand_in("engine", "engines"), stand_in("one")])
    pids = [state.pid or 0 for state in supervisor.status(settings)]
    os.kill(supervised.pid, signal.SIGKILL)
    until(lambda: supervisor.running(settings) is None)
    assert all(alive(pid) for pid in pids)

    assert supervisor.stop(settings)

    assert not any(alive(pid) for pid in pids)


def test_a_start_after_a_killed_supervisor_ends_the_leftovers_first(settings: Settings) -> None:
    supervised = supervisor.start(settings, [stand_in("one")])
    (old,) = supervisor.status(settings)
    os.kill(supervised.pid, signal.SIGKILL)
    until(lambda: supervisor.running(settings) is None)

    supervisor.start(settings, [stand_in("one")])

    assert not alive(old.pid or 0)
    assert states(settings)["one"].pid != old.pid


def test_a_long_home_gets_a_short_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_INS", str(tmp_path))
    settings = Settings(home=tmp_path / ("long" * 30))
    supervisor.start(settings, [stand_in("one")])
    try:
        assert states(settings)["one"].state == "RUNNING"
        short = Folder(settings.state).socket
        assert len(str(short)) < 90
        assert short.parent.stat().st_mode & 0o077 == 0
    finally:
        assert supervisor.stop(settings)


def test_up_in_the_foreground_killed_leaves_what_down_stops(settings: Settings, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom lemo.cli import up\nfrom lemo.embedded import supervisor\n"
        "from lemo.embedded.programs import Program\n"
        f"table = [Program('one', {stand_in('one').command!r})]\n"
        "start = supervisor.start\n"
        "supervisor.start = lambda settings, watch: start(settings, table, watch)\n"
        "up.up(detach=False)\n"
    )
    environment = {**os.environ, "LEMO_HOME": str(settings.state)}

    said = tmp_path / "said"

    def run() -> subprocess.Popen[bytes]:
        with said.open("wb") as output:
            up = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=output, stderr=output)
        until(lambda: "Ctrl-C stops everything" in said.read_text())
        return up

    with run() as up:
        up.kill()
    assert states(settings)["one"].state == "RUNNING"
    assert supervisor.stop(settings)

    with run() as up:
        pid = states(settings)["one"].pid or 0
        os.kill(pid, signal.SIGKILL)  # its successor's lines show that the log is followed
        until(lambda: "one        | lemo-one started" in said.read_text())
        up.send_signal(signal.SIGINT)
        assert up.wait(20) == 0
    assert supervisor.running(settings) is None
    assert not alive(pid)

    with run() as up:
        pid = states(settings)["one"].pid or 0
        os.kill(supervisor.running(settings) or 0, signal.SIGKILL)
        assert up.wait(40) != 0
    assert "ended unasked" in said.read_text()
    assert not alive(pid)
