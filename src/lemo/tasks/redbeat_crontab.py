"""How RedBeat keeps our crontabs in Redis, time zone included, and when it will start what it holds."""

from datetime import UTC, datetime, timedelta
from typing import Any

import redbeat.decoder
import redbeat.schedulers
from celery.schedules import BaseSchedule

from lemo.scheduling.crontab import ZonedCrontab


def due_after(schedule: BaseSchedule, last_run: datetime | None, now: datetime) -> datetime | None:
    """When any schedule of Celery is first due after a run, in UTC: the same whenever it is asked; None: never again.

    In the past where that was missed. What never ran is due now, to the second.
    """
    if last_run is None:
        return now.astimezone(UTC).replace(microsecond=0)
    # Celery estimates what remains from now on, and asks for the time itself: told the time, it is exact.
    schedule.nowfun = lambda: now  # type: ignore[attr-defined]  # celery-stubs misspell it
    left: timedelta | None = schedule.remaining_estimate(last_run)
    return None if left is None else (now + left).astimezone(UTC)


class Encoder(redbeat.decoder.RedBeatJSONEncoder):  # type: ignore[misc]
    """RedBeat's, which would write a crontab without its time zone."""

    def default(self, obj: Any) -> Any:
        """The JSON value of a schedule or moment."""
        value = super().default(obj)
        return {**value, "timezone": obj.timezone} if isinstance(obj, ZonedCrontab) else value


class Decoder(redbeat.decoder.RedBeatJSONDecoder):  # type: ignore[misc]
    """RedBeat's, for crontabs with a time zone too."""

    def dict_to_object(self, d: dict[str, Any]) -> Any:
        """The schedule or moment of a JSON object."""
        if d.get("__type__") == "crontab" and "timezone" in d:
            return ZonedCrontab(**{name: value for name, value in d.items() if name != "__type__"})
        return super().dict_to_object(d)


# RedBeat names both in its module and has no setting for them; put there, its own scheduler reads our entries too.
redbeat.schedulers.RedBeatJSONEncoder = Encoder
redbeat.schedulers.RedBeatJSONDecoder = Decoder
