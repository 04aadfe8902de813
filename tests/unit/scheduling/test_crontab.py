"""Crontabs: Celery's reading of them, time zones with summer time, and RedBeat's way to keep them."""

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import crontab
from hypothesis import given, settings
from hypothesis import strategies as st
from redbeat.decoder import RedBeatJSONDecoder, RedBeatJSONEncoder

from lemo.domain.errors import InvalidInput
from lemo.domain.schedule import DEFAULT_CRONS
from lemo.scheduling.crontab import ZonedCrontab, crontab_of
from lemo.scheduling.redbeat_crontab import Decoder, Encoder
from lemo.tasks.celery_app import app

BERLIN = "Europe/Berlin"


def moments(first: int, last: int) -> st.SearchStrategy[datetime]:
    """Moments from the start of one year to the start of another."""
    start, end = (datetime(year, 1, 1, tzinfo=UTC) for year in (first, last))
    return st.floats(start.timestamp(), end.timestamp()).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def zoned(text: str, zone: str = BERLIN) -> ZonedCrontab:
    made = crontab_of(text, zone)
    assert isinstance(made, ZonedCrontab)
    return made


def following(text: str, zone: str, start: str, count: int) -> list[str]:
    """The next `count` times on the zone's clock after a moment in UTC."""
    found, moment = [], datetime.fromisoformat(start).replace(tzinfo=UTC)
    for _ in range(count):
        moment = zoned(text, zone).next_after(moment)
        found.append(f"{moment.astimezone(ZoneInfo(zone)):%d %H:%M %z}")
    return found


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "0 3 * *", "0 3 * * * *", "60 * * * *", "0 24 * * *", "a b c d e", "0 0 31 2 *", "*/0 * * * *",
     "0 3 * * 7", "-1 * * * *", "1-99999999999 * * * *", "0 0 0 * *", "0,,1 * * * *", "@daily", "0 3 * * \0",
     "9" * 5000 + " * * * *", "٣ ٣ * * xyz"],
)  # fmt: skip
def test_an_invalid_crontab_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no crontab") as told:
        crontab_of(text)
    assert "0 3 * * *" in told.value.hint
    assert len(str(told.value)) < 700


@settings(deadline=None)
@given(st.text(st.sampled_from("0123456789*/-, abmonfrijan@#?.LW\n"), max_size=30))
def test_any_text_is_a_crontab_or_invalid_input(text: str) -> None:
    try:
        assert isinstance(crontab_of(text), crontab)
        assert isinstance(crontab_of(text, BERLIN), ZonedCrontab)
    except InvalidInput:
        pass


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("asia/shanghai", "Asia/Shanghai"), ("Shanghai", "Asia/Shanghai"), ("Europe/Berln", BERLIN),
     ("new york", "America/New_York")],
)  # fmt: skip
def test_a_time_zone_that_is_nearly_right_is_named(wrong: str, right: str) -> None:
    with pytest.raises(InvalidInput, match="There is no time zone") as told:
        crontab_of("0 3 * * *", wrong)
    assert right in told.value.hint


@pytest.mark.parametrize("wrong", ["", "Europe", "../etc/passwd", "/etc/localtime", "Mars/Base", "x" * 5000, "\0"])
def test_other_time_zones_are_refused(wrong: str) -> None:
    with pytest.raises(InvalidInput, match="There is no time zone"):
        crontab_of("0 3 * * *", wrong)


def test_utc_is_celerys_own_crontab() -> None:
    assert type(crontab_of("0 3 * * *")) is crontab
    assert crontab_of("0 3 * * *") == crontab("0", "3")


def test_the_night_without_its_third_hour() -> None:
    """2026-03-29 in Berlin: 02:00 becomes 03:00."""
    night = "2026-03-28T12:00"
    assert following("30 2 * * *", BERLIN, night, 2) == ["29 03:30 +0200", "30 02:30 +0200"]
    assert following("30 * * * *", BERLIN, "2026-03-29T00:00", 3) == [
        "29 01:30 +0100",
        "29 03:30 +0200",
        "29 04:30 +0200",
    ]
    assert following("0,30 2-3 * * *", BERLIN, night, 3) == ["29 03:00 +0200", "29 03:30 +0200", "30 02:00 +0200"]
    assert following("0 3 * * *", BERLIN, night, 2) == ["29 03:00 +0200", "30 03:00 +0200"]


