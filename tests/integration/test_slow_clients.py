"""Clients that leave or dawdle while they send, against the real server over real sockets."""

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

import lemo.deadlines
from api_processes import running_processes
from lemo.api import app
from lemo.api.dependencies import BodyRoom
from lemo.stores.connect import Stores
from sites import add_scenario, running_api, settings_of, wait_for

HALF = 3_000_000
"""Bytes of a body that stops there; the API has room for two of them."""
PATIENCE = 1.0
"""Instead of half a minute."""


class Door:
    """An API, and what a client needs to knock at it byte by byte."""

    def __init__(self, address: str, path: str, key: str, room: BodyRoom) -> None:
        self.address, self.room = address, room
        self.head = (
            f"POST {path}/events HTTP/1.1\r\nHost: lemo\r\nAuthorization: Bearer {key}\r\n"
            "Content-Length: 100000\r\nContent-Type: application/json\r\n\r\n"
        ).encode()

    def connect(self) -> socket.socket:
        host, port = self.address.removeprefix("http://").split(":")
        client = socket.create_connection((host, int(port)))
        client.settimeout(20)
        return client


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Door]:
    stores = Stores(settings_of(tmp_path_factory.mktemp("door"), redis_url))
    scope, key = add_scenario(stores)
    room = BodyRoom(2 * HALF)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "BodyRoom", lambda _size: room)
        patch.setattr(lemo.deadlines, "PATIENCE_SECONDS", PATIENCE)
        with running_api(stores) as address:
            yield Door(address, f"/v1/scenarios/{scope.scenario_id}", key, room)


def read_to_end(client: socket.socket) -> bytes:
    """Everything until the server closes; fails when it does not."""
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := client.recv(65536):
            answer += chunk
    return answer


