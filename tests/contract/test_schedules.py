"""Schedules over each document store: defaults, rows of scenarios, and a line in the log for each change."""

import threading
from itertools import pairwise

import pytest

from lemo.domain.schedule import DEFAULT_CRONS
from lemo.domain.scope import SYSTEM, Scope
from lemo.stores.documents import SCHEDULE_CHANGES, Documents
from lemo.stores.documents.bodies import body_of
from lemo.stores.documents.schedules import ALL_SCOPES, Schedule, ScheduleChange, Schedules, Setting

ENTRY = "train-model-daily"
OTHER = "cleanup-expired-cache-daily"
BY = "ann"


@pytest.fixture
def schedules(documents: Documents) -> Schedules:
    return Schedules(documents)


def of(schedules: Schedules, name: str) -> Schedule:
    return next(each for each in schedules.list() if each.name == name)


def test_schedules_without_changes_are_the_designs(schedules: Schedules) -> None:
    found = schedules.list()
    assert {each.name: each.cron for each in found} == DEFAULT_CRONS
    assert {(each.timezone, each.paused, each.changed_at, each.changed_by) for each in found} == {
        ("UTC", False, None, "")
    }
    assert schedules.audit() == []


def test_a_change_holds_for_whoever_opens_the_store_next(schedules: Schedules, documents: Documents) -> None:
    schedules.set(ENTRY, ALL_SCOPES, Setting(cron="30 2 * * *", timezone="Asia/Shanghai"), BY)
    schedules.set(ENTRY, ALL_SCOPES, Setting(paused=True), "bob")
    again = of(Schedules(documents), ENTRY)
    assert (again.cron, again.timezone, again.paused, again.changed_by) == ("30 2 * * *", "Asia/Shanghai", True, "bob")
    assert of(schedules, OTHER).paused is False


def test_a_scenarios_row_holds_only_its_own_settings(schedules: Schedules, scope: Scope) -> None:
    schedules.set(ENTRY, scope, Setting(timezone="Europe/Berlin"), BY)
    schedules.set(ENTRY, ALL_SCOPES, Setting(cron="0 5 * * *"), BY)
    assert schedules.of(ENTRY, scope).cron == "0 5 * * *"
    assert schedules.of(ENTRY, scope).timezone == "Europe/Berlin"
    assert schedules.of(ENTRY).timezone == "UTC"
    assert [each.name for each in schedules.list() if each.entry == ENTRY] == [ENTRY, f"{ENTRY}@{scope}"]
    assert [each.name for each in schedules.list("another") if each.entry == ENTRY] == [ENTRY]
    assert schedules.own_scopes(ENTRY) == {scope}
    assert schedules.own_scopes(OTHER) == set()


def test_pauses_of_all_and_of_one(schedules: Schedules, scope: Scope) -> None:
    schedules.set(ENTRY, ALL_SCOPES, Setting(paused=True), BY)
    assert schedules.of(ENTRY, scope).paused is True
    schedules.set(ENTRY, scope, Setting(paused=False), BY)
    assert schedules.of(ENTRY, scope).paused is False, "one may run while the others pause"
    schedules.set(ENTRY, ALL_SCOPES, Setting(paused=False), BY)
    schedules.set(ENTRY, scope, Setting(paused=True), BY)
    assert (schedules.of(ENTRY, scope).paused, schedules.of(ENTRY).paused) == (True, False)
    schedules.set(ENTRY, ALL_SCOPES, Setting(paused=True), BY)
    schedules.set(ENTRY, ALL_SCOPES, Setting(paused=False), BY)
    assert schedules.of(ENTRY, scope).paused is True, "resuming all does not resume what was paused by itself"
    schedules.set(ENTRY, scope, Setting(paused=False), BY)
    assert schedules.own_scopes(ENTRY) == set(), "one that differs in nothing follows again"


