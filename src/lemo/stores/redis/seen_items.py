"""The items that each user is never recommended again, in Redis: all that were ever seen or turned against."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from redis import Redis

from lemo.domain.event_columns import EventColumns
from lemo.domain.scope import Scope
from lemo.stores.redis.client import Keys, translate_errors
from lemo.stores.redis.precomputed import KIND, MARK

_PIPELINE = 500
"""Users of one command, during which Redis answers nobody else."""

# One script for many users, as for histories. KEYS: users' sets, then their precomputed recommendations; ARGV: SADD or
# SREM, and for each user, in order, the items, as one JSON text.
_CHANGE = f"""{MARK}
local users = cjson.decode(ARGV[2])
for at, items in ipairs(users) do
  local changed = 0
  for first = 1, #items, 2000 do
    changed = changed + redis.call(ARGV[1], KEYS[at], unpack(items, first, math.min(first + 1999, #items)))
  end
  if changed > 0 then
    mark(KEYS[#users + at])
  end
end
"""


class SeenItems:
    """A set of item ids per user. The consumer writes it beside the history, and it is never shortened.

    Adding is idempotent and independent of order. The sets do not expire, since a user may come back after years.
    jobs/seen.py compares them with the events, and deletes those of users without events. An id takes 50 to 65 bytes.
    Every call raises EngineUnavailable when Redis does not answer.
    """

    def __init__(self, redis: Redis, keys: Keys | None = None) -> None:
        self._redis = redis
        self._keys = keys or Keys()
        self._prefix = self._keys("seen", "")
        self._recommended = self._keys(KIND, "")
        self._change: Any = redis.register_script(_CHANGE)

    def key(self, scope: Scope, user_id: str) -> str:
        """The key of a user's set."""
        return f"{self._prefix}{scope.tenant_id}:{scope.scenario_id}:{user_id}"

    def queue_read(self, pipeline: Any, scope: Scope, user_id: str) -> None:
        """Adds the command that reads a user's set to a pipeline; `decode` reads the reply."""
        pipeline.smembers(self.key(scope, user_id))

    @staticmethod
    def decode(raw: Iterable[bytes]) -> frozenset[str]:
        """The items in the reply of `queue_read`."""
        return frozenset(member.decode() for member in raw)

    def add(self, events: EventColumns) -> None:
        """Adds the items of events, each of which filters its item."""
        by_user: dict[str, set[str]] = {}
        for tenant_id, scenario_id, user_id, item_id in zip(
            events.tenant_id, events.scenario_id, events.user_id, events.item_id, strict=True
        ):
            by_user.setdefault(f"{self._prefix}{tenant_id}:{scenario_id}:{user_id}", set()).add(item_id)
        self._write("SADD", by_user)

    def add_items(self, scope: Scope, items: Mapping[str, Iterable[str]]) -> None:
        """Adds items to the sets of users."""
        self._write("SADD", {self.key(scope, user_id): theirs for user_id, theirs in items.items()})

    def remove_items(self, scope: Scope, items: Mapping[str, Iterable[str]]) -> None:
        """Takes items out of the sets of users."""
        self._write("SREM", {self.key(scope, user_id): theirs for user_id, theirs in items.items()})

    def read_many(self, scope: Scope, user_ids: Sequence[str]) -> list[frozenset[str]]:
        """The items of each user, in one round trip."""
        with translate_errors(), self._redis.pipeline(transaction=False) as pipeline:
            for user_id in user_ids:
                self.queue_read(pipeline, scope, user_id)
            return [self.decode(raw) for raw in pipeline.execute()]

    def counts(self, scope: Scope, user_ids: Sequence[str]) -> list[int]:
        """How many items each user's set holds, in one round trip."""
        with translate_errors(), self._redis.pipeline(transaction=False) as pipeline:
            for user_id in user_ids:
                pipeline.scard(self.key(scope, user_id))
            return [int(count) for count in pipeline.execute()]

    def basis(self, scope: Scope) -> str | None:
        """The rules by which the sets were last compared with the events; None before the first time."""
        with translate_errors():
            raw: Any = self._redis.get(self._basis_key(scope))
        return None if raw is None else raw.decode()

    def set_basis(self, scope: Scope, basis: str) -> None:
        """Stores the rules by which the sets were compared."""
        with translate_errors():
            self._redis.set(self._basis_key(scope), basis)

    def users(self, scope: Scope) -> Iterator[str]:
        """The users who have a set; some may come twice."""
        prefix = self.key(scope, "")
        with translate_errors():
            # Names of tenants and scenarios hold no glob characters, so the pattern matches this scope alone.
            for name in self._redis.scan_iter(match=f"{prefix}*", count=1000):
                yield name.decode().removeprefix(prefix)

    def delete(self, scope: Scope, user_ids: Sequence[str]) -> None:
        """Deletes the sets of the users."""
        with translate_errors():
            for start in range(0, len(user_ids), _PIPELINE):
                self._redis.unlink(*(self.key(scope, user_id) for user_id in user_ids[start : start + _PIPELINE]))

    def _basis_key(self, scope: Scope) -> str:
        return self._keys("seen-basis", scope.tenant_id, scope.scenario_id)

    def _write(self, command: str, by_user: Mapping[str, Iterable[str]]) -> None:
        keys = list(by_user)
        with translate_errors(), self._redis.pipeline(transaction=False) as pipeline:
            for start in range(0, len(keys), _PIPELINE):
                chunk = keys[start : start + _PIPELINE]
                items = orjson.dumps([sorted(by_user[user_key]) for user_key in chunk])
                outdated = [self._recommended + name.removeprefix(self._prefix) for name in chunk]
                self._change(keys=[*chunk, *outdated], args=[command, items], client=pipeline)
            pipeline.execute()
