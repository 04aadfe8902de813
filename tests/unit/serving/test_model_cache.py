"""How states of scopes are loaded, renewed and dropped."""

import threading
import time
from collections.abc import Callable

import pytest

from lemo.domain.availability import Availability
from lemo.domain.scope import Scope
from lemo.serving import model_cache, renewals
from lemo.serving.model_cache import ModelCache
from lemo.serving.state import PARTS, ServingState

A, B, C = (Scope("tenant", name) for name in "abc")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 10 s"
        threading.Event().wait(0.005)


class Loads:
    """Counts the loads of each scope; what is loaded says how often it was."""

    def __init__(self) -> None:
        self.of: dict[Scope, int] = {}
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, scope: Scope, before: ServingState) -> ServingState:
        self.gate.wait(10)
        self.of[scope] = self.of.get(scope, 0) + 1
        return ServingState(availability=Availability((*before.latest, str(self.of[scope]))))


def test_a_scope_is_loaded_once_for_concurrent_first_requests() -> None:
    loads = Loads()
    loads.gate.clear()
    scopes = ModelCache(loads, 10, watch=False)
    found: list[ServingState] = []
    threads = [threading.Thread(target=lambda: found.append(scopes.state(A))) for _ in range(8)]
    for thread in threads:
        thread.start()
    loads.gate.set()
    for thread in threads:
        thread.join()
    scopes.close()
    assert loads.of == {A: 1}
    assert [state.latest for state in found] == [("1",)] * 8


def test_states_are_renewed_behind_the_requests() -> None:
    loads = Loads()
    scopes = ModelCache(loads, 10, refresh_seconds=0.02)
    assert scopes.state(A).latest[0] == "1"
    wait_for(lambda: len(scopes.state(A).latest) >= 3)
    loads.gate.clear()
    started = time.monotonic()
    assert scopes.state(A).latest
    assert time.monotonic() - started < 1, "a request waited for a renewal"
    loads.gate.set()
    scopes.close()


def test_the_least_recently_requested_scope_is_dropped() -> None:
    loads = Loads()
    scopes = ModelCache(loads, 2, watch=False)
    for scope in (A, B, A, C, A, B):
        scopes.state(scope)
    scopes.close()
    assert loads.of == {A: 1, B: 2, C: 1}


def test_a_load_that_takes_too_long_does_not_hold_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_cache, "FIRST_LOAD_SECONDS", 0.05)
    loads = Loads()
    loads.gate.clear()
    scopes = ModelCache(loads, 10)
    assert scopes.state(A).latest == ()
    loads.gate.set()
    wait_for(lambda: scopes.state(A).latest[:1] == ("1",))
    scopes.close()


def test_a_load_that_fails_leaves_what_was_there() -> None:
    calls = iter(range(1000))

    def load(scope: Scope, before: ServingState) -> ServingState:
        if next(calls):
            raise RuntimeError("a fault that nobody thought of")
        return ServingState(availability=Availability(("first",)))

    scopes = ModelCache(load, 10, refresh_seconds=0.01)
    assert scopes.state(A).latest == ("first",)
    wait_for(lambda: next(calls) > 3)
    assert scopes.state(A).latest == ("first",)
    scopes.close()


def test_a_state_that_cannot_be_renewed_is_counted_and_ages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewals, "STALE_SECONDS", 0.1)
    broken = threading.Event()

    def load(scope: Scope, before: ServingState) -> ServingState:
        if broken.is_set():
            raise RuntimeError("a fault that nobody thought of")
        return ServingState(availability=Availability(("first",)), read_at=dict.fromkeys(PARTS, time.monotonic()))

    scopes = ModelCache(load, 10, refresh_seconds=0.01)
    scopes.state(A)
    assert (scopes.renewals().failed, scopes.renewals().fault) == (0, "")
    broken.set()
    wait_for(lambda: scopes.is_stale(scopes.state(A), "model") and scopes.renewals().failed > 0)
    found = scopes.renewals()
    assert (found.scopes, found.stale, found.fault) == (1, 1, "RuntimeError")
    assert found.failed > 0
    assert found.oldest_seconds > 0.1
    broken.clear()
    wait_for(lambda: scopes.renewals().stale == 0)
    assert scopes.renewals().fault == ""
    scopes.close()


def test_a_state_of_which_nothing_was_ever_read_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_cache, "FIRST_LOAD_SECONDS", 0.05)
    loads = Loads()
    loads.gate.clear()
    scopes = ModelCache(loads, 10)
    assert scopes.is_stale(scopes.state(A), "newest items")
    loads.gate.set()
    scopes.close()


def test_a_state_of_a_batch_does_not_age() -> None:
    scopes = ModelCache(Loads(), 10, watch=False)
    assert not scopes.is_stale(scopes.state(A), *PARTS)
    scopes.close()
