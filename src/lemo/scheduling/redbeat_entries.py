"""Writes RedBeat's entries in Redis from the schedules in the documents, which are the source of truth."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog
from celery import Celery
from celery.schedules import ParseException
from redbeat.decoder import to_timestamp
from redbeat.schedulers import ensure_conf, get_redis

from lemo.domain.schedule import DEFAULT_CRONS
from lemo.scheduling.crontab import crontab_of, next_times
from lemo.scheduling.redbeat_crontab import Decoder, Encoder
from lemo.stores.connect import Stores
from lemo.stores.documents.schedules import ALL_SCOPES, Schedule
from lemo.stores.redis.client import translate_errors

log = structlog.get_logger()

FAN_OUT = "lemo.fan_out."
_MOST_READ = 20
"""Most tenants, and most runs of each, that are read for the last scheduled run."""


@dataclass(frozen=True, slots=True)
class EntryChanges:
    """The names of the entries that were written and of those that were deleted."""

    written: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)


def definition_of(schedule: Schedule) -> dict[str, Any]:
    """The definition of a schedule's entry in RedBeat: name, task, arguments, queue and crontab."""
    return {
        "name": schedule.name,
        "task": FAN_OUT + schedule.entry,
        "args": [],
        # Beat sets the due time. A message that is sent twice for it makes the same runs.
        "kwargs": {"tenant_id": schedule.tenant_id, "scenario_id": schedule.scenario_id, "due": None},
        "options": {"queue": "default"},
        "schedule": crontab_of(schedule.cron, schedule.timezone),
        "enabled": True,
    }


def is_ours(name: str) -> bool:
    """Whether a RedBeat entry belongs to a schedule. Other entries are never changed."""
    return name.partition("@")[0] in DEFAULT_CRONS


def write_entries(stores: Stores, app: Celery) -> EntryChanges:
    """Makes RedBeat's dynamic entries equal to the schedules. A paused schedule has no entry.

    Any number of processes may call it at any time, also after Redis was emptied. Entries that are current are not
    written, so their last runs stay. A new or changed entry starts from its last change or scheduled run: it is not due
    at once, and a missed run is still caught up. Raises EngineUnavailable.
    """
    wanted = {schedule.name: schedule for schedule in stores.schedules.list() if not schedule.paused}
    with translate_errors():
        conf = ensure_conf(app)
        client = get_redis(app)
        scores = dict(client.zrange(conf.schedule_key, 0, -1, withscores=True))
        with client.pipeline(transaction=False) as pipe:
            for name in wanted:
                pipe.hmget(conf.key_prefix + name, "definition", "meta")
            found = dict(zip(wanted, pipe.execute(), strict=True))
        names = (key.removeprefix(conf.key_prefix) for key in scores)
        obsolete = [name for name in names if is_ours(name) and name not in wanted]
        changes = {
            name: _fields(stores, schedule, *found[name])
            for name, schedule in wanted.items()
            if not _is_current(schedule, *found[name]) or conf.key_prefix + name not in scores
        }
        with client.pipeline() as pipe:
            for name in obsolete:
                pipe.zrem(conf.schedule_key, conf.key_prefix + name)
                pipe.delete(conf.key_prefix + name)
            for name, (definition, meta, due) in changes.items():
                pipe.hset(conf.key_prefix + name, mapping={"definition": definition, "meta": meta})
                pipe.zadd(conf.schedule_key, {conf.key_prefix + name: due})
            pipe.execute()
    if changes or obsolete:
        log.info("schedule written", written=list(changes), deleted=obsolete)
    return EntryChanges(list(changes), obsolete)


def _is_current(schedule: Schedule, definition: str | None, meta: str | None) -> bool:
    return definition == _text(definition_of(schedule)) and _last_run(_read(meta)) is not None


def _fields(stores: Stores, schedule: Schedule, definition: str | None, meta: str | None) -> tuple[str, str, int]:
    """Definition and meta as RedBeat writes them, and the due time (Unix seconds)."""
    new, kept = definition_of(schedule), _read(meta)
    last = _last_run(kept)
    if last is None or _read(definition).get("schedule") != new["schedule"]:
        last = _missed_since(stores, schedule, last)
    due = next_times(schedule.cron, schedule.timezone, 1, last)[0]
    return _text(new), _text({**kept, "last_run_at": last}), to_timestamp(due)


def _read(text: str | None) -> dict[str, Any]:
    """The object that RedBeat wrote; empty where the text is not one."""
    try:
        value = json.loads(text or "{}", cls=Decoder)
    except (ValueError, TypeError, ArithmeticError, ParseException):
        return {}
    return value if isinstance(value, dict) else {}


def _last_run(meta: dict[str, Any]) -> datetime | None:
    moment = meta.get("last_run_at")
    return moment if isinstance(moment, datetime) else None


def _missed_since(stores: Stores, schedule: Schedule, last_run: datetime | None) -> datetime:
    """The moment after which a run that did not happen counts as missed."""
    now = datetime.now(UTC)
    moments = [last_run] if last_run else list(_scheduled_runs(stores, schedule))
    newest = max([*moments, *([schedule.changed_at] if schedule.changed_at else [])], default=now)
    return min(newest, now)


def _scheduled_runs(stores: Stores, schedule: Schedule) -> Iterable[datetime]:
    """When the schedule started runs, by the history of runs. Redis may have lost the last run."""
    scope = schedule.scope
    tenants = stores.tenants.list()[:_MOST_READ] if scope == ALL_SCOPES else [scope.tenant_id]
    for tenant_id in tenants:
        runs = stores.runs.list(tenant_id, schedule.entry, scope.scenario_id or None, limit=_MOST_READ)
        yield from (run.queued_at for run in runs if run.trigger == "schedule")


def _text(value: Any) -> str:
    return json.dumps(value, cls=Encoder)