def test_a_client_that_leaves_in_mid_upload_leaves_no_traceback(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    with capture_logs() as logs:
        for _ in range(3):
            client = door.connect()
            client.sendall(door.head + b'{"events": [')
            client.close()
        wait_for(lambda: sum(line["event"].startswith("a client left") for line in logs) == 3)
        assert httpx.get(f"{door.address}/health/live").status_code == 200
    assert [line for line in logs if line["log_level"] != "debug"] == []
    assert caplog.text == ""


def test_a_body_that_stops_is_answered_with_408_and_closed(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    with door.connect() as client:
        client.sendall(door.head + b'{"events": [')
        answer = read_to_end(client)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in answer
    assert b"urn:lemo:problem:request-timeout" in answer
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("sent", [b"", b"POST /v1/scenarios HTTP/1.1\r\nHost: le", b"GET /health/live HTTP/1.1\r\n"])
def test_a_head_that_does_not_end_is_closed(door: Door, sent: bytes) -> None:
    with door.connect() as client:
        client.sendall(sent)
        answer = read_to_end(client)
    assert answer.startswith(b"HTTP/1.1 408 ") if sent else answer == b""


def test_a_second_head_on_a_kept_connection_that_does_not_end_is_closed(door: Door) -> None:
    with door.connect() as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: lemo\r\n\r\nGET /health/live HT")
        answer = read_to_end(client)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in answer


@pytest.mark.parametrize("key", [True, False], ids=["body-read", "body-not-wanted"])
def test_a_body_that_drips_is_closed(door: Door, key: bool) -> None:
    head = door.head if key else door.head.replace(b"Authorization", b"X-Nothing")
    drips = 0
    with door.connect() as client:
        client.sendall(head)
        client.settimeout(0.1)
        closed = False
        while not closed:
            assert drips < 200, "it goes on listening"
            drips += 1
            try:
                client.sendall(b" ")
                closed = client.recv(65536) == b""
            except TimeoutError:
                continue
            except (ConnectionResetError, BrokenPipeError):
                closed = True


def test_a_slow_but_steady_body_is_taken(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lemo.deadlines, "LEAST_RATE", 1)
    body = b'{"events": []}'
    head = door.head.replace(b"100000", str(len(body)).encode())
    with door.connect() as client:
        client.sendall(head)
        for at in range(len(body)):
            client.sendall(body[at : at + 1])
            threading.Event().wait(PATIENCE / 5)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_an_idle_client_does_not_keep_others_waiting(door: Door) -> None:
    idle = [door.connect() for _ in range(50)]
    for client in idle:
        client.sendall(door.head)
    assert httpx.get(f"{door.address}/health/live", timeout=5).status_code == 200
    for client in idle:
        assert read_to_end(client).startswith(b"HTTP/1.1 408 ")
        client.close()


@pytest.mark.parametrize("sent", [b"GET /health/live?", b"GET /health/live HTTP/1.1\r\nX: "])
def test_a_head_that_grows_without_end_is_refused(door: Door, sent: bytes) -> None:
    part = b"x" * 65_536
    with door.connect() as client:
        client.sendall(sent)
        count = 0
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            while count < 200:
                client.sendall(part)
                count += 1
        assert count < 200, "it takes any number of them"
    with door.connect() as client:
        client.sendall(
            b"GET /health/live HTTP/1.1\r\nConnection: close\r\nHost: lemo\r\nX: " + b"y" * 60_000 + b"\r\n\r\n"
        )
        assert read_to_end(client).startswith(b"HTTP/1.1 200 ")


def test_headers_behind_a_body_are_none(door: Door) -> None:
    keyless = b"\r\n".join(line for line in door.head.split(b"\r\n") if not line.startswith((b"Auth", b"Content-L")))
    key = next(line for line in door.head.split(b"\r\n") if line.startswith(b"Auth"))
    with door.connect() as client:
        chunked = keyless.rstrip() + b"\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.sendall(chunked + b"2\r\n{}\r\n0\r\n" + key + b"\r\n\r\n")
        assert read_to_end(client).startswith(b"HTTP/1.1 401 ")


def test_large_bodies_share_one_room_and_small_ones_need_none(door: Door) -> None:
    """Senders stop in the middle; whoever finds no room is told to come again, and others are answered meanwhile."""
    head = door.head.replace(b"100000", str(2 * HALF).encode())
    senders = [door.connect() for _ in range(6)]
    try:
        for sender in senders:
            threading.Thread(target=_sent, args=(sender, head + b" " * HALF)).start()
        answers = [read_to_end(sender)[:12] for sender in senders]
        assert sorted(set(answers)) == [b"HTTP/1.1 408", b"HTTP/1.1 503"]
        wait_for(lambda: door.room.free == 2 * HALF)
        with door.connect() as client:
            body = b'{"events": []}'
            client.sendall(door.head.replace(b"100000", str(len(body)).encode()) + body)
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
    finally:
        for sender in senders:
            sender.close()


def _sent(client: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        client.sendall(data)


@pytest.mark.long
def test_two_hundred_slow_clients_take_little_memory_and_no_turn(tmp_path: Path, redis_url: str) -> None:
    """Half of a head, half of a body and heads without end at once: others are answered, and memory stays bounded."""
    settings = settings_of(tmp_path / "home", redis_url)
    stores = Stores(settings)
    scope, key = add_scenario(stores)
    with running_processes(settings, 1) as api, contextlib.ExitStack() as open_ones:
        wait_for(api.ready, 60)
        door = Door(api.url, f"/v1/scenarios/{scope.scenario_id}", key, BodyRoom(0))
        before = _private_memory(api.process.pid)
        for number in range(200):
            client = open_ones.enter_context(door.connect())
            half = door.head.replace(b"100000", b"40000000") + b" " * 20_000_000
            endless = b"GET / HTTP/1.1\r\nX: " + b"x" * 50_000_000
            threading.Thread(target=_sent, args=(client, (half, door.head[:40], endless)[number % 3])).start()
        with httpx.Client(base_url=api.url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as http:
            most = 0
            for _ in range(100):
                assert http.get("/v1/scenarios").status_code == 200
                assert http.post(f"/v1/scenarios/{scope.scenario_id}/events", json={"events": []}).status_code == 200
                most = max(most, _private_memory(api.process.pid))
        # 66 halves of 20 MB are 1,300 MB; the room holds 512, and what is being parsed comes on top.
        assert most - before < 900, most - before
    assert "Traceback" not in (settings.home / "log").read_text()
    stores.close()


def _private_memory(pid: int) -> int:
    """MB that the process has for itself."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(size) for size in re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.MULTILINE)) // 1024
