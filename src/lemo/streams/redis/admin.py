"""Queries about the streams of Redis, outside any group: their names, their content and the lag of a group."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from redis.exceptions import ResponseError

from lemo.domain.deadlines import Deadlines
from lemo.streams import Record, Removed
from lemo.streams.redis.client import Query, stream_key, topics_of
from lemo.streams.redis.entries import milliseconds_of, record_of

_SCANNED = 1_000
"""Entries that one command of a scan reads."""


class RedisAdmin:
    """Lists topics and looks at what they hold. Every method raises EngineUnavailable."""

    def __init__(self, url: str, installation: str, deadlines: Deadlines) -> None:
        self._url = url
        self._installation = installation
        self._deadlines = deadlines

    def create_topics(self, topics: Sequence[str]) -> None:
        """Nothing to make: a stream comes with its first entry. Asks the server for a sign of life instead."""
        del topics
        self.ping()

    def topics(self, prefix: str) -> list[str]:
        """The topics there are whose names go on after the prefix."""
        with self._client() as redis:
            return topics_of(redis, prefix, self._installation)

    def lag(self, topics: Sequence[str], group: str) -> dict[str, int]:
        """Entries not committed yet: pending ones and those never delivered."""
        with self._client() as redis:
            return {topic: _lag(redis, self._stream(topic), group) for topic in topics}

    def oldest(self, topics: Sequence[str], group: str) -> dict[str, int]:
        """Unix ms of each topic's oldest entry that is pending or was never delivered."""
        with self._client() as redis:
            found = {topic: _oldest(redis, self._stream(topic), group) for topic in topics}
        return {topic: milliseconds_of(entry_id) for topic, entry_id in found.items() if entry_id is not None}

    def read_all(self, topic: str, limit: int) -> list[Record]:
        """The newest `limit` records, oldest of them first."""
        with self._client() as redis:
            entries = redis.xrevrange(self._stream(topic), count=limit) if limit > 0 else []
            return [record_of(topic, entry_id, fields) for entry_id, fields in reversed(entries)]

    def scan(self, topic: str) -> Iterator[Record]:
        """All records that stand in the topic now, oldest first."""
        with self._client() as redis:
            newest = redis.xrevrange(self._stream(topic), count=1)
            last, after = (newest[0][0].decode() if newest else "0-0"), "-"
            while entries := list(redis.xrange(self._stream(topic), min=after, max=last, count=_SCANNED)):
                yield from (record_of(topic, entry_id, fields) for entry_id, fields in entries)
                after = f"({entries[-1][0].decode()}"

    def remove(self, topic: str, wanted: Callable[[Record], bool]) -> Removed:
        """Deletes entries. Their bytes stay in their block of up to 100 entries until that is trimmed."""
        positions = [record.position for record in self.scan(topic) if wanted(record)]
        with self._client() as redis:
            for start in range(0, len(positions), _SCANNED):
                redis.xdel(self._stream(topic), *positions[start : start + _SCANNED])
        if not positions:
            return Removed()
        return Removed(
            len(positions),
            "Redis gives their bytes free when their block of up to 100 entries is trimmed: after"
            " LEMO_STREAM_MAX_LENGTH further messages at the latest.",
        )

    def ping(self) -> str:
        """Asks the server for a sign of life; returns its name and version."""
        with self._client() as redis:
            info: Mapping[str, Any] = redis.info("server")
            name, version = ("Valkey", info["valkey_version"]) if "valkey_version" in info else ("Redis", "")
            return f"{name} {version or info['redis_version']} (Streams)"

    def _stream(self, topic: str) -> str:
        return stream_key(topic, self._installation)

    def _client(self) -> Query:
        return Query(self._url, self._deadlines)


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
