"""What real time means: sessions, metrics of minutes, hot scores, and that more events only ever raise them."""

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lemo.domain.realtime import (
    DAY_MS,
    GAP_MS,
    HALF_LIVES,
    MINUTE_MS,
    Act,
    hot_levels,
    hottest,
    minutes,
    once,
    placement_of,
    sessionised,
)

MIDNIGHT = 20_000 * DAY_MS


def act(number: int, at_ms: int, **fields: Any) -> Act:
    return Act(f"e{number}", "u", f"i{number % 3}", "click", at_ms)._replace(**fields)


moments = st.lists(st.integers(0, 4 * GAP_MS).map(lambda ms: MIDNIGHT - 2 * GAP_MS + ms // 1000 * 1000), max_size=12)


def test_a_session_ends_after_half_an_hour_and_at_midnight() -> None:
    times = [0, 5_000, 5_000 + GAP_MS, 6_000 + 2 * GAP_MS, DAY_MS - 1_000, DAY_MS]
    rows = sessionised(act(number, MIDNIGHT + ms) for number, ms in enumerate(times))
    assert [(row.session_id, row.place, row.dwell_ms) for row in rows] == [
        ("e0", 1, 5_000),
        ("e0", 2, GAP_MS),
        ("e0", 3, None),
        ("e3", 1, None),
        ("e4", 1, None),
        ("e5", 1, None),
    ]


@settings(deadline=None)
@given(moments, st.data())
def test_a_row_of_more_events_is_the_same_or_has_a_higher_version(times: list[int], data: st.DataObject) -> None:
    acts = [act(number, ms) for number, ms in enumerate(times)]
    some = data.draw(st.lists(st.sampled_from(acts), unique=True)) if acts else []
    more = {row.event_id: row for row in sessionised(acts)}
    for row in sessionised(some):
        assert row == more[row.event_id] or row.version < more[row.event_id].version


@settings(deadline=None)
@given(moments)
def test_days_do_not_depend_on_each_other(times: list[int]) -> None:
    acts = [act(number, ms) for number, ms in enumerate(times)]
    apart = [row for day in (0, 1) for row in sessionised(a for a in acts if (a.at_ms >= MIDNIGHT) == bool(day))]
    assert sessionised(reversed(acts)) == apart


def test_a_minute_counts_each_placement() -> None:
    acts = [
        act(0, MINUTE_MS, action="impression", placement="home"),
        act(1, MINUTE_MS + 59_999, placement="home"),
        act(2, 2 * MINUTE_MS, placement="home", action="order", value=12.5, converts=True),
        act(3, MINUTE_MS, action="order", value=9.0, converts=True),
        act(4, MINUTE_MS, action="order", value=3.0),
    ]
    assert [tuple(row) for row in minutes(acts)] == [
        (60, "", 2, 0, 0, 1, 9.0),
        (60, "home", 2, 1, 1, 0, 0.0),
        (120, "home", 1, 0, 0, 1, 12.5),
    ]
    assert [row.ctr for row in minutes(acts)] == [None, 1.0, None]
    assert minutes([]) == []


def test_of_one_id_the_first_counts_and_a_placement_is_a_short_text() -> None:
    assert once([act(1, 5), act(1, 6), act(2, 7)]) == [act(1, 5), act(2, 7)]
    assert [placement_of(each) for each in ("home/top", 7, None, "x" * 101)] == ["home/top", "", "", ""]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, DAY_MS), st.sampled_from([-3.0, 0.0, 1.0, 5.0])), max_size=30))
def test_a_level_means_the_decayed_count_whatever_the_order(given_acts: list[tuple[int, float]]) -> None:
    now = MIDNIGHT + DAY_MS
    acts = [act(number, MIDNIGHT + ms, weight=weight) for number, (ms, weight) in enumerate(given_acts)]
    for half_life in HALF_LIVES.values():
        levels = hot_levels(acts, half_life)
        for item_id in {each.item_id for each in acts}:
            ages = [(now - each.at_ms) / 1000 for each in acts if each.item_id == item_id and each.weight > 0]
            weights = [each.weight for each in acts if each.item_id == item_id and each.weight > 0]
            expected = math.fsum(w * 2 ** (-age / half_life) for w, age in zip(weights, ages, strict=True))
            assert (item_id in levels) == bool(weights)
            if weights:
                decayed = 2.0 ** (levels[item_id] - now / (1000 * half_life))
                assert math.isclose(decayed, expected, rel_tol=1e-6)
                again = hot_levels(reversed(acts), half_life)
                assert math.isclose(levels[item_id], again[item_id], rel_tol=1e-12)


def test_what_is_new_is_hotter_by_a_short_half_life() -> None:
    old = [act(number, MIDNIGHT, item_id="old", weight=1.0) for number in range(40)]
    new = [act(100 + number, MIDNIGHT + 2 * 3_600_000, item_id="new", weight=1.0) for number in range(5)]
    order = {name: hottest(hot_levels(old + new, seconds), 2) for name, seconds in HALF_LIVES.items()}
    assert order == {"10m": ["new", "old"], "1h": ["old", "new"], "4h": ["old", "new"]}
