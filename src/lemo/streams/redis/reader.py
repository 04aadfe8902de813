"""Reads streams of Redis as one member of a consumer group."""

import time
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any

import structlog
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from lemo.streams import Record
from lemo.streams.redis.client import LONGEST_BLOCK, PIPELINE, stream_key, topics_key, topics_of, unavailable
from lemo.streams.redis.entries import record_of

_log = structlog.get_logger(__name__)

_DEAD_AFTER_MS = 60_000
"""Entries that a member holds for longer without a commit are taken over by another one."""
Entry = tuple[str, bytes, Mapping[bytes, bytes] | None]
"""Topic, id and fields, as the server gives them; no fields when the entry was deleted."""
_CLAIM_EVERY = 15.0
_RENEW_EVERY = 15.0
_TRIM_EVERY = 10.0
_NOTICE_EVERY = 2.0
"""How often a reader by prefix looks for new topics."""

# Removes what every group has committed from the old end, and leaves ARGV[1] entries. Deciding and trimming are one
# step, so that nothing can be delivered in between. A stream that no group reads yet is left alone.
_TRIM = """
local over = redis.call('XLEN', KEYS[1]) - tonumber(ARGV[1])
if over <= 0 then return 0 end
local function before(a, b)
  local am, as = string.match(a, '(%d+)-(%d+)')
  local bm, bs = string.match(b, '(%d+)-(%d+)')
  if #am ~= #bm then return #am < #bm end
  if am ~= bm then return am < bm end
  if #as ~= #bs then return #as < #bs end
  return as < bs
end
local safe = nil
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local info = {}
  for i = 1, #group, 2 do info[group[i]] = group[i + 1] end
  local kept = info['last-delivered-id']
  if info['pending'] > 0 then kept = redis.call('XPENDING', KEYS[1], info['name'])[2] end
  if safe == nil or before(kept, safe) then safe = kept end
end
if safe == nil then return 0 end
return redis.call('XTRIM', KEYS[1], 'MINID', '~', safe, 'LIMIT', over)
"""


