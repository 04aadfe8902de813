"""What the API remembers of keys and scenarios."""

import pytest

from lemo.api import ttl_cache as in_history
from lemo.api.ttl_cache import TtlCache
from lemo.domain.errors import EngineUnavailable


class Store:
    def __init__(self) -> None:
        self.value: str | None = "tenant"
        self.away = False
        self.asked = 0

    def __call__(self) -> str | None:
        self.asked += 1
        if self.away:
            raise EngineUnavailable("The store is away.")
        return self.value


def test_a_value_is_asked_for_once_while_it_is_fresh() -> None:
    memory: TtlCache[str, str] = TtlCache(60)
    store = Store()
    assert [memory.get("key", store) for _ in range(3)] == ["tenant"] * 3
    assert store.asked == 1


def test_what_is_not_there_is_asked_for_each_time() -> None:
    memory: TtlCache[str, str] = TtlCache(60)
    store = Store()
    store.value = None
    assert memory.get("key", store) is None
    store.value = "made since"
    assert memory.get("key", store) == "made since"


def test_a_revoked_value_goes_when_its_time_is_over() -> None:
    memory: TtlCache[str, str] = TtlCache(0)
    store = Store()
    assert memory.get("key", store) == "tenant"
    store.value = None
    assert memory.get("key", store) is None
    store.away = True
    with pytest.raises(EngineUnavailable):
        memory.get("key", store)


def test_a_known_value_stays_while_the_store_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    memory: TtlCache[str, str] = TtlCache(0)
    store = Store()
    assert memory.get("key", store) == "tenant"
    store.away = True
    assert memory.get("key", store) == "tenant"
    assert memory.get("key", store) == "tenant"
    assert store.asked == 2, "the store was asked again at once although it is away"
    with pytest.raises(EngineUnavailable):
        memory.get("other key", store)
    monkeypatch.setattr(in_history, "RETRY_SECONDS", 0)
    memory.get("key", store)


def test_only_so_many_are_kept() -> None:
    memory: TtlCache[str, str] = TtlCache(60, capacity=2)
    store = Store()
    for key in ("a", "b", "a", "c", "a", "b"):
        memory.get(key, store)
    assert store.asked == 4
