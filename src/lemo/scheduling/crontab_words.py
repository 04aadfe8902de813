"""Crontabs in words, in English and Chinese: `daily at 03:00`, `每天 03:00`."""

from collections.abc import Collection, Sequence
from typing import Literal

from lemo.scheduling.crontab import ZonedCrontab, zoned

Language = Literal["en", "zh"]
LISTED_TIMES = 4
"""Times of a day that are listed one by one."""
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_ZH_DAYS = "日一二三四五六"
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def in_words(cron: str, language: Language = "en") -> str:
    """When a crontab runs, on the clock of its time zone; the crontab itself where words would be longer.

    Raises InvalidInput for an invalid crontab.
    """
    schedule = zoned(cron)
    day, time = _day(schedule, language), _time(schedule, language)
    if day is None or time is None:
        return cron
    text, listed = time
    if language == "zh":
        return f"{day or '每天'} {text}" if listed else f"{day} {text}".strip()
    if listed:
        return f"{day or 'daily'} at {text}"
    return f"{text}, {day}" if day else text


def _day(schedule: ZonedCrontab, language: Language) -> str | None:
    """The days; empty for every day, None where there are no short words."""
    every_weekday, every_day = len(schedule.day_of_week) == 7, len(schedule.day_of_month) == 31
    every_month = len(schedule.month_of_year) == 12
    if every_weekday and every_day and every_month:
        return ""
    if every_day and every_month:
        return _weekdays(sorted(schedule.day_of_week), language)
    if not every_weekday or len(schedule.day_of_month) != 1:
        return None
    (number,) = schedule.day_of_month
    if every_month:
        return f"每月 {number} 日" if language == "zh" else f"monthly on the {_ordinal(number)}"
    if len(schedule.month_of_year) != 1:
        return None
    (month,) = schedule.month_of_year
    return f"每年 {month} 月 {number} 日" if language == "zh" else f"yearly on {number} {_MONTHS[month - 1]}"


def _weekdays(days: Sequence[int], language: Language) -> str:
    row = len(days) > 2 and days[-1] - days[0] == len(days) - 1
    if language == "zh":
        names = [_ZH_DAYS[day] for day in days]
        return f"每周{names[0]}至周{names[-1]}" if row else "每周" + "、".join(names)
    names = [_DAYS[day] for day in days]
    return f"{names[0]} to {names[-1]}" if row else _listed([f"{name}s" for name in names], language)


def _time(schedule: ZonedCrontab, language: Language) -> tuple[str, bool] | None:
    """The times of a day, and whether they are a list of them; None where there are no short words."""
    zh = language == "zh"
    minutes, hours = sorted(schedule.minute), sorted(schedule.hour)
    if len(minutes) * len(hours) <= LISTED_TIMES:
        return _listed([f"{hour:02}:{minute:02}" for hour in hours for minute in minutes], language), True
    minute_step, hour_step = _step(minutes, 60), _step(hours, 24)
    if len(minutes) == 1 and hour_step:
        past = f":{minutes[0]:02}" if minutes[0] else ""
        if hour_step == 1:
            every = "每小时" if zh else "every hour"
        else:
            every = f"每 {hour_step} 小时" if zh else f"every {hour_step} hours"
        if not past:
            return every, False
        return (f"{every}的第 {minutes[0]} 分" if zh else f"{every} at {past}"), False
    if minute_step is None:
        return None
    if minute_step == 1:
        every = "每分钟" if zh else "every minute"
    else:
        every = f"每 {minute_step} 分钟" if zh else f"every {minute_step} minutes"
    if len(hours) == 24:
        return every, False
    if hours[-1] - hours[0] != len(hours) - 1:
        return None
    first, last = f"{hours[0]:02}:00", f"{hours[-1]:02}:{minutes[-1]:02}"
    return (f"{first}–{last} {every}" if zh else f"{every} from {first} to {last}"), False


def _step(values: Sequence[int], size: int) -> int | None:
    """The distance of values that begin with 0 and fill the circle of this size evenly."""
    step = size // len(values)
    return step if list(values) == list(range(0, size, step)) and size % step == 0 else None


def _listed(words: Collection[str], language: Language) -> str:
    *rest, last = words
    if language == "zh":
        return "、".join(words)
    return f"{', '.join(rest)} and {last}" if rest else last


def _ordinal(number: int) -> str:
    ending = "th" if 10 < number < 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
