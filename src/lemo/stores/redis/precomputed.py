"""Precomputed recommendations in Redis: valid until the user's history or the model changes.

Beside them stands a mark of when the user's history or seen items last changed. Who writes those moves the mark, in the
same script; recommendations name the mark of what they were computed from. So a request need not read a history to know
whether they are current.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import orjson
from redis import Redis

from lemo.domain.scope import Scope
from lemo.recommenders.scored import Scored
from lemo.stores.redis.client import Keys, translate_errors

LIFETIME_SECONDS = 12 * 3600
"""Three rounds of the four-hourly job: they outlive a missed round, and those of inactive users expire."""
KIND = "recommended"
"""What the keys are named by."""
MARK = f"""
local now = redis.call('TIME')
local function mark(key)
  redis.call('HSET', key, 'changed', now[1] * 1000000 + now[2])
  if redis.call('TTL', key) < 0 then
    redis.call('EXPIRE', key, {LIFETIME_SECONDS})
  end
end
"""
"""The beginning of scripts that change what recommendations are computed from: `mark(key)` outdates them.

A mark is a time in microseconds, so that none comes twice, also not after a key has expired.
"""
FIELDS = ("changed", "of", "version", "cache_key", "items")
_BATCH = 500
_Value = TypeVar("_Value")


class PrecomputedRecommendations(NamedTuple):
    """The recommendations of one user, best first, and the state from which they were computed."""

    version: str
    """The model snapshot."""
    cache_key: str
    """Names everything else that the recommendations depend on. The job compares it; requests do not."""
    items: list[Scored]
    current: bool = True
    """Whether history and seen items are as they were then."""


class PrecomputedStore:
    """Precomputed recommendations by user. Calls raise EngineUnavailable when Redis does not answer."""

    def __init__(self, redis: Redis, keys: Keys | None = None) -> None:
        self._redis: Any = redis
        self._prefix = (keys or Keys())(KIND, "")
        self._mark: Any = redis.register_script(f"{MARK} for _, key in ipairs(KEYS) do mark(key) end")

    def key(self, scope: Scope, user_id: str) -> str:
        """The key of a user's recommendations and mark."""
        return f"{self._prefix}{scope.tenant_id}:{scope.scenario_id}:{user_id}"

    def write_many(
        self,
        scope: Scope,
        recommendations: Mapping[str, PrecomputedRecommendations],
        marks: Mapping[str, bytes] | None = None,
    ) -> int:
        """Writes or replaces the recommendations of these users, for twelve hours; returns their number.

        `marks` are those that `marks` gave before the histories were read; by default, those that hold now.
        """
        with translate_errors():
            for users in _batches(list(recommendations)):
                held = marks if marks is not None else self.marks(scope, users)
                with self._redis.pipeline(transaction=False) as pipeline:
                    for user in users:
                        each = recommendations[user]
                        fields = {
                            "of": held[user],
                            "version": each.version,
                            "cache_key": each.cache_key,
                            "items": orjson.dumps([list(item) for item in each.items]),
                        }
                        pipeline.hset(self.key(scope, user), mapping=fields)
                        pipeline.expire(self.key(scope, user), LIFETIME_SECONDS)
                    pipeline.execute()
        return len(recommendations)

    def marks(self, scope: Scope, users: Sequence[str]) -> dict[str, bytes]:
        """The mark of each user, to be read before the history."""
        return {user: changed or b"" for user, (changed, *_) in self._read(scope, users, ("changed",)).items()}

    def renew(self, scope: Scope, version: str, cache_key: str, users: Sequence[str]) -> set[str]:
        """Renews the unchanged recommendations for another twelve hours; returns their users."""
        renewed: set[str] = set()
        with translate_errors():
            found = self._read(scope, users, FIELDS[:4])
            wanted = [version.encode(), cache_key.encode()]
            same = [user for user, (changed, of, *by) in found.items() if of == (changed or b"") and by == wanted]
            with self._redis.pipeline(transaction=False) as pipeline:
                for user in same:
                    pipeline.expire(self.key(scope, user), LIFETIME_SECONDS)
                renewed.update(user for user, there in zip(same, pipeline.execute(), strict=True) if there)
        return renewed

    def outdate(self, scope: Scope, users: Sequence[str]) -> None:
        """Says that the recommendations of these users are not current any more."""
        with translate_errors():
            for batch in _batches(users):
                self._mark(keys=[self.key(scope, user) for user in batch])

    def queue_read(self, pipeline: Any, scope: Scope, user_id: str) -> None:
        """Adds the read of one user's recommendations to a pipeline; `parse_precomputed` decodes the reply."""
        pipeline.hmget(self.key(scope, user_id), FIELDS)

    def read(self, scope: Scope, user_id: str) -> PrecomputedRecommendations | None:
        """The recommendations of one user; None where there are none."""
        with translate_errors():
            return parse_precomputed(self._redis.hmget(self.key(scope, user_id), FIELDS))

    def delete(self, scope: Scope, user_id: str) -> bool:
        """Deletes the recommendations of one user; whether there were any."""
        with translate_errors():
            return bool(self._redis.delete(self.key(scope, user_id)))

    def delete_stale(self, scope: Scope, version: str) -> int:
        """Deletes the scope's recommendations of other snapshots than `version`; returns their number."""
        dropped = 0
        with translate_errors():
            # Names of tenants and scenarios hold no glob characters, so the pattern matches this scope alone.
            for keys in _batches(list(self._redis.scan_iter(match=self.key(scope, "*"), count=1000))):
                with self._redis.pipeline(transaction=False) as pipeline:
                    for name in keys:
                        pipeline.hget(name, "version")
                    versions = pipeline.execute()
                stale = [
                    name
                    for name, found in zip(keys, versions, strict=True)
                    if found is not None and found != version.encode()
                ]
                if stale:
                    dropped += int(self._redis.unlink(*stale))
        return dropped

    def _read(self, scope: Scope, users: Sequence[str], fields: Sequence[str]) -> dict[str, list[bytes | None]]:
        found: dict[str, list[bytes | None]] = {}
        with translate_errors():
            for batch in _batches(users):
                with self._redis.pipeline(transaction=False) as pipeline:
                    for user in batch:
                        pipeline.hmget(self.key(scope, user), fields)
                    found |= dict(zip(batch, pipeline.execute(), strict=True))
        return found


def parse_precomputed(raw: Sequence[bytes | None]) -> PrecomputedRecommendations | None:
    """The recommendations in a reply of Redis; None where it has none."""
    changed, of, version, cache_key, items = raw
    if of is None or version is None or cache_key is None or items is None:
        return None
    scored = [Scored(*each) for each in orjson.loads(items)]
    return PrecomputedRecommendations(version.decode(), cache_key.decode(), scored, of == (changed or b""))


def _batches(values: Sequence[_Value]) -> Iterator[Sequence[_Value]]:
    for start in range(0, len(values), _BATCH):
        yield values[start : start + _BATCH]
