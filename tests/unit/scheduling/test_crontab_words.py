"""Crontabs in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemo.domain.schedule import DEFAULT_CRONS
from lemo.scheduling.crontab import next_times
from lemo.scheduling.crontab_words import in_words


@pytest.mark.parametrize(
    ("cron", "english", "chinese"),
    [
        ("0 3 * * *", "daily at 03:00", "每天 03:00"),
        ("0 * * * *", "every hour", "每小时"),
        ("5 * * * *", "every hour at :05", "每小时的第 5 分"),
        ("0 */2 * * *", "every 2 hours", "每 2 小时"),
        ("30 */4 * * *", "every 4 hours at :30", "每 4 小时的第 30 分"),
        ("0 9,18 * * *", "daily at 09:00 and 18:00", "每天 09:00、18:00"),
        ("*/15 * * * *", "every 15 minutes", "每 15 分钟"),
        ("0,15,30,45 9-17 * * *", "every 15 minutes from 09:00 to 17:45", "09:00–17:45 每 15 分钟"),
        ("* * * * *", "every minute", "每分钟"),
        ("30 6 * * mon-fri", "Monday to Friday at 06:30", "每周一至周五 06:30"),
        ("0 3 * * 1,4", "Mondays and Thursdays at 03:00", "每周一、四 03:00"),
        ("*/10 * * * 0", "every 10 minutes, Sundays", "每周日 每 10 分钟"),
        ("0 3 1 * *", "monthly on the 1st at 03:00", "每月 1 日 03:00"),
        ("0 3 22 2 *", "yearly on 22 February at 03:00", "每年 2 月 22 日 03:00"),
        ("0 3 13 * *", "monthly on the 13th at 03:00", "每月 13 日 03:00"),
        # What would take longer words stays a crontab.
        ("7,11,13,17,19 3 * * *", "7,11,13,17,19 3 * * *", "7,11,13,17,19 3 * * *"),
        ("0 3 13 * fri", "0 3 13 * fri", "0 3 13 * fri"),
        ("*/7 * * * *", "*/7 * * * *", "*/7 * * * *"),
    ],
)
def test_words(cron: str, english: str, chinese: str) -> None:
    assert in_words(cron) == english
    assert in_words(cron, "zh") == chinese


@given(st.integers(0, 59), st.integers(0, 23))
def test_a_listed_time_is_a_time_at_which_it_runs(minute: int, hour: int) -> None:
    cron = f"{minute} {hour} * * *"
    assert in_words(cron) == f"daily at {next_times(cron, 'UTC', 1)[0]:%H:%M}"


def test_the_designs_schedule_has_words() -> None:
    assert all(in_words(cron) != cron for cron in DEFAULT_CRONS.values())
