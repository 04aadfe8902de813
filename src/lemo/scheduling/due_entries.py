"""RedBeat's entries that are due: read in one pipeline, checked one by one, advanced only by the leader."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from celery.schedules import BaseSchedule
from redbeat.decoder import to_timestamp
from redbeat.schedulers import RedBeatSchedulerEntry, ensure_conf, get_redis

from lemo.scheduling.redbeat_crontab import Encoder, due_after

# KEYS: lock, entry, schedule set. ARGV: token, the meta that was read, the new meta, the new score.
# Nothing is written without the lock, over a change by somebody else, or to an entry that was deleted.
_ADVANCE = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then
    return 'lost'
end
local meta = redis.call('hget', KEYS[2], 'meta') or ''
if meta == ARGV[3] then
    return 'done'
end
if meta ~= ARGV[2] or redis.call('hexists', KEYS[2], 'definition') == 0 then
    return 'changed'
end
redis.call('hset', KEYS[2], 'meta', ARGV[3])
redis.call('zadd', KEYS[3], 'XX', ARGV[4], KEYS[2])
return 'done'
"""

_ENDED = -1
"""Score of an entry that is never due again. RedBeat reads scores from 0 on."""
_BATCH = 1000


class BrokenEntry(Exception):
    """An entry in Redis that cannot be sent."""


@dataclass(frozen=True, slots=True)
class DueEntry:
    """An entry, its due time (UTC; None: never again), and its meta as Redis holds it."""

    key: str
    entry: RedBeatSchedulerEntry
    due: datetime | None
    meta: str


class DueEntries:
    """The entries of RedBeat's schedule set. Every call raises RedisError when Redis does not answer."""

    def __init__(self, app: Celery, lock_key: str, on_broken: Callable[[str, str], None]) -> None:
        self._app = app
        self._conf = ensure_conf(app)
        self._lock_key = lock_key
        self._on_broken = on_broken

    def until(self, now: datetime, ahead: float) -> list[DueEntry]:
        """The enabled entries that are due before `now` plus `ahead` seconds, in order of their due times.

        Entries that cannot be read are left out and reported to `on_broken` with the reason.
        """
        client = get_redis(self._app)
        keys = client.zrangebyscore(self._conf.schedule_key, 0, now.timestamp() + ahead)
        found = []
        for start in range(0, len(keys), _BATCH):
            batch = keys[start : start + _BATCH]
            with client.pipeline(transaction=False) as pipe:
                for key in batch:
                    pipe.hmget(key, "definition", "meta")
                answers = pipe.execute(raise_on_error=False)
            found += list(self._read(zip(batch, answers, strict=True), now))
        return sorted(found, key=lambda each: each.due or datetime.max.replace(tzinfo=UTC))

    def advance(self, due_entry: DueEntry, ran_at: datetime, token: str) -> str:
        """Records that the entry ran. Returns `done`, `changed` (by somebody else meanwhile) or `lost` (the lock)."""
        runs = due_entry.entry.total_run_count + 1
        meta = json.dumps({"last_run_at": ran_at, "total_run_count": runs}, cls=Encoder)
        following = due_after(due_entry.entry.schedule, ran_at, ran_at)
        score = _ENDED if following is None else to_timestamp(following)
        keys = (self._lock_key, due_entry.key, self._conf.schedule_key)
        return str(get_redis(self._app).eval(_ADVANCE, len(keys), *keys, token, due_entry.meta, meta, score))

    def _read(self, answers: Iterable[tuple[str, Any]], now: datetime) -> Iterator[DueEntry]:
        for key, answer in answers:
            name = key.removeprefix(self._conf.key_prefix)
            try:
                if isinstance(answer, Exception):
                    raise BrokenEntry(f"its key holds something else ({answer})")
                entry = self._entry(*answer)
                if not entry.enabled:
                    continue
                due = due_after(entry.schedule, entry.last_run_at, now)
            except BrokenEntry as error:
                self._on_broken(name, str(error))
            except Exception as error:  # noqa: BLE001 - anybody may have written it, and libraries raise any error
                self._on_broken(name, f"it cannot be read ({type(error).__name__}: {str(error)[:200]})")
            else:
                yield DueEntry(key, entry, due, answer[1] or "")

    def _entry(self, definition: str | None, meta: str | None) -> RedBeatSchedulerEntry:
        if not definition:
            raise BrokenEntry("it is in the schedule set but has no definition")
        fields = RedBeatSchedulerEntry.decode_definition(definition)
        ran = RedBeatSchedulerEntry.decode_meta(meta)
        if not isinstance(fields, dict) or not isinstance(ran, dict):
            raise BrokenEntry("its definition or meta is no JSON object")
        entry = RedBeatSchedulerEntry(app=self._app, **{**fields, **ran})
        entry.last_run_at = last_run = ran.get("last_run_at")
        entry.args = entry.args or []
        wrong = [
            name
            for name, valid in (
                ("task", isinstance(entry.task, str) and entry.task != ""),
                ("schedule", isinstance(entry.schedule, BaseSchedule)),
                ("args", isinstance(entry.args, list)),
                ("kwargs", isinstance(entry.kwargs, dict)),
                ("options", isinstance(entry.options, dict)),
                ("last_run_at", last_run is None or (isinstance(last_run, datetime) and last_run.tzinfo is not None)),
                ("total_run_count", isinstance(entry.total_run_count, int)),
            )
            if not valid
        ]
        if wrong:
            raise BrokenEntry(f"wrong or missing: {', '.join(wrong)}")
        return entry
