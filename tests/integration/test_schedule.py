"""The schedule that people see is what RedBeat holds: real runs only, and the next time to the second."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redbeat

from lemo.settings import Settings
from lemo.stores.redis import connect_redis
from lemo.tasks.celery_app import app
from lemo.tasks.schedule import entries

ENTRY = "compute-item-similarity-hourly"


@pytest.fixture
def scheduler(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """RedBeat on database 15 of the test's Redis, empty."""
    url = f"{redis_url}/15"
    with connect_redis(url) as client:
        client.flushdb()
    app.set_current()
    monkeypatch.setitem(app.conf, "redbeat_redis_url", url)
    for name in ("redbeat_conf", "redbeat_redis"):
        if hasattr(app, name):
            monkeypatch.delattr(app, name)
    yield
    for name in ("redbeat_conf", "redbeat_redis"):
        if hasattr(app, name):
            delattr(app, name)


def of(name: str) -> tuple[datetime | None, datetime | None]:
    found = {entry.name: entry for entry in entries(Settings())}
    assert len(found) == 5
    return found[name].last_run, found[name].next_run


def test_before_beat_has_started_no_time_is_known(scheduler: None) -> None:
    assert of(ENTRY) == (None, None)


def test_an_entry_that_never_ran_says_so_and_one_that_ran_says_when(scheduler: None) -> None:
    beat = redbeat.RedBeatScheduler(app=app, lock_key=None)
    beat.setup_schedule()
    last, following = of(ENTRY)
    now = datetime.now(UTC)
    top_of_the_hour = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    assert last is None
    assert following is not None
    assert abs(following - top_of_the_hour) < timedelta(seconds=2)
    entry = redbeat.RedBeatSchedulerEntry.from_key(f"lemo:redbeat:{ENTRY}", app=app)
    next(entry)
    last, following = of(ENTRY)
    assert last is not None
    assert abs(last - now) < timedelta(seconds=10)