def test_the_night_with_two_third_hours() -> None:
    """2026-10-25 in Berlin: 03:00 becomes 02:00. What has an hour runs once, what runs every hour runs every hour."""
    night = "2026-10-24T12:00"
    assert following("30 2 * * *", BERLIN, night, 2) == ["25 02:30 +0200", "26 02:30 +0100"]
    assert following("30 * * * *", BERLIN, "2026-10-24T23:45", 4) == [
        "25 02:30 +0200",
        "25 02:30 +0100",
        "25 03:30 +0100",
        "25 04:30 +0100",
    ]
    assert following("*/30 * * * *", BERLIN, "2026-10-25T00:00", 4) == [
        "25 02:30 +0200",
        "25 02:00 +0100",
        "25 02:30 +0100",
        "25 03:00 +0100",
    ]


def test_clocks_that_shift_by_half_an_hour_at_two() -> None:
    """Lord Howe, 2026-10-04: 02:00 becomes 02:30; 2026-04-05: 02:00 becomes 01:30."""
    zone = "Australia/Lord_Howe"
    assert following("15 2 * * *", zone, "2026-10-03T00:00", 2) == ["04 02:45 +1100", "05 02:15 +1100"]
    assert following("45 1 * * *", zone, "2026-04-04T00:00", 2) == ["05 01:45 +1100", "06 01:45 +1030"]


def test_days_and_months_are_those_of_the_zone() -> None:
    assert following("0 3 1 * *", "Asia/Shanghai", "2026-01-31T18:00", 2) == ["01 03:00 +0800", "01 03:00 +0800"]
    assert zoned("0 3 * * mon", "Asia/Shanghai").next_after(datetime(2026, 5, 1, tzinfo=UTC)) == datetime(
        2026, 5, 3, 19, tzinfo=UTC
    )
    assert zoned("0 0 29 2 1").next_after(datetime(2026, 1, 1, tzinfo=UTC)).year == 2044


@pytest.mark.parametrize("cron", [*DEFAULT_CRONS.values(), "*/7 1-22/3 * * mon-fri", "15 0 1,15 */2 *"])
@given(moment=moments(2000, 2037))
@settings(deadline=None, max_examples=30)
def test_where_no_clock_shifts_it_is_celerys(cron: str, moment: datetime) -> None:
    """Celery's own arithmetic says the same for a zone that is always UTC."""
    minute, hour, day, month, weekday = cron.split()
    stock = crontab(minute, hour, weekday, day, month, nowfun=lambda: moment, app=app)
    assert zoned(cron, "Etc/GMT").next_after(moment) == moment + stock.remaining_estimate(moment)


@given(
    moment=moments(2026, 2027),
    zone=st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "Antarctica/Troll", "Asia/Beirut"]),
)
@settings(deadline=None)
def test_every_quarter_of_an_hour_comes_every_quarter_of_an_hour(moment: datetime, zone: str) -> None:
    first = zoned("*/15 * * * *", zone).next_after(moment)
    second = zoned("*/15 * * * *", zone).next_after(first)
    assert timedelta(0) < first - moment <= timedelta(minutes=15)
    assert second - first == timedelta(minutes=15)


def test_it_is_due_once() -> None:
    schedule = zoned("0 3 * * *")
    schedule.app = app
    due = schedule.next_after(datetime(2026, 7, 1, tzinfo=UTC))
    assert due == datetime(2026, 7, 1, 1, tzinfo=UTC)
    schedule.nowfun = lambda: due - timedelta(seconds=90)
    assert schedule.is_due(due - timedelta(days=1)) == (False, 90.0)
    schedule.nowfun = lambda: due
    assert schedule.is_due(due - timedelta(days=1)) == (True, 86_400.0)
    assert schedule.is_due(due) == (False, 86_400.0)


@pytest.mark.parametrize("zone", ["UTC", BERLIN])
def test_it_survives_json_pickle_and_copies(zone: str) -> None:
    schedule = crontab_of("*/5 1-3 * * mon", zone)
    kept = json.dumps({"schedule": schedule, "last_run_at": datetime(2026, 1, 1, tzinfo=UTC)}, cls=Encoder)
    back = json.loads(kept, cls=Decoder)
    assert back["schedule"] == schedule
    assert back["last_run_at"] == datetime(2026, 1, 1, tzinfo=UTC)
    assert pickle.loads(pickle.dumps(schedule)) == copy.deepcopy(schedule) == schedule  # noqa: S301 - our own
    assert crontab_of("*/5 1-3 * * mon", "Asia/Tokyo") != schedule


def test_what_redbeat_writes_for_utc_is_what_it_always_wrote() -> None:
    schedule = crontab_of("0 3 * * *")
    assert json.dumps(schedule, cls=Encoder) == json.dumps(schedule, cls=RedBeatJSONEncoder)
    assert json.loads(json.dumps(schedule, cls=Encoder), cls=RedBeatJSONDecoder) == schedule
