"""Clients that leave or dawdle while they send, against the real server over real sockets."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest
from structlog.testing import capture_logs

import lemo.deadlines
from lemo.stores.connect import Stores
from sites import add_scenario, running_api, settings_of, wait_for

PATIENCE = 1.0
"""Instead of half a minute."""


class Door:
    """An API, and what a client needs to knock at it byte by byte."""

    def __init__(self, address: str, path: str, key: str) -> None:
        self.address = address
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
    with pytest.MonkeyPatch.context() as patch, running_api(stores) as address:
        patch.setattr(lemo.deadlines, "PATIENCE_SECONDS", PATIENCE)
        yield Door(address, f"/v1/scenarios/{scope.scenario_id}", key)


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
