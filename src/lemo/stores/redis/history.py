"""The recent history of users in Redis. Serving reads it with each request, so that the newest click counts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from redis import Redis

from lemo.domain.event import Event
from lemo.domain.event_columns import EventColumns
from lemo.domain.interaction import Interaction
from lemo.domain.scope import Scope
from lemo.stores.redis.client import Keys, translate_errors
from lemo.stores.redis.precomputed import KIND, MARK

_SEPARATOR = "\x1f"
_Scored = list[int | str]
"""Score and member in turns: Unix milliseconds, and what happened then."""
_PIPELINE = 500
"""Users of one command, during which Redis answers nobody else."""
_SCRIPTS = 40
"""Commands sent before their answers are waited for: Redis syncs its disk for each of them."""

# One script for many users: as three commands for each of them, history took half of the consumer's time. What it
# writes comes as one JSON text: the client takes longer over thousands of arguments than Redis takes to read that.
# KEYS: users' histories, then their precomputed recommendations; ARGV: length, seconds, and for each user, in order,
# score and member in turns. The expiry is put off once an hour, not with each write: Redis keeps a log of its changes.
_ADD = f"""{MARK}
local length, seconds = tonumber(ARGV[1]), tonumber(ARGV[2])
local users = cjson.decode(ARGV[3])
for at, scored in ipairs(users) do
  local key, changed = KEYS[at], 0
  for first = 1, #scored, 2000 do
    changed = changed + redis.call('ZADD', key, 'GT', 'CH', unpack(scored, first, math.min(first + 1999, #scored)))
  end
  if changed > 0 then
    redis.call('ZREMRANGEBYRANK', key, 0, -length - 1)
    mark(KEYS[#users + at])
  end
  if redis.call('TTL', key) < seconds - 3600 then
    redis.call('EXPIRE', key, seconds)
  end
end
"""


class History:
    """The newest `length` interactions of each user, kept `days` after the user's last write.

    A sorted set per user: the member is action, value and item, the score is when it last happened, so that writing an
    event twice, or an older one late, changes nothing. Every call raises EngineUnavailable when Redis does not answer.
    """

    def __init__(self, redis: Redis, length: int, days: int, keys: Keys | None = None) -> None:
        self._redis = redis
        self._prefix = (keys or Keys())("history", "")
        self._recommended = (keys or Keys())(KIND, "")
        self._length = length
        self._seconds = days * 86_400
        self._add: Any = redis.register_script(_ADD)

    def key(self, scope: Scope, user_id: str) -> str:
        """The key of a user's history, for reading it in a pipeline together with other keys."""
        return f"{self._prefix}{scope.tenant_id}:{scope.scenario_id}:{user_id}"

    def queue_read(self, pipeline: Any, scope: Scope, user_id: str) -> None:
        """Adds the command that reads a user's history to a pipeline; `decode` reads the reply."""
        pipeline.zrevrange(self.key(scope, user_id), 0, self._length - 1, withscores=True)

    @staticmethod
    def decode(raw: Sequence[Sequence[Any]]) -> list[Interaction]:
        """The interactions in the reply of `queue_read`, newest first."""
        history = []
        for member, score in raw:
            action, value, item_id = member.decode().split(_SEPARATOR, 2)
            history.append(Interaction(item_id, action, float(value) if value else None, int(score)))
        return history

    def add(self, events: EventColumns | Sequence[tuple[Scope, Event]]) -> None:
        """Remembers events; the same ones again change nothing."""
        columns = events if isinstance(events, EventColumns) else EventColumns.of(events)
        by_user: dict[str, _Scored] = {}
        for tenant_id, scenario_id, user_id, action, value, item_id, moment in zip(
            columns.tenant_id,
            columns.scenario_id,
            columns.user_id,
            columns.action,
            columns.value,
            columns.item_id,
            columns.timestamp,
            strict=True,
        ):
            user_key = f"{self._prefix}{tenant_id}:{scenario_id}:{user_id}"
            scored = by_user.get(user_key)
            if scored is None:
                scored = by_user[user_key] = []
            scored += (moment, _member(action, value, item_id))
        self._write(by_user)

    def read(self, scope: Scope, user_id: str) -> list[Interaction]:
        """The user's interactions, newest first."""
        return self.read_many(scope, [user_id])[0]

    def read_many(self, scope: Scope, user_ids: Sequence[str]) -> list[list[Interaction]]:
        """The interactions of each user, newest first, in one round trip."""
        with translate_errors(), self._redis.pipeline(transaction=False) as pipeline:
            for user_id in user_ids:
                self.queue_read(pipeline, scope, user_id)
            return [self.decode(raw) for raw in pipeline.execute()]

    def counts(self, scope: Scope, user_ids: Sequence[str]) -> list[int]:
        """How many items each user's history holds, in one round trip."""
        with translate_errors(), self._redis.pipeline(transaction=False) as pipeline:
            for user_id in user_ids:
                pipeline.zcard(self.key(scope, user_id))
            return [int(count) for count in pipeline.execute()]

    def replace_missing(self, scope: Scope, histories: Mapping[str, Iterable[Interaction]]) -> int:
        """Writes the histories of which Redis holds less (emptied, or expired); returns how many those are.

        A user with an interaction since Redis was emptied has a history of that one alone.
        """
        whole = {user_id: _whole(history, self._length) for user_id, history in histories.items()}
        users = list(histories)
        missing: list[str] = []
        with translate_errors():
            for start in range(0, len(users), _PIPELINE):
                chunk = users[start : start + _PIPELINE]
                with self._redis.pipeline(transaction=False) as pipeline:
                    for user_id in chunk:
                        pipeline.zcard(self.key(scope, user_id))
                    held = zip(chunk, pipeline.execute(), strict=True)
                    missing += [user_id for user_id, count in held if count < len(whole[user_id])]
        # An event that the consumer writes meanwhile is not lost: members are added, never replaced.
        by_user: dict[str, _Scored] = {}
        for user_id in missing:
            scored = by_user[self.key(scope, user_id)] = []
            for member, moment in whole[user_id].items():
                scored += (moment, member)
        self._write(by_user)
        return len(missing)

    def move(self, scope: Scope, user_id: str, into: str) -> int:
        """Gives a user's history to another one, who keeps the newest of both; returns how many interactions came."""
        source, target = self.key(scope, user_id), self.key(scope, into)
        with translate_errors(), self._redis.pipeline(transaction=True) as pipeline:
            pipeline.zcard(source)
            pipeline.zunionstore(target, [target, source], aggregate="MAX")
            pipeline.zremrangebyrank(target, 0, -self._length - 1)
            pipeline.expire(target, self._seconds)
            pipeline.delete(source)
            return int(pipeline.execute()[0])

    def erase_before(self, scope: Scope, user_id: str, moment_ms: int) -> int:
        """Deletes the user's interactions from before a moment (Unix ms); returns their number."""
        with translate_errors():
            return int(self._redis.zremrangebyscore(self.key(scope, user_id), "-inf", f"({moment_ms}"))

    def count_before(self, scope: Scope, user_id: str, moment_ms: int) -> int:
        """How many of the user's interactions are from before a moment (Unix ms)."""
        with translate_errors():
            return int(self._redis.zcount(self.key(scope, user_id), "-inf", f"({moment_ms}"))

    def users(self, scope: Scope) -> Iterator[str]:
        """The users who have a history; some may come twice."""
        prefix = self.key(scope, "")
        with translate_errors():
            # Names of tenants and scenarios hold no glob characters, so the pattern matches this scope alone.
            for name in self._redis.scan_iter(match=f"{prefix}*", count=1000):
                yield name.decode().removeprefix(prefix)

    def delete(self, scope: Scope, user_ids: Sequence[str]) -> None:
        """Deletes the users' histories, and what was recommended by them."""
        names = [self.key(scope, user_id) for user_id in user_ids]
        with translate_errors():
            if names:
                self._redis.delete(*names, *(self._recommended + name.removeprefix(self._prefix) for name in names))

    def _write(self, by_user: Mapping[str, _Scored]) -> None:
        keys = list(by_user)
        with translate_errors():
            for first in range(0, len(keys), _PIPELINE * _SCRIPTS):
                with self._redis.pipeline(transaction=False) as pipeline:
                    for start in range(first, min(first + _PIPELINE * _SCRIPTS, len(keys)), _PIPELINE):
                        chunk = keys[start : start + _PIPELINE]
                        scored = orjson.dumps([by_user[user_key] for user_key in chunk])
                        outdated = [self._recommended + name.removeprefix(self._prefix) for name in chunk]
                        self._add(keys=[*chunk, *outdated], args=[self._length, self._seconds, scored], client=pipeline)
                    pipeline.execute()


def _whole(history: Iterable[Interaction], length: int) -> dict[str, int]:
    """The members and times that Redis holds of this history: the newest, each once."""
    moments: dict[str, int] = {}
    for interaction in history:
        member = _member(interaction.action, interaction.value, interaction.item_id)
        moments[member] = max(moments.get(member, interaction.timestamp_ms), interaction.timestamp_ms)
    newest = sorted(moments, key=lambda member: moments[member], reverse=True)[:length]
    return {member: moments[member] for member in newest}


def _member(action: str, value: float | None, item_id: str) -> str:
    return _SEPARATOR.join((action, "" if value is None else repr(value), item_id))
