"""The schedule as RedBeat holds it in Redis, for people to look at."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import redbeat
from redis.exceptions import RedisError

from lemo.domain.errors import EngineUnavailable
from lemo.jobs.catalog import SCHEDULED
from lemo.settings import Settings
from lemo.tasks.celery_app import app


@dataclass(frozen=True, slots=True)
class ScheduledEntry:
    """One entry: its crontab (UTC), when beat last started it (None: not since beat knows it), and when it will."""

    name: str
    title: str
    cron: str
    last_run: datetime | None
    next_run: datetime | None


def entries(settings: Settings) -> list[ScheduledEntry]:  # noqa: ARG001 - the app was made from the same settings
    """The five entries; raises EngineUnavailable when Redis is away."""
    found = []
    for job in SCHEDULED:
        last_run = next_run = None
        try:
            entry = redbeat.RedBeatSchedulerEntry.from_key(app.conf.redbeat_key_prefix + job.entry, app=app)
        except KeyError:
            pass  # beat has not run yet: the entry is known, its times are not
        except RedisError as error:
            raise EngineUnavailable("The schedule is out of reach: Redis did not answer.", "lemo doctor") from error
        else:
            # A new entry pretends to have run when it was made, so as not to be due at once; only a run is counted.
            counted = redbeat.RedBeatSchedulerEntry.load_meta(entry.key, app=app).get("total_run_count")
            last_run = entry.last_run_at if counted else None
            next_run = datetime.now(UTC) + entry.schedule.remaining_estimate(entry.last_run_at)
            # The estimate falls a few microseconds short of the full minute that it means.
            next_run = (next_run + timedelta(seconds=0.5)).replace(microsecond=0)
        found.append(ScheduledEntry(job.entry, job.title, job.cron or "", _utc(last_run), _utc(next_run)))
    return found


def _utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment else None
