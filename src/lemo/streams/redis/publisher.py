"""Appends messages to streams of Redis."""

import time
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from lemo.streams import Message
from lemo.streams.redis.client import PIPELINE, stream_key, topics_key, unavailable
from lemo.streams.redis.entries import fields_of


class RedisPublisher:
    """Appends to streams. Safe to use from several threads."""

    def __init__(
        self,
        redis: Redis,
        max_length: int,
        kept_days: Mapping[str, int],
        installation: str,
        bounded: Mapping[str, int],
    ) -> None:
        self._installation = installation
        self._redis: Any = redis
        self._max_length = max_length
        self._kept_days = kept_days
        self._bounded = bounded

    def publish(self, topic: str, messages: Iterable[Message]) -> int:
        """Appends the messages; raises EngineUnavailable when Redis does not take them all."""
        key, published, remaining = self._stream(topic), 0, iter(messages)
        try:
            while chunk := list(islice(remaining, PIPELINE)):
                with self._redis.pipeline(transaction=False) as pipeline:
                    pipeline.sadd(topics_key(self._installation), topic)
                    for message in chunk:
                        pipeline.execute_command("XADD", key, "*", *fields_of(message))
                    if topic in self._kept_days:
                        oldest = int((time.time() - self._kept_days[topic] * 86_400) * 1000)
                        pipeline.execute_command("XTRIM", key, "MINID", "~", oldest)
                        pipeline.execute_command("XTRIM", key, "MAXLEN", "~", self._max_length)
                    if topic in self._bounded:
                        pipeline.execute_command("XTRIM", key, "MAXLEN", "~", self._bounded[topic])
                    pipeline.execute()
                published += len(chunk)
        except RedisError as error:
            raise unavailable(error) from error
        return published

    def close(self) -> None:
        """Lets go of connections."""
        self._redis.close()

    def _stream(self, topic: str) -> str:
        return stream_key(topic, self._installation)
