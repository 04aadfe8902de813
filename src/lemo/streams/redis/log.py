"""The ingest log on Redis Streams: one stream a topic, read by consumer groups."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.errors import EngineUnavailable
from lemo.settings import DEFAULT_INSTALLATION
from lemo.streams import Message, Record, nothing

_log = structlog.get_logger(__name__)

_VALUE, _KEY, _HEADER = b"v", b"k", b"h:"
_PIPELINE = 1_000
_SCANNED = 1_000
"""Entries that one question of a scan asks for."""
_LONGEST_BLOCK = 2.0
"""Seconds that one blocking read waits: below the socket's time-out, and short enough to notice a stop."""
LONGEST_ANSWER = _LONGEST_BLOCK + 5
"""Seconds that Redis may take for anything, a blocking read included."""
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


def stream_key(topic: str, installation: str = DEFAULT_INSTALLATION) -> str:
    """The key of a topic's stream."""
    return f"{installation}:log:{topic}"


def topics_key(installation: str = DEFAULT_INSTALLATION) -> str:
    """The key of the set of all topics: to find streams among millions of other keys would take a scan over them."""
    return f"{installation}:log-topics"


def reader_name(installation: str) -> str:
    """How a reader's connection is named in Redis's list of clients."""
    return f"{installation}:log-reader"


class RedisLog:
    """The log on one Redis database. Durable as far as the server's append-only file is (`appendfsync`).

    `max_length` is how many consumed messages each topic keeps. Topics in `kept_days`, which no group consumes, keep
    as many of their newest at most, and drop what is older than the days given.
    """

    def __init__(
        self,
        url: str,
        max_length: int,
        kept_days: Mapping[str, int] | None = None,
        installation: str = DEFAULT_INSTALLATION,
        deadlines: Deadlines = FOR_JOBS,
    ) -> None:
        self._url = url
        self._deadlines = deadlines
        self._installation = installation
        self._max_length = max_length
        self._kept_days = dict(kept_days or {})

    def _client(self) -> "_client":
        return _client(self._url, self._deadlines)

    def publisher(self) -> "RedisPublisher":
        """A new publisher."""
        client = _connect(self._url, self._deadlines.retries, answer_seconds=self._deadlines.answer)
        return RedisPublisher(client, self._max_length, self._kept_days, self._installation)

    def reader(
        self,
        topics: Sequence[str],
        group: str,
        member: str,
        before_revoke: Callable[[], None] = nothing,
        *,
        prefix: str = "",
    ) -> "RedisReader":
        """Joins the group; a member that comes back under its old name first gets what it left unfinished.

        Nothing is ever revoked: only what a dead member held is taken over.
        """
        del before_revoke
        return RedisReader(
            _connect(self._url, retries=0, name=reader_name(self._installation)),
            topics,
            group,
            member,
            self._max_length,
            prefix,
            self._installation,
        )

    def create_topics(self, topics: Sequence[str]) -> None:
        """Nothing to make: a stream comes with its first entry. Asks the server for a sign of life instead."""
        del topics
        self.ping()

    def topics(self, prefix: str) -> list[str]:
        """The topics there are whose names go on after the prefix."""
        with self._client() as redis:
            return _topics(redis, prefix, self._installation)

    def lag(self, topics: Sequence[str], group: str) -> dict[str, int]:
        """Entries not committed yet: pending ones and those never delivered."""
        with self._client() as redis:
            return {topic: _lag(redis, self._stream(topic), group) for topic in topics}

    def oldest(self, topics: Sequence[str], group: str) -> dict[str, int]:
        """Unix ms of each topic's oldest entry that is pending or was never delivered."""
        with self._client() as redis:
            found = {topic: _oldest(redis, self._stream(topic), group) for topic in topics}
        return {topic: _milliseconds(entry_id) for topic, entry_id in found.items() if entry_id is not None}

    def read_all(self, topic: str, limit: int) -> list[Record]:
        """The newest `limit` records, oldest of them first."""
        with self._client() as redis:
            entries = redis.xrevrange(self._stream(topic), count=limit) if limit > 0 else []
            return [_record(topic, entry_id, fields) for entry_id, fields in reversed(entries)]

    def scan(self, topic: str) -> Iterator[Record]:
        """All records that stand in the topic now, oldest first."""
        with self._client() as redis:
            newest = redis.xrevrange(self._stream(topic), count=1)
            last, after = (newest[0][0].decode() if newest else "0-0"), "-"
            while entries := list(redis.xrange(self._stream(topic), min=after, max=last, count=_SCANNED)):
                yield from (_record(topic, entry_id, fields) for entry_id, fields in entries)
                after = f"({entries[-1][0].decode()}"

    def ping(self) -> str:
        """Asks the server for a sign of life; returns its name and version."""
        with self._client() as redis:
            info: Mapping[str, Any] = redis.info("server")
            name, version = ("Valkey", info["valkey_version"]) if "valkey_version" in info else ("Redis", "")
            return f"{name} {version or info['redis_version']} (Streams)"

    def _stream(self, topic: str) -> str:
        return stream_key(topic, self._installation)


