"""What hangs is ended; what starts, works hard or sits on a suspended machine is not."""

import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemo.embedded.health import MISSES, Check, MissedAnswers

LOOKS = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40)


@given(LOOKS)
def test_only_silence_in_a_row_after_an_answer_counts(looks: list[tuple[bool, bool]]) -> None:
    missed = MissedAnswers(MISSES)
    answered_once, silent = False, 0
    for answered, late in looks:
        gave_up = missed.gave_up(7, answered, late)
        silent = 0 if answered or late else silent + answered_once
        answered_once = answered_once or answered
        assert gave_up == (silent >= MISSES)


def test_another_process_starts_with_a_clean_slate() -> None:
    missed = MissedAnswers(2)
    missed.gave_up(1, True, False)
    assert not missed.gave_up(1, False, False)
    assert not missed.gave_up(2, False, False)
    assert not any(missed.gave_up(2, False, False) for _ in range(50))


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a process that the kernel accepts connections for, and that never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_an_accepted_connection_is_no_answer(silent: int) -> None:
    for kind in ("http", "http2", "redis"):
        assert not Check(kind, "127.0.0.1", silent).answers(0.3)


def test_each_engine_answers_its_question(redis_url: str, clickhouse_url: str, milvus_uri: str) -> None:
    ports = [int(url.rpartition(":")[2].partition("/")[0]) for url in (redis_url, clickhouse_url, milvus_uri)]
    checks = [Check("redis", "127.0.0.1", ports[0]), Check("http", "127.0.0.1", ports[1], "/ping")]
    checks.append(Check("http2", "127.0.0.1", ports[2]))
    assert all(check.answers() for check in checks)


def test_who_hangs_up_has_not_answered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].close())
        thread.start()
        assert not Check("http", "127.0.0.1", server.getsockname()[1]).answers(2)
        thread.join()
