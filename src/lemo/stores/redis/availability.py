"""Availability in Redis: which items of each scenario are new, off, not yet published or past their expiry.

The consumer writes it with each item, serving asks for its version every half second. It is derived: the documents hold
the truth, and `AvailabilitySets.rebuild` makes it anew from them (jobs/availability.py).

It is long because the scripts that Redis runs stand beside the calls that run them.
"""

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import orjson
from redis import Redis

from lemo.domain.availability import Availability, Entry
from lemo.domain.item import Item
from lemo.domain.newness import Arrival
from lemo.domain.scenario import Catalogue
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.stores.documents.catalogue import item_version
from lemo.stores.redis.client import Keys, translate_errors

KEPT = 1_000
"""Newest items remembered per scenario, besides those that are not published yet."""
ARRIVED = 0.5
"""Added to the moment of a newest item without a publication: so the set says that the moment is its arrival."""
HORIZON_MS = 6 * 3600 * 1000
"""How far ahead moments of expiry are read: as long as serving stays right while Redis is away."""
REREAD_SECONDS = 60
"""After so long everything is read again: moments to come have come near."""
REBUILD_SECONDS = 60
"""A rebuild that gives no sign of life for so long has died."""
_CHUNK = 1_000
"""Items of one script, during which Redis answers nobody else."""

# KEYS: off, latest, embargoed, expiring, about, rebuilding, touched, unknown; ARGV: now, newest items kept, JSON of
# entries [id, recommendable, new at, published at or 0, expires at or 0].
# While a rebuild is under way, what is written here is noted, so that it outlives the rebuild. A full list of newest
# items loses expired ones before it loses old ones. The first item of a catalogue makes ids unknown that
# were answered until now: which ones they are is for a rebuild to say (`due`).
_ADD = """
local now, kept = tonumber(ARGV[1]), tonumber(ARGV[2])
local noted = redis.call('EXISTS', KEYS[6]) == 1
local entries = cjson.decode(ARGV[3])
local time = redis.call('TIME')
redis.call('HSET', KEYS[5], 'version', time[1] * 1000000 + time[2])
if #entries > 0 and redis.call('HSETNX', KEYS[5], 'catalogue', 1) == 1 then
  redis.call('HSET', KEYS[5], 'due', 1)
end
for _, entry in ipairs(entries) do
  local id, recommendable, new_at, published_at, expires_at = unpack(entry)
  if recommendable then
    redis.call('SREM', KEYS[1], id)
    redis.call('ZADD', KEYS[2], new_at, id)
  else
    redis.call('SADD', KEYS[1], id)
    redis.call('ZREM', KEYS[2], id)
  end
  if recommendable and published_at > now then
    redis.call('ZADD', KEYS[3], published_at, id)
  else
    redis.call('ZREM', KEYS[3], id)
  end
  if recommendable and expires_at > 0 then
    redis.call('ZADD', KEYS[4], expires_at, id)
  else
    redis.call('ZREM', KEYS[4], id)
  end
  redis.call('SREM', KEYS[8], id)
  if noted then
    redis.call('SADD', KEYS[7], id)
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
local over = redis.call('ZCARD', KEYS[2]) - redis.call('ZCARD', KEYS[3]) - kept
if over > 0 then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    local expires_at = redis.call('ZSCORE', KEYS[4], id)
    if expires_at and tonumber(expires_at) <= now then
      redis.call('ZREM', KEYS[2], id)
      over = over - 1
    end
  end
end
if over > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, over - 1)
  redis.call('HSET', KEYS[5], 'cut', 1)
end
"""

# Gives a rebuild more time. KEYS: rebuilding; ARGV: its token, milliseconds.
_RENEW = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('PEXPIRE', KEYS[1], ARGV[2])"

# What was rebuilt takes the place of what was there, except for items that were written meanwhile.
# KEYS: rebuilding, touched, about, kept (scratch), then rebuilt and present key of off, latest, embargoed and expiring,
# rebuilt about, rebuilt and present key of unknown; ARGV: token, moment, newest items kept.
_SWITCH = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('SDIFFSTORE', KEYS[5], KEYS[5], KEYS[2])
redis.call('SINTERSTORE', KEYS[4], KEYS[6], KEYS[2])
redis.call('SUNIONSTORE', KEYS[6], KEYS[5], KEYS[4])
redis.call('DEL', KEYS[4], KEYS[5])
for at = 7, 11, 2 do
  redis.call('ZDIFFSTORE', KEYS[at], 2, KEYS[at], KEYS[2])
  redis.call('ZINTERSTORE', KEYS[4], 2, KEYS[at + 1], KEYS[2], 'WEIGHTS', 1, 0)
  redis.call('ZUNIONSTORE', KEYS[at + 1], 2, KEYS[at], KEYS[4])
  redis.call('DEL', KEYS[4], KEYS[at])
