"""Leader election among beats: a lock in Redis that the leader renews in each round."""

import time
from datetime import UTC, datetime
from uuid import uuid4

from redis import Redis

# Renews the lock if it is ours, takes it if it is free. One script, so that it can be sent again when a reply was lost.
_LEAD = """
local holder = redis.call('get', KEYS[1])
if holder == ARGV[1] then
    redis.call('pexpire', KEYS[1], ARGV[2])
    return 'kept'
end
if holder then
    return holder
end
redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
return 'taken'
"""

_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Advances while this process is stopped and, where the system has such a clock, while the machine sleeps."""


class Leadership:
    """The lock of the leader, with its lifetime by this process's clock.

    Key and type of the lock are RedBeat's own, so that a stock RedBeat and this one exclude each other.
    """

    def __init__(self, redis: Redis, key: str, name: str, seconds: float) -> None:
        self._redis = redis
        self._key = key
        self._milliseconds = int(seconds * 1000)
        self.token = f"{name}/{uuid4().hex}"
        self.leader = ""
        """The token that held the lock at the last call of `lead`."""
        self.since = datetime.now(UTC)
        """When this beat began to lead or to stand by."""
        self._until = 0.0
        self._leading = False

    @property
    def held(self) -> bool:
        """Whether the lock is certainly still ours, by this process's clock.

        The lifetime counts from before the request that renewed the lock, so it ends before the lock expires in Redis.
        """
        return self._leading and time.clock_gettime(_CLOCK) < self._until

    def lead(self) -> bool:
        """Renews the lock, or takes it if it is free. Returns whether it is ours now.

        `since` changes whenever the lock was not ours all the time since the last call. Raises RedisError, and changes
        nothing then.
        """
        started = time.clock_gettime(_CLOCK)
        reply = self._redis.eval(_LEAD, 1, self._key, self.token, str(self._milliseconds))
        holder = reply.decode() if isinstance(reply, bytes) else str(reply)
        leading = holder in ("kept", "taken")
        if leading != self._leading or holder == "taken":
            self.since = datetime.now(UTC)
        self._leading = leading
        self.leader = self.token if leading else holder
        self._until = started + self._milliseconds / 1000 if leading else 0.0
        return leading

    def lose(self) -> None:
        """Gives up the lead, after Redis replied that another beat holds the lock."""
        self._until = 0.0

    def release(self) -> None:
        """Releases the lock, so that another beat need not wait until it expires; raises RedisError."""
        was_leading, self._leading, self._until = self._leading, False, 0.0
        if was_leading:
            self._redis.eval(_RELEASE, 1, self._key, self.token)
