"""Copies entries of streams into a file and back, under their own ids, which are the moments when they were taken."""

from pathlib import Path
from typing import BinaryIO

from lemo.domain.deadlines import FOR_JOBS
from lemo.streams.entries import Entry, entries_of, write_entry
from lemo.streams.redis.admin import oldest_uncommitted
from lemo.streams.redis.client import PIPELINE, Query, stream_key, topics_key


class StreamTransfer:
    """The streams of one installation. Every method raises EngineUnavailable."""

    def __init__(self, url: str, installation: str) -> None:
        self._url, self._installation = url, installation

    def topics(self) -> list[str]:
        """All topics that were ever written or read."""
        with Query(self._url, FOR_JOBS) as redis:
            return sorted(name.decode() for name in redis.smembers(topics_key(self._installation)))

    def dump(self, topic: str, group: str, out: BinaryIO) -> int:
        """Appends to `out` each entry of the topic that the group has not committed; returns how many.

        Without such a group these are all entries. A committed one may be among them.
        """
        count = 0
        with Query(self._url, FOR_JOBS) as redis:
            key = stream_key(topic, self._installation)
            first = oldest_uncommitted(redis, key, group)
            newest = redis.xrevrange(key, count=1)
            if first is None or not newest:
                return 0
            start, end = first.decode(), newest[0][0].decode()
            while entries := redis.xrange(key, min=start, max=end, count=PIPELINE):
                for id, fields in entries:
                    write_entry(out, Entry(topic, id, fields))
                count += len(entries)
                start = f"({entries[-1][0].decode()}"
        return count

    def remove(self) -> None:
        """Deletes all streams."""
        with Query(self._url, FOR_JOBS) as redis:
            topics = [name.decode() for name in redis.smembers(topics_key(self._installation))]
            redis.delete(topics_key(self._installation), *(stream_key(topic, self._installation) for topic in topics))

    def load(self, file: Path) -> int:
        """Adds the entries of a file to their streams, which must be empty; returns how many.

        Ids of a stream rise: one that does not, as of another log's partitions, becomes the next after the one before.
        """
        count = 0
        last: dict[str, tuple[int, int]] = {}
        with Query(self._url, FOR_JOBS) as redis, file.open("rb") as source:
            pipeline = redis.pipeline(transaction=False)
            for entry in entries_of(source):
                moment, number = map(int, entry.id.split(b"-"))
                before = last.get(entry.topic, (0, 0))
                id = last[entry.topic] = max((moment, number), (before[0], before[1] + 1))
                pipeline.sadd(topics_key(self._installation), entry.topic)
                pipeline.xadd(stream_key(entry.topic, self._installation), entry.fields, id=f"{id[0]}-{id[1]}")
                count += 1
                if count % PIPELINE == 0:
                    pipeline.execute()
            pipeline.execute()
        return count
