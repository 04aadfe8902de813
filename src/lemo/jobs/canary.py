"""The canary: a tiny task that whoever doubts the worker sends through each queue, and that must come back."""

from redis import Redis

from lemo.stores.redis import key

TASK = "lemo.canary"
STATE = "lemo_state"
"""Remote-control command that a worker answers with what it reads and what its slots do."""
LIFE_SECONDS = 30
"""A canary that was not started within this time is dropped, and another may be sent."""


def back_key(queue: str) -> str:
    """The Redis key that counts the canaries which came back through a queue."""
    return key("canary", "back", queue)


def sent_key(queue: str) -> str:
    """The Redis key that stands while a canary is under way, so that many who ask send no more than one."""
    return key("canary", "sent", queue)


def came_back(redis: Redis, queue: str) -> None:
    """Called by the task: one more has come back, and the next may be sent."""
    with redis.pipeline() as pipeline:
        pipeline.incr(back_key(queue))
        pipeline.delete(sent_key(queue))
        pipeline.execute()


def counts(redis: Redis, queues: list[str]) -> dict[str, int]:
    """How many have ever come back, by queue."""
    found = redis.mget([back_key(queue) for queue in queues])
    return {queue: int(count or 0) for queue, count in zip(queues, found, strict=True)}


def may_send(redis: Redis, queue: str) -> bool:
    """Whether none is under way; if so it is noted that one is now."""
    return bool(redis.set(sent_key(queue), 1, nx=True, ex=LIFE_SECONDS))
