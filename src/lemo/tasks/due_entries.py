"""RedBeat's entries as beat works on them: read in one go, checked one by one, moved on only by the leader."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from celery.schedules import BaseSchedule
from redbeat.decoder import to_timestamp
from redbeat.schedulers import RedBeatSchedulerEntry, ensure_conf, get_redis

from lemo.tasks.redbeat_crontab import Encoder, due_after

# KEYS: lock, entry, timetable. ARGV: token, the meta that was read, the new one, the new score.
# Nothing is written for a beat that no longer leads, over somebody else's change, or to an entry that is gone.
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
"""Score of an entry that never comes due again; RedBeat looks at scores from 0 on."""
_BATCH = 1000


class BrokenEntry(Exception):
    """An entry in Redis that cannot be started as it is."""


@dataclass(frozen=True, slots=True)
class DueEntry:
    """An entry, when it is due (UTC; None: never again), and its meta as Redis holds it."""

    key: str
    entry: RedBeatSchedulerEntry
    due: datetime | None
    meta: str


class DueEntries:
    """The entries of the timetable in Redis. Every call raises RedisError when Redis does not answer."""

    def __init__(self, app: Celery, lock_key: str, on_broken: Callable[[str, str], None]) -> None:
        self._app = app
        self._conf = ensure_conf(app)
        self._lock_key = lock_key
        self._on_broken = on_broken

    def until(self, now: datetime, ahead: float) -> list[DueEntry]:
        """The enabled entries that are due before `now` plus `ahead` seconds, in the order in which they are due.

        Those that cannot be read are handed to `on_broken` with the reason and left out.
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
        return sorted(found, key=lambda timer: timer.due or datetime.max.replace(tzinfo=UTC))

    def advance(self, timer: DueEntry, ran_at: datetime, token: str) -> str:
        """Notes that the entry ran: `done`, `changed` (somebody else wrote it meanwhile) or `lost` (the lock is)."""
        runs = timer.entry.total_run_count + 1
        meta = json.dumps({"last_run_at": ran_at, "total_run_count": runs}, cls=Encoder)
        following = due_after(timer.entry.schedule, ran_at, ran_at)
        score = _ENDED if following is None else to_timestamp(following)
        keys = (self._lock_key, timer.key, self._conf.schedule_key)
        return str(get_redis(self._app).eval(_ADVANCE, len(keys), *keys, token, timer.meta, meta, score))

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
            except Exception as error:  # noqa: BLE001 - anybody may have written it, and libraries raise what they like
                self._on_broken(name, f"it cannot be read ({type(error).__name__}: {str(error)[:200]})")
            else:
                yield DueEntry(key, entry, due, answer[1] or "")

    def _entry(self, definition: str | None, meta: str | None) -> RedBeatSchedulerEntry:
        if not definition:
            raise BrokenEntry("it stands in the timetable but has no definition")
        said = RedBeatSchedulerEntry.decode_definition(definition)
        ran = RedBeatSchedulerEntry.decode_meta(meta)
        if not isinstance(said, dict) or not isinstance(ran, dict):
            raise BrokenEntry("its definition or meta is no JSON object")
        entry = RedBeatSchedulerEntry(app=self._app, **{**said, **ran})
        entry.last_run_at = last_run = ran.get("last_run_at")
        entry.args = entry.args or []
        wrong = [
            what
            for what, right in (
                ("task", isinstance(entry.task, str) and entry.task != ""),
                ("schedule", isinstance(entry.schedule, BaseSchedule)),
                ("args", isinstance(entry.args, list)),
                ("kwargs", isinstance(entry.kwargs, dict)),
                ("options", isinstance(entry.options, dict)),
                ("last_run_at", last_run is None or (isinstance(last_run, datetime) and last_run.tzinfo is not None)),
                ("total_run_count", isinstance(entry.total_run_count, int)),
            )
            if not right
        ]
        if wrong:
            raise BrokenEntry(f"wrong or missing: {', '.join(wrong)}")
        return entry
