"""RedBeat's JSON for crontabs with a time zone, and when an entry is due."""

from datetime import UTC, datetime, timedelta
from typing import Any

import redbeat.decoder
import redbeat.schedulers
from celery.schedules import BaseSchedule

from lemo.scheduling.crontab import ZonedCrontab


def due_after(schedule: BaseSchedule, last_run: datetime | None, now: datetime) -> datetime | None:
    """When a schedule of Celery is first due after its last run, in UTC; None: never again.

    The result does not depend on `now`, and lies in the past where that run was missed. An entry that never ran is due
    now, to the second.
    """
    if last_run is None:
        return now.astimezone(UTC).replace(microsecond=0)
    # Celery returns the time that remains from its own clock's now. With our `now` as its clock, the sum is exact.
    schedule.nowfun = lambda: now  # type: ignore[attr-defined]  # celery-stubs misspell it
    left: timedelta | None = schedule.remaining_estimate(last_run)
    return None if left is None else (now + left).astimezone(UTC)


class Encoder(redbeat.decoder.RedBeatJSONEncoder):  # type: ignore[misc]
    """RedBeat's encoder, which drops the time zone, with the time zone."""

    def default(self, obj: Any) -> Any:
        """The JSON value of a schedule or moment."""
        value = super().default(obj)
        return {**value, "timezone": obj.timezone} if isinstance(obj, ZonedCrontab) else value


class Decoder(redbeat.decoder.RedBeatJSONDecoder):  # type: ignore[misc]
    """RedBeat's decoder, also for crontabs with a time zone."""

    def dict_to_object(self, d: dict[str, Any]) -> Any:
        """The schedule or moment of a JSON object."""
        if d.get("__type__") == "crontab" and "timezone" in d:
            return ZonedCrontab(**{name: value for name, value in d.items() if name != "__type__"})
        return super().dict_to_object(d)


# RedBeat has no setting for these. Replaced in its module, its own scheduler reads our entries too.
redbeat.schedulers.RedBeatJSONEncoder = Encoder
redbeat.schedulers.RedBeatJSONDecoder = Decoder