def test_a_reset_brings_the_first_times_back(schedules: Schedules, scope: Scope) -> None:
    schedules.set(ENTRY, ALL_SCOPES, Setting(cron="0 5 * * *", paused=True), BY)
    schedules.set(ENTRY, scope, Setting(cron="0 6 * * *"), BY)
    schedules.set(ENTRY, scope, Setting(reset=True), BY)
    assert schedules.own_scopes(ENTRY) == set()
    assert schedules.of(ENTRY, scope).cron == "0 5 * * *"
    schedules.set(ENTRY, ALL_SCOPES, Setting(reset=True), BY)
    assert (of(schedules, ENTRY).cron, of(schedules, ENTRY).paused) == (DEFAULT_CRONS[ENTRY], False)


def test_each_change_leaves_one_line(schedules: Schedules, scope: Scope) -> None:
    schedules.set(ENTRY, ALL_SCOPES, Setting(cron="0 5 * * *"), "ann")
    schedules.set(ENTRY, scope, Setting(paused=True), "bob")
    assert schedules.set(ENTRY, scope, Setting(paused=True), "bob") is None
    schedules.set(OTHER, Scope("another", "scenario"), Setting(paused=True), "eve")
    lines = schedules.audit()
    assert [(line.changed_by, line.action) for line in lines] == [("eve", "pause"), ("bob", "pause"), ("ann", "edit")]
    assert (lines[2].before.cron, lines[2].after.cron) == ("0 3 * * *", "0 5 * * *")
    assert (lines[1].before.paused, lines[1].after.paused) == (False, True)
    assert lines[1].after.cron == "0 5 * * *"
    assert [line.changed_by for line in schedules.audit(entry=ENTRY, limit=1)] == ["bob"]
    assert [line.changed_by for line in schedules.audit(tenant_id=scope.tenant_id)] == ["bob", "ann"]
    assert [line.changed_by for line in schedules.audit(scope=scope)] == ["bob"]


def test_changes_made_at_once_are_all_kept_and_all_logged(schedules: Schedules) -> None:
    """A pause that meets an edit must not be undone by it."""
    settings = [Setting(cron=f"{minute} 5 * * *") for minute in range(6)] + [
        Setting(timezone="Asia/Tokyo"),
        Setting(paused=True),
    ]
    start = threading.Barrier(len(settings))

    def change(number: int) -> None:
        start.wait()
        schedules.set(ENTRY, ALL_SCOPES, settings[number], f"operator {number}")

    threads = [threading.Thread(target=change, args=(number,)) for number in range(len(settings))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = schedules.audit()[::-1]
    assert sorted(line.changed_by for line in lines) == [f"operator {number}" for number in range(len(settings))]
    for earlier, later in pairwise(lines):
        assert later.before == earlier.after
    assert of(schedules, ENTRY) == lines[-1].after
    assert (lines[-1].after.paused, lines[-1].after.timezone) == (True, "Asia/Tokyo")


def test_a_change_whose_writer_died_after_its_line_is_completed(schedules: Schedules, documents: Documents) -> None:
    change = schedules.set(ENTRY, ALL_SCOPES, Setting(cron="0 5 * * *"), "ann")
    assert change is not None
    row = change.row.model_copy(update={"revision": 2, "paused": True, "changed_by": "bob"})
    died = change.model_copy(update={"row": row, "changed_by": "bob", "action": "pause"})
    assert documents.put_new(SCHEDULE_CHANGES, SYSTEM, f"{ENTRY}#000000002", body_of(died))
    schedules.set(ENTRY, ALL_SCOPES, Setting(timezone="Asia/Tokyo"), "eve")
    now = of(schedules, ENTRY)
    assert (now.cron, now.paused, now.timezone, now.changed_by) == ("0 5 * * *", True, "Asia/Tokyo", "eve")
    assert len(schedules.audit()) == 3


def test_a_line_holds_all_of_a_change(schedules: Schedules, scope: Scope) -> None:
    change = schedules.set(ENTRY, scope, Setting(cron="0 5 * * *"), BY)
    assert schedules.audit() == [change]
    assert isinstance(change, ScheduleChange)
