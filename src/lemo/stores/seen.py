"""What each user is never to be answered again, in Redis: every item seen or turned against, however long ago."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from redis import Redis

from lemo.domain.event_columns import EventColumns
from lemo.domain.scope import Scope
from lemo.stores.redis import Keys, asking

_PIPELINE = 500
"""Users of one command, during which Redis answers nobody else."""

# One script for many users, as for histories. KEYS: users; ARGV: for each user, in order, the items, as one JSON text.
_ADD = """
for at, items in ipairs(cjson.decode(ARGV[1])) do
  for first = 1, #items, 2000 do
    redis.call('SADD', KEYS[at], unpack(items, first, math.min(first + 1999, #items)))
  end
end
"""


class Seen:
    """A set of item ids per user, written by the consumer beside the history and complete where that is cut.

    Adding again, late or out of order changes nothing. The sets do not expire: a user may come back after years. They
    say what the events say (jobs/seen.py compares them), and go with the events. An id takes 50 to 65 bytes. Every call
    raises EngineUnavailable when Redis does not answer.
    """

    def __init__(self, redis: Redis, keys: Keys | None = None) -> None:
        self._redis = redis
        self._keys = keys or Keys()
        self._prefix = self._keys("seen", "")
        self._add: Any = redis.register_script(_ADD)

    def key(self, scope: Scope, user_id: str) -> str:
        """The key of a user's set."""
        return f"{self._prefix}{scope.tenant_id}:{scope.scenario_id}:{user_id}"

    def queue_read(self, pipeline: Any, scope: Scope, user_id: str) -> None:
        """Adds the command that reads a user's set to a pipeline; its answer is for `decode`."""
        pipeline.smembers(self.key(scope, user_id))

    @staticmethod
    def decode(raw: Iterable[bytes]) -> frozenset[str]:
        """The items in what `queue_read` answered."""
        return frozenset(member.decode() for member in raw)

    def add(self, events: EventColumns) -> None:
        """Adds the items of events, all of which bar their item."""
        by_user: dict[str, set[str]] = {}
        for tenant_id, scenario_id, user_id, item_id in zip(
            events.tenant_id, events.scenario_id, events.user_id, events.item_id, strict=True
        ):
            by_user.setdefault(f"{self._prefix}{tenant_id}:{scenario_id}:{user_id}", set()).add(item_id)
        self._write(by_user)

    def add_items(self, scope: Scope, items: Mapping[str, Iterable[str]]) -> None:
        """Adds items to the sets of users."""
        self._write({self.key(scope, user_id): theirs for user_id, theirs in items.items()})

    def remove_items(self, scope: Scope, items: Mapping[str, Iterable[str]]) -> None:
        """Takes items out of the sets of users."""
        with asking(), self._redis.pipeline(transaction=False) as pipeline:
            for user_id, theirs in items.items():
                pipeline.srem(self.key(scope, user_id), *theirs)
            pipeline.execute()

    def read_many(self, scope: Scope, user_ids: Sequence[str]) -> list[frozenset[str]]:
        """The items of each user, in one round trip."""
        with asking(), self._redis.pipeline(transaction=False) as pipeline:
            for user_id in user_ids:
                self.queue_read(pipeline, scope, user_id)
            return [self.decode(raw) for raw in pipeline.execute()]

    def counts(self, scope: Scope, user_ids: Sequence[str]) -> list[int]:
        """How many items each user's set holds, in one round trip."""
        with asking(), self._redis.pipeline(transaction=False) as pipeline:
            for user_id in user_ids:
                pipeline.scard(self.key(scope, user_id))
            return [int(count) for count in pipeline.execute()]

    def basis(self, scope: Scope) -> str | None:
        """What the sets were last compared by; None where they have not been."""
        with asking():
            raw: Any = self._redis.get(self._basis_key(scope))
        return None if raw is None else raw.decode()

    def set_basis(self, scope: Scope, basis: str) -> None:
        """Notes what the sets have been compared by."""
        with asking():
            self._redis.set(self._basis_key(scope), basis)

    def users(self, scope: Scope) -> Iterator[str]:
        """The users who have a set; some may come twice."""
        prefix = self.key(scope, "")
        with asking():
            # Names of tenants and scenarios hold no glob characters, so the pattern matches this scope alone.
            for name in self._redis.scan_iter(match=f"{prefix}*", count=1000):
                yield name.decode().removeprefix(prefix)

    def delete(self, scope: Scope, user_ids: Sequence[str]) -> None:
        """Forgets what the users have seen."""
        with asking():
            for start in range(0, len(user_ids), _PIPELINE):
                self._redis.unlink(*(self.key(scope, user_id) for user_id in user_ids[start : start + _PIPELINE]))

    def _basis_key(self, scope: Scope) -> str:
        return self._keys("seen-basis", scope.tenant_id, scope.scenario_id)

    def _write(self, by_user: Mapping[str, Iterable[str]]) -> None:
        keys = list(by_user)
        with asking(), self._redis.pipeline(transaction=False) as pipeline:
            for start in range(0, len(keys), _PIPELINE):
                chunk = keys[start : start + _PIPELINE]
                items = orjson.dumps([sorted(by_user[user_key]) for user_key in chunk])
                self._add(keys=chunk, args=[items], client=pipeline)
            pipeline.execute()
