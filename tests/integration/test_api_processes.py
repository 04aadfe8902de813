"""Several processes of the API on one port: one that dies is replaced, and none outlives the parent."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api_processes import Api, running_processes
from lemo.settings import Settings
from servers import free_port
from sites import wait_for


@pytest.fixture
def api(tmp_path: Path, redis_url: str) -> Iterator[Api]:
    settings = Settings(home=tmp_path / "home", redis_url=redis_url, installation=f"test{free_port()}")
    with running_processes(settings, 2) as api:
        yield api


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def ready_answers(api: Api) -> float:
    line = 'lemo_http_requests_total{method="GET",route="/health/ready",status="200"} '
    lines = httpx.get(f"{api.url}/metrics", timeout=20).text.splitlines()
    return float(next(each for each in lines if each.startswith(line)).removeprefix(line))


def test_a_process_that_dies_is_replaced_and_none_outlives_the_parent(api: Api) -> None:
    wait_for(lambda: api.ready() and len(api.children) == 2, 60)
    before = api.children
    for _ in range(20):
        wait_for(api.ready, 20)
    counted = ready_answers(api)
    assert counted >= 21
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: len(api.children - {victim}) == 2 and api.ready(), 60)
    assert before - {victim} < api.children, "the other one went on"
    assert all(ready_answers(api) > counted for _ in range(10)), "each process tells the sum, with the dead one's"
    children = api.children
    os.kill(api.process.pid, signal.SIGKILL)
    api.process.wait(10)
    wait_for(lambda: not any(map(lives, children)), 30)


@pytest.mark.long
def test_an_orderly_end_ends_all(api: Api) -> None:
    wait_for(lambda: api.ready() and len(api.children) == 2, 60)
    children = api.children
    api.process.terminate()
    assert api.process.wait(30) == 0
    assert not any(map(lives, children))
