"""Credit of tenants in Redis: what each may still ask or send, whichever process it reaches.

A token bucket: it fills at the limit's rate up to one second's worth. What is spent beyond is owed, and paid back
before anything else is allowed.
"""

from collections.abc import Mapping
from typing import Any, Literal

from redis import Redis

from lemo.stores.redis.client import Keys, translate_errors

Limited = Literal["requests", "events"]
Bucket = tuple[Limited, str]
"""What is limited, and the tenant."""

# KEYS: buckets; ARGV: rate and amount spent of each. A bucket that is full again is as good as none, so it expires.
_SPEND = """
local clock = redis.call('time')
local now = clock[1] + clock[2] / 1000000
local left = {}
for index, key in ipairs(KEYS) do
    local rate, spent = tonumber(ARGV[2 * index - 1]), tonumber(ARGV[2 * index])
    local known = redis.call('hmget', key, 'credit', 'at')
    local credit = rate
    if known[1] then
        credit = math.min(rate, tonumber(known[1]) + math.max(0, now - tonumber(known[2])) * rate)
    end
    credit = credit - spent
    left[index] = string.format('%.6f', credit)
    redis.call('hset', key, 'credit', left[index], 'at', string.format('%.6f', now))
    redis.call('pexpire', key, math.ceil((rate - credit) / rate * 1000) + 1000)
end
return left
"""


class Credit:
    """What tenants may still ask or send."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._keys = keys
        self._spend: Any = redis.register_script(_SPEND)

    def spend(self, spent: Mapping[Bucket, float], rates: Mapping[Limited, float]) -> dict[Bucket, float]:
        """Takes amounts from buckets that fill at `rates` a second; returns what is left in each, negative for debt.

        Raises EngineUnavailable.
        """
        names = [self._keys("credit", what, tenant_id) for what, tenant_id in spent]
        amounts = [number for (what, _), amount in spent.items() for number in (rates[what], amount)]
        with translate_errors():
            left = self._spend(names, amounts)
        return {bucket: float(credit) for bucket, credit in zip(spent, left, strict=True)}
