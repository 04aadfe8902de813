"""The metrics of the last minutes in Redis, for Prometheus; all of them are in ClickHouse (`realtime_minutes`)."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from redis import Redis

from lemo.domain.realtime import MinuteRow
from lemo.domain.scope import Scope
from lemo.stores.redis.client import Keys, translate_errors

KEPT_SECONDS = 900
"""A minute is kept for so long after its last write."""
MOST_PLACEMENTS = 100
"""Placements of a minute that are kept, those that were written first."""

# Of two rows of a placement that of more events stays. KEYS: the minute; ARGV: seconds to keep it, the most placements,
# and for each placement its name, its events, its row.
_PUT = """
for at = 3, #ARGV, 3 do
  local there = redis.call('HGET', KEYS[1], ARGV[at])
  local free = there or redis.call('HLEN', KEYS[1]) < tonumber(ARGV[2])
  if free and (not there or cjson.decode(there)[3] < tonumber(ARGV[at + 1])) then
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 2])
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
"""


class MinuteMetrics:
    """Metrics by minute and placement. Calls raise EngineUnavailable."""

    def __init__(self, redis: Redis, keys: Keys | None = None) -> None:
        self._redis: Any = redis
        self._keys = keys or Keys()
        self._put: Any = redis.register_script(_PUT)

    def put(self, scope: Scope, rows: Iterable[MinuteRow]) -> None:
        """Keeps rows; one of fewer events than are known changes nothing."""
        minutes: dict[int, list[str | int | bytes]] = {}
        for row in rows:
            minutes.setdefault(row.minute, []).extend((row.placement, row.events, orjson.dumps(list(row))))
        with translate_errors():
            for minute, arguments in minutes.items():
                self._put(keys=[self._key(scope, minute)], args=[KEPT_SECONDS, MOST_PLACEMENTS, *arguments])

    def read(self, scopes: Sequence[Scope], minutes: Sequence[int]) -> dict[Scope, list[MinuteRow]]:
        """The rows of minutes (their first Unix seconds) that are kept."""
        with translate_errors(), self._redis.pipeline(transaction=False) as pipeline:
            for scope in scopes:
                for minute in minutes:
                    pipeline.hvals(self._key(scope, minute))
            replies = iter(pipeline.execute())
        return {scope: [MinuteRow(*orjson.loads(row)) for _ in minutes for row in next(replies)] for scope in scopes}

    def _key(self, scope: Scope, minute: int) -> str:
        return self._keys("minute", scope.tenant_id, scope.scenario_id, str(minute))
