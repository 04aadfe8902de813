"""The canary: a tiny task that whoever doubts the worker sends through each queue, and that must come back."""

from redis import Redis

from lemo.stores.redis.client import Keys

STATE = "lemo_state"
"""Remote-control command that a worker answers with what it reads and what its slots do."""
LIFE_SECONDS = 30
"""A canary that was not started within this time is dropped, and another may be sent."""


def back_key(keys: Keys, queue: str) -> str:
    """The Redis key that counts the canaries which came back through a queue."""
    return keys("canary", "back", queue)


def sent_key(keys: Keys, queue: str) -> str:
    """The Redis key that stands while a canary is under way, so that many who ask send no more than one."""
    return keys("canary", "sent", queue)


def came_back(redis: Redis, keys: Keys, queue: str) -> None:
    """Called by the task: one more has come back, and the next may be sent."""
    with redis.pipeline() as pipeline:
        pipeline.incr(back_key(keys, queue))
        pipeline.delete(sent_key(keys, queue))
        pipeline.execute()


def counts(redis: Redis, keys: Keys, queues: list[str]) -> dict[str, int]:
    """How many have ever come back, by queue."""
    found = redis.mget([back_key(keys, queue) for queue in queues])
    return {queue: int(count or 0) for queue, count in zip(queues, found, strict=True)}


def may_send(redis: Redis, keys: Keys, queue: str) -> bool:
    """Whether none is under way; if so it is noted that one is now."""
    return bool(redis.set(sent_key(keys, queue), 1, nx=True, ex=LIFE_SECONDS))
