"""Who may try an engine that failed."""

import time

from lemo.serving.breaker import Breaker


def test_after_a_failure_one_caller_a_moment_tries_again() -> None:
    breaker = Breaker(rest_seconds=0.05)
    assert breaker.allows()
    assert breaker.allows()
    breaker.failed()
    assert not breaker.allows()
    deadline = time.monotonic() + 5
    while not breaker.allows():
        assert time.monotonic() < deadline
    assert not breaker.allows(), "only one caller finds out"
    breaker.worked()
    assert breaker.allows()
    assert breaker.allows()