class RedisReader:
    """One member of a group."""

    def __init__(
        self,
        redis: Redis,
        topics: Sequence[str],
        group: str,
        member: str,
        max_length: int,
        prefix: str,
        installation: str,
        passing: Collection[str] = (),
    ) -> None:
        """Of topics in `passing` nothing is kept that every group has committed."""
        self._installation = installation
        self._passing = passing
        self._redis: Any = redis
        self._topics = list(topics)
        self._prefix = prefix
        self._next_look = 0.0
        self._group = group
        self._member = member
        self._max_length = max_length
        self._trim = redis.register_script(_TRIM)
        self._grouped = False
        # Per topic the id up to which our own pending entries were read again; None once there are no more.
        self._replayed: dict[str, str | None] = dict.fromkeys(topics, "0-0")
        self._polled: dict[str, set[str]] = {topic: set() for topic in topics}
        self._next_claim = 0.0
        self._next_renewal = 0.0
        self._next_trim = time.monotonic() + _TRIM_EVERY

    def poll(self, limit: int, seconds: float) -> list[Record]:
        """Up to `limit` records: our own unfinished ones first, then those of dead members, then new ones."""
        try:
            self._look_for_topics()
            self._ensure_groups()
            records = self._unfinished(limit) or self._orphaned(limit) or self._new(limit, seconds)
        except RedisError as error:
            self._recover()
            raise unavailable(error) from error
        for record in records:
            self._polled[record.topic].add(record.position)
        return records

    def hold(self) -> None:
        """Tells the server now and then that what is at hand is being worked on, so that nobody takes it over."""
        if time.monotonic() < self._next_renewal:
            return
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for topic, held in self._polled.items():
                    positions = iter(held)
                    while chunk := list(islice(positions, PIPELINE)):
                        pipeline.xclaim(self._stream(topic), self._group, self._member, 0, chunk, justid=True)
                pipeline.execute()
        except RedisError as error:
            raise unavailable(error) from error
        self._next_renewal = time.monotonic() + _RENEW_EVERY

    def commit(self, records: Sequence[Record]) -> None:
        """Acknowledges the records; now and then also trims what every group has committed."""
        by_topic: dict[str, list[str]] = {}
        for record in records:
            by_topic.setdefault(record.topic, []).append(record.position)
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for topic, positions in by_topic.items():
                    pipeline.xack(self._stream(topic), self._group, *positions)
                pipeline.execute()
            if time.monotonic() >= self._next_trim:
                self.trim()
        except RedisError as error:
            raise unavailable(error) from error
        for topic, positions in by_topic.items():
            self._polled[topic].difference_update(positions)

    def trim(self) -> None:
        """Shortens the streams to the length in the settings, but never by what some group has not committed."""
        for topic in self._topics:
            kept = 0 if topic in self._passing else self._max_length
            self._trim(keys=[self._stream(topic)], args=[kept])
        self._next_trim = time.monotonic() + _TRIM_EVERY

    def close(self) -> None:
        """Lets go of connections. What was not committed stays with this member's name."""
        self._redis.close()

    def _look_for_topics(self) -> None:
        if not self._prefix or time.monotonic() < self._next_look:
            return
        for topic in topics_of(self._redis, self._prefix, self._installation):
            if topic not in self._polled:
                _log.info("a new topic is read", topic=topic)
                self._topics.append(topic)
                self._replayed[topic] = "0-0"
                self._polled[topic] = set()
                self._grouped = False
        self._next_look = time.monotonic() + _NOTICE_EVERY

    def _ensure_groups(self) -> None:
        if self._grouped:
            return
        for topic in self._topics:
            try:
                # From the very start: what was published before the first consumer came counts too.
                self._redis.xgroup_create(self._stream(topic), self._group, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise
        if self._topics:  # a server that came back empty has forgotten tenants' own topics, which others write to
            self._redis.sadd(topics_key(self._installation), *self._topics)
        self._grouped = True

    def _recover(self) -> None:
        # An answer may have been lost on the way: the server then counts its entries as delivered to us. And a server
        # that came back empty knows no group any more.
        self._grouped = False
        self._replayed = dict.fromkeys(self._topics, "0-0")

    def _unfinished(self, limit: int) -> list[Record]:
        records: list[Record] = []
        for topic, cursor in self._replayed.items():
            while cursor is not None and len(records) < limit:
                entries = self._read({topic: cursor}, limit - len(records), block=None)
                cursor = entries[-1][1].decode() if entries else None
                records += self._not_held(topic, entries)
            self._replayed[topic] = cursor
        return records

    def _not_held(self, topic: str, entries: Sequence[Entry]) -> list[Record]:
        """Those not handed out yet; those that somebody deleted from the stream are acknowledged, loudly."""
        gone = [entry_id for _, entry_id, fields in entries if not fields]
        if gone:
            _log.error("pending messages were deleted from the log by somebody else", topic=topic, messages=len(gone))
            self._redis.xack(self._stream(topic), self._group, *gone)
        held = self._polled[topic]
        return [record_of(*entry) for entry in entries if entry[2] and entry[1].decode() not in held]

    def _orphaned(self, limit: int) -> list[Record]:
        if time.monotonic() < self._next_claim:
            return []
        records: list[Record] = []
        for topic in self._topics:
            cursor = "0-0"
            while len(records) < limit:
                answer = self._redis.xautoclaim(
                    self._stream(topic),
                    self._group,
                    self._member,
                    min_idle_time=_DEAD_AFTER_MS,
                    start_id=cursor,
                    count=limit - len(records),
                )
                cursor = answer[0].decode()
                records += self._not_held(topic, [(topic, entry_id, fields) for entry_id, fields in answer[1]])
                if cursor == "0-0":
                    break
        if records:
            _log.info("took over messages of a member that went away", messages=len(records))
        else:
            self._next_claim = time.monotonic() + _CLAIM_EVERY
        return records

    def _new(self, limit: int, seconds: float) -> list[Record]:
        deadline = time.monotonic() + seconds
        records: list[Record] = []
        for topic in self._topics:
            if len(records) < limit:
                records += [record_of(*entry) for entry in self._read({topic: ">"}, limit - len(records), block=None)]
        while not records and (left := deadline - time.monotonic()) > 0:
            each = max(1, limit // len(self._topics))  # COUNT holds for each stream
            block = max(1, int(min(left, LONGEST_BLOCK) * 1000))
            records = [record_of(*entry) for entry in self._read(dict.fromkeys(self._topics, ">"), each, block)]
        # The topic that came first this time comes last next time, so that a busy one starves no other.
        self._topics.append(self._topics.pop(0))
        return records

    def _read(self, cursors: Mapping[str, str], count: int, block: int | None) -> list[Entry]:
        streams = {self._stream(topic): cursor for topic, cursor in cursors.items()}
        answer = self._redis.xreadgroup(self._group, self._member, streams, count=count, block=block)
        topics = {self._stream(topic).encode(): topic for topic in cursors}
        pairs = answer.items() if isinstance(answer, dict) else answer or []
        return [(topics[key], entry_id, fields) for key, entries in pairs for entry_id, fields in entries]

    def _stream(self, topic: str) -> str:
        return stream_key(topic, self._installation)
