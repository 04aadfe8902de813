"""How hot items are now, in Redis: their levels by half-life (`domain/realtime.py`), written by worker or Flink.

A level only rises, so a write that comes late or twice changes nothing: ZADD GT.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from redis import Redis

from lemo.domain.realtime import HALF_LIVES, HOT_MS
from lemo.domain.scope import Scope
from lemo.stores.redis.client import Keys, translate_errors

KEPT = 1_000
"""Items that are kept for each half-life, the hottest ones."""
_BATCH = 500
_UNTIL = "until"


class Hot(NamedTuple):
    """The hottest items of a scope, the hottest first."""

    levels: Mapping[str, float]
    until_ms: int
    """Events that came in before this moment (Unix ms) are counted; 0: none ever were."""


class HotScores:
    """The hottest items of each scope. They vanish a day after the last write. Calls raise EngineUnavailable."""

    def __init__(self, redis: Redis, keys: Keys | None = None) -> None:
        self._redis: Any = redis
        self._keys = keys or Keys()

    def raise_to(self, scope: Scope, levels: Mapping[str, Mapping[str, float]], until_ms: int) -> None:
        """Raises items to levels, by half-life. All events that came in before `until_ms` are counted in them."""
        until = self._keys("hot-until", scope.tenant_id, scope.scenario_id)
        with translate_errors(), self._redis.pipeline(transaction=False) as pipeline:
            for half_life, items in levels.items():
                key = self._key(scope, half_life)
                pairs = list(items.items())
                for start in range(0, len(pairs), _BATCH):
                    pipeline.zadd(key, dict(pairs[start : start + _BATCH]), gt=True)
                pipeline.zremrangebyrank(key, 0, -KEPT - 1)
                pipeline.pexpire(key, HOT_MS)
            pipeline.zadd(until, {_UNTIL: until_ms}, gt=True)
            pipeline.pexpire(until, HOT_MS)
            pipeline.execute()

    def read(self, scope: Scope, half_life: str, most: int) -> Hot:
        """The hottest items by one of the half-lives."""
        with translate_errors(), self._redis.pipeline(transaction=False) as pipeline:
            pipeline.zrevrange(self._key(scope, half_life), 0, most - 1, withscores=True)
            pipeline.zscore(self._keys("hot-until", scope.tenant_id, scope.scenario_id), _UNTIL)
            found, until = pipeline.execute()
        return Hot({member.decode(): score for member, score in found}, int(until or 0))

    def until(self, scopes: Sequence[Scope]) -> dict[Scope, int]:
        """Before which moment (Unix ms) what came in is counted, of the scopes where anything is."""
        with translate_errors(), self._redis.pipeline(transaction=False) as pipeline:
            for scope in scopes:
                pipeline.zscore(self._keys("hot-until", scope.tenant_id, scope.scenario_id), _UNTIL)
            found = pipeline.execute()
        return {scope: int(moment) for scope, moment in zip(scopes, found, strict=True) if moment}

    def _key(self, scope: Scope, half_life: str) -> str:
        if half_life not in HALF_LIVES:
            raise ValueError(f"{half_life!r} is none of {', '.join(HALF_LIVES)}")
        return self._keys("hot", scope.tenant_id, scope.scenario_id, half_life)
