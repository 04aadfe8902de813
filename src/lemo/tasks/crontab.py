"""Crontab text to Celery's schedule and back."""

from celery.schedules import crontab

from lemo.domain.errors import InvalidInput


def crontab_of(text: str) -> crontab:
    """The schedule of five crontab fields (minute hour day month weekday); raises InvalidInput."""
    fields = text.split()
    if len(fields) != 5:
        raise InvalidInput(f"{text!r} is no crontab.", "Give five fields: minute hour day-of-month month day-of-week.")
    minute, hour, day, month, weekday = fields
    try:
        return crontab(minute, hour, day_of_month=day, month_of_year=month, day_of_week=weekday)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is no crontab: {error}.", "An example: '0 3 * * *' is 03:00 every day.") from None