class RedisPublisher:
    """Appends to streams. Safe to use from several threads."""

    def __init__(self, redis: Redis, max_length: int, kept_days: Mapping[str, int], installation: str) -> None:
        self._installation = installation
        self._redis: Any = redis
        self._max_length = max_length
        self._kept_days = kept_days

    def publish(self, topic: str, messages: Iterable[Message]) -> int:
        """Appends the messages; raises EngineUnavailable when Redis does not take them all."""
        key, published, remaining = self._stream(topic), 0, iter(messages)
        try:
            while chunk := list(islice(remaining, _PIPELINE)):
                with self._redis.pipeline(transaction=False) as pipeline:
                    pipeline.sadd(topics_key(self._installation), topic)
                    for message in chunk:
                        pipeline.execute_command("XADD", key, "*", *_fields(message))
                    if topic in self._kept_days:
                        oldest = int((time.time() - self._kept_days[topic] * 86_400) * 1000)
                        pipeline.execute_command("XTRIM", key, "MINID", "~", oldest)
                        pipeline.execute_command("XTRIM", key, "MAXLEN", "~", self._max_length)
                    pipeline.execute()
                published += len(chunk)
        except RedisError as error:
            raise _unavailable(error) from error
        return published

    def close(self) -> None:
        """Lets go of connections."""
        self._redis.close()

    def _stream(self, topic: str) -> str:
        return stream_key(topic, self._installation)


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
    ) -> None:
        self._installation = installation
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
            raise _unavailable(error) from error
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
                    while chunk := list(islice(positions, _PIPELINE)):
                        pipeline.xclaim(self._stream(topic), self._group, self._member, 0, chunk, justid=True)
                pipeline.execute()
        except RedisError as error:
            raise _unavailable(error) from error
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
            raise _unavailable(error) from error
        for topic, positions in by_topic.items():
            self._polled[topic].difference_update(positions)

    def trim(self) -> None:
        """Shortens the streams to the length in the settings, but never by what some group has not committed."""
        for topic in self._topics:
            self._trim(keys=[self._stream(topic)], args=[self._max_length])
        self._next_trim = time.monotonic() + _TRIM_EVERY

    def close(self) -> None:
        """Lets go of connections. What was not committed stays with this member's name."""
        self._redis.close()

    def _look_for_topics(self) -> None:
        if not self._prefix or time.monotonic() < self._next_look:
            return
        for topic in _topics(self._redis, self._prefix, self._installation):
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
        return [_record(*entry) for entry in entries if entry[2] and entry[1].decode() not in held]

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
                records += [_record(*entry) for entry in self._read({topic: ">"}, limit - len(records), block=None)]
        while not records and (left := deadline - time.monotonic()) > 0:
            each = max(1, limit // len(self._topics))  # COUNT holds for each stream
            block = max(1, int(min(left, _LONGEST_BLOCK) * 1000))
            records = [_record(*entry) for entry in self._read(dict.fromkeys(self._topics, ">"), each, block)]
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


class _client:  # noqa: N801 - reads as the function that it stands for
    """A connection for one question, whose failures become EngineUnavailable."""

    def __init__(self, url: str, deadlines: Deadlines) -> None:
        self._redis: Any = _connect(url, min(deadlines.retries, 2), answer_seconds=deadlines.answer)

    def __enter__(self) -> Any:
        return self._redis

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._redis.close()
        if isinstance(error, RedisError):
            raise _unavailable(error) from error


def _connect(url: str, retries: int, name: str | None = None, answer_seconds: float = LONGEST_ANSWER) -> Redis:
    again = (RedisConnectionError, RedisTimeoutError) if retries > 1 else (RedisConnectionError,)
    # A reader must hear of every lost connection, because an answer lost with it is to be asked for again.
    return Redis.from_url(
        url,
        protocol=2,
        client_name=name,
        socket_timeout=min(answer_seconds, LONGEST_ANSWER),
        socket_connect_timeout=2,
        health_check_interval=15,
        retry=Retry(NoBackoff(), retries, supported_errors=again),
    )


def _topics(redis: Any, prefix: str, installation: str) -> list[str]:
    names = (name.decode() for name in redis.smembers(topics_key(installation)))
    return sorted(name for name in names if name.startswith(prefix) and name != prefix)


def _fields(message: Message) -> list[bytes]:
    fields = [_VALUE, message.value]
    if message.key:
        fields += (_KEY, message.key)
    for name, value in message.headers.items():
        fields += (_HEADER + name.encode(), value)
    return fields


def _record(topic: str, entry_id: bytes, fields: Mapping[bytes, bytes] | None) -> Record:
    fields = fields or {}
    return Record(
        topic=topic,
        partition=0,
        position=entry_id.decode(),
        timestamp=_milliseconds(entry_id),
        value=fields.get(_VALUE, b""),
        key=fields.get(_KEY, b""),
        headers={
            name[len(_HEADER) :].decode(errors="replace"): value
            for name, value in fields.items()
            if name.startswith(_HEADER)
        },
    )


def _milliseconds(entry_id: bytes) -> int:
    """When the server took the entry."""
    return int(entry_id.partition(b"-")[0])


def _group(redis: Any, key: str, group: str) -> dict[str, Any] | None:
    """What the server knows of a stream's group; None where it has no such stream or group."""
    try:
        groups = redis.xinfo_groups(key)
    except ResponseError as error:
        if "no such key" in str(error):
            return None
        raise
    return next((info for info in groups if info["name"] == group.encode()), None)


def _lag(redis: Any, key: str, group: str) -> int:
    info = _group(redis, key, group)
    if info is None:
        return int(redis.xlen(key))
    return int(info["pending"]) + (_undelivered(redis, key, info) if info.get("lag") != 0 else 0)


def _undelivered(redis: Any, key: str, info: Mapping[str, Any]) -> int:
    """Entries behind the last one that the group was given.

    The server's own count is not to be had after deletions, and keeps counting entries that were trimmed undelivered.
    """
    delivered = info["last-delivered-id"].decode()
    if not redis.xrange(key, min=f"({delivered}", count=1):
        return 0
    if not redis.xrevrange(key, max=delivered, count=1):
        return int(redis.xlen(key))
    counted = info.get("lag")
    return _count_after(redis, key, delivered) if counted is None else min(int(counted), int(redis.xlen(key)))


def _oldest(redis: Any, key: str, group: str) -> bytes | None:
    """The id of the oldest entry that the group has not acknowledged."""
    info = _group(redis, key, group)
    if info and info["pending"]:
        pending: bytes | None = redis.xpending(key, group)["min"]
        if pending:
            return pending
    after = f"({info['last-delivered-id'].decode()}" if info else "-"
    entries = redis.xrange(key, min=after, count=1)
    return entries[0][0] if entries else None


def _count_after(redis: Any, key: str, position: str) -> int:
    count = 0
    while entries := list(redis.xrange(key, min=f"({position}", count=1_000)):
        count += len(entries)
        position = entries[-1][0].decode()
    return count


def _unavailable(error: RedisError) -> EngineUnavailable:
    # Texts of the server (out of memory, disk full, read-only) help and hold no secret; those of connections may.
    detail = str(error)[:200] if isinstance(error, ResponseError) else type(error).__name__
    waited = " in time" if isinstance(error, RedisTimeoutError) else ""
    return EngineUnavailable(
        f"Redis, which holds the ingest log, did not answer{waited}: {detail}.",
        "Check that it runs and has memory and disk left (`lemo doctor`); the call may be repeated.",
    )