end
redis.call('SDIFFSTORE', KEYS[15], KEYS[14], KEYS[2])
local over = redis.call('ZCARD', KEYS[8]) - redis.call('ZCARD', KEYS[10]) - tonumber(ARGV[3])
local cut = redis.call('HGET', KEYS[13], 'cut')
if over > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[8], 0, over - 1)
  cut = 1
end
if redis.call('HEXISTS', KEYS[13], 'catalogue') == 1 or redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('HSET', KEYS[3], 'catalogue', 1)
end
-- An item that came meanwhile may be the first one; then the next rebuild says what is unknown.
local due = redis.call('HEXISTS', KEYS[13], 'catalogue') == 0 and redis.call('EXISTS', KEYS[2]) or 0
local time = redis.call('TIME')
redis.call('HSET', KEYS[3], 'built_at', ARGV[2], 'cut', cut or 0, 'due', due, 'version', time[1] * 1000000 + time[2])
redis.call('DEL', KEYS[1], KEYS[2], KEYS[13], KEYS[14])
return 1
"""


class AvailabilitySets:
    """Availability of the items of each scenario.

    Hand in only items whose write the document store accepted: then a replay, or a message out of order, changes
    nothing.
    Every call raises EngineUnavailable when Redis does not answer.
    """

    def __init__(self, redis: Redis, keys: Keys | None = None) -> None:
        self._redis = redis
        self._keys = keys or Keys()
        self._add: Any = redis.register_script(_ADD)
        self._renew: Any = redis.register_script(_RENEW)
        self._switch: Any = redis.register_script(_SWITCH)

    def keys(self, scope: Scope, suffix: str = "") -> list[str]:
        """The sets: ids that are off; newest items, embargoed and expiring ones, by their moments."""
        return [
            self._keys(what + suffix, scope.tenant_id, scope.scenario_id)
            for what in ("inactive", "latest", "embargoed", "expiring")
        ]

    def unknown_key(self, scope: Scope, suffix: str = "") -> str:
        """The set of ids that snapshots hold and the catalogue does not, where they must not be answered."""
        return self._keys("unknown" + suffix, scope.tenant_id, scope.scenario_id)

    def about_key(self, scope: Scope) -> str:
        """The hash that says when the sets were last whole, and whether older items had to make room for newer ones."""
        return self._keys("availability", scope.tenant_id, scope.scenario_id)

    def _rebuild_keys(self, scope: Scope) -> tuple[str, str]:
        """Of a rebuild that is under way: its token, and the items that were written since it began."""
        ids = scope.tenant_id, scope.scenario_id
        return self._keys("availability-rebuilding", *ids), self._keys("availability-touched", *ids)

    def add(self, scope: Scope, items: Sequence[Item], arrived_ms: Sequence[int]) -> None:
        """Takes in written items, each with the Unix ms of its arrival."""
        entries = [entry_of(item, arrived) for item, arrived in zip(items, arrived_ms, strict=True)]
        keys = [*self.keys(scope), self.about_key(scope), *self._rebuild_keys(scope), self.unknown_key(scope)]
        for chunk in _chunks(entries):
            self._put(keys, chunk)

    def read(self, scope: Scope, before: Availability | None = None) -> Availability:
        """What may be shown, now and in the hours to come; `before`, where nothing was written since that was read."""
        if before is not None and before.whole and time.monotonic() - before.read_at < REREAD_SECONDS:
            with translate_errors():
                about: Any = self._redis.hmget(self.about_key(scope), "built_at", "version")
            if None not in about and about[1].decode() == before.version:
                return before
        now = time.time_ns() // 1_000_000
        off_key, latest_key, embargoed_key, expiring_key = self.keys(scope)
        with translate_errors(), self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hmget(self.about_key(scope), "built_at", "version")
            pipeline.zrevrangebyscore(latest_key, now + HORIZON_MS, "-inf", withscores=True)
            pipeline.smembers(off_key)
            pipeline.smembers(self.unknown_key(scope))
            pipeline.zrangebyscore(embargoed_key, now, "+inf", withscores=True)
            pipeline.zrangebyscore(expiring_key, "-inf", now + HORIZON_MS, withscores=True)
            (built_at, version), newest, off, unknown, embargoed, expiring = pipeline.execute()
        return Availability(
            tuple(item_id.decode() for item_id, _ in newest),
            frozenset(item_id.decode() for item_id in off),
            {item_id.decode(): int(moment) for item_id, moment in embargoed},
            {item_id.decode(): int(moment) for item_id, moment in expiring},
            frozenset(item_id.decode() for item_id in unknown),
            built_at is not None,
            tuple(Arrival(item_id.decode(), int(moment), moment == int(moment)) for item_id, moment in newest),
            version.decode() if version is not None else "",
        )

    def latest(self, scope: Scope, n: int) -> list[str]:
        """The ids of the `n` newest items that may be shown, newest first."""
        found = self.read(scope)
        hidden = found.unavailable()
        return [item_id for item_id in found.newest if item_id not in hidden][:n]

    def inactive(self, scope: Scope) -> set[str]:
        """The ids of items that are off: inactive or deleted."""
        return set(self.read(scope).off)

    def built_at(self, scope: Scope) -> int | None:
        """The Unix ms at which the sets were last made whole; None where they are not."""
        with translate_errors():
            found = self._redis.hget(self.about_key(scope), "built_at")
        return int(found) if found is not None else None

    def lost(self, scopes: Sequence[Scope]) -> list[Scope]:
        """Those of the scopes whose sets are not whole: Redis was emptied, or an older release wrote them."""
        return [scope for scope, built_at in self._about(scopes, "built_at") if built_at is None]

    def due(self, scopes: Sequence[Scope]) -> list[Scope]:
        """Those of the scopes whose catalogue got its first item, or another meaning, since the last rebuild."""
        return [scope for scope, due in self._about(scopes, "due") if due == b"1"]

    def ask_rebuild(self, scope: Scope) -> None:
        """Has a worker rebuild the sets of the scope, which stay as they are until then."""
        with translate_errors():
            self._redis.hset(self.about_key(scope), "due", "1")

    def unknown(self, scope: Scope) -> int:
        """How many ids of the snapshots are kept out of answers because the catalogue does not hold them."""
        with translate_errors():
            return int(self._redis.scard(self.unknown_key(scope)))

    def cut(self, scopes: Sequence[Scope]) -> list[Scope]:
        """Those of the scopes where older items had to make room among the newest."""
        return [scope for scope, cut in self._about(scopes, "cut") if cut == b"1"]

    def runs_low(self, scope: Scope) -> bool:
        """Whether few of the newest items may still be shown: others expired or were switched off."""
        return len(self.latest(scope, KEPT)) < KEPT // 2

    def _about(self, scopes: Sequence[Scope], field: str) -> list[tuple[Scope, bytes | None]]:
        with translate_errors(), self._redis.pipeline(transaction=False) as pipeline:
            for scope in scopes:
                pipeline.hget(self.about_key(scope), field)
            return list(zip(scopes, pipeline.execute(), strict=True))

    def rebuild(
        self, scope: Scope, entries: Iterable[Entry], answered: Iterable[str] = (), catalogue: Catalogue = "auto"
    ) -> bool:
        """Makes the sets anew from all items of the scope; False where another rebuild is under way, or took over.

        `entries` is read after the rebuild has begun. An item that is written from then on keeps what was written.
        `answered` are the ids that snapshots hold: those that are in no entry are unknown, as the scenario has it.
        """
        unknown = set(answered)
        rebuilding, touched = self._rebuild_keys(scope)
        token = uuid.uuid4().hex
        new_keys = self.keys(scope, "-new")
        new_about = self._keys("availability-new", scope.tenant_id, scope.scenario_id)
        new_unknown = self.unknown_key(scope, "-new")
        scratch = self._keys("availability-scratch", scope.tenant_id, scope.scenario_id)
        nothing = self._keys("availability-none", scope.tenant_id, scope.scenario_id)
        with translate_errors():
            if not self._redis.set(rebuilding, token, nx=True, ex=REBUILD_SECONDS):
                return False
            self._redis.delete(touched, *new_keys, new_about, new_unknown)
        known = False
        for chunk in _chunks(entries):
            with translate_errors():
                if not self._renew(keys=[rebuilding], args=[token, REBUILD_SECONDS * 1000]):
                    return False
            self._put([*new_keys, new_about, nothing, nothing, nothing], chunk)
            unknown.difference_update(entry.item_id for entry in chunk)
            known = True
        if catalogue == "required" or (catalogue == "auto" and known):
            ids = list(unknown)
            with translate_errors():
                for start in range(0, len(ids), _CHUNK):
                    self._redis.sadd(new_unknown, *ids[start : start + _CHUNK])
        pairs = [each for pair in zip(new_keys, self.keys(scope), strict=True) for each in pair]
        with translate_errors():
            return bool(
                self._switch(
                    keys=[
                        rebuilding,
                        touched,
                        self.about_key(scope),
                        scratch,
                        *pairs,
                        new_about,
                        new_unknown,
                        self.unknown_key(scope),
                    ],
                    args=[token, time.time_ns() // 1_000_000, KEPT],
                )
            )

    def _put(self, keys: Sequence[str], entries: Sequence[Entry]) -> None:
        rows = [
            [
                *each[:2],
                each.new_at + ARRIVED * (each.published_at is None),
                each.published_at or 0,
                each.expires_at or 0,
            ]
            for each in entries
        ]
        with translate_errors():
            self._add(keys=keys, args=[time.time_ns() // 1_000_000, KEPT, orjson.dumps(rows)])


def entry_of(item: Item, arrived_ms: int) -> Entry:
    """What of an item decides whether it may be shown; `arrived_ms` is the Unix ms of its arrival."""
    published = milliseconds(item.published_at) if item.published_at else None
    expires = milliseconds(item.expires_at) if item.expires_at else None
    new_at = item_version(item, arrived_ms) if published is None else published
    return Entry(item.item_id, item.recommendable, new_at, published, expires)


def _chunks(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    rest = iter(entries)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk
