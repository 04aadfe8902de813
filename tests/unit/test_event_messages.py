"""Event messages read by columns: the same events as one by one, in order, whatever the messages hold."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemo.domain.event import Event
from lemo.domain.event_columns import EventColumns
from lemo.domain.scope import Scope
from lemo.streams.event_messages import read_event_messages
from lemo.streams.messages import BadMessage, event_message, read_event_message

SCOPE = Scope("default", "films")
NOW = 1_790_000_000_000
PLAIN = {
    "tenant_id": "default",
    "scenario_id": "films",
    "user_id": "u",
    "item_id": "i",
    "action": "click",
    "timestamp": 1_700_000_000_000,
}


def known(tenant_id: str, scenario_id: str, action: str) -> bool:
    return (tenant_id, scenario_id) == ("default", "films") and action in ("click", "rate")


def one_by_one(value: bytes) -> tuple[Scope, Event] | None:
    try:
        scope, event = read_event_message(value)
    except BadMessage:
        return None
    return (scope, event) if known(scope.tenant_id, scope.scenario_id, event.action) else None


def by_columns(values: list[bytes]) -> tuple[EventColumns, list[int]]:
    """The columns, and the messages that were left to the slow way."""
    left: list[int] = []

    def slowly(index: int) -> tuple[Scope, Event] | None:
        left.append(index)
        return one_by_one(values[index])

    return read_event_messages(values, [NOW] * len(values), NOW, known, slowly), left


def encoded(**fields: Any) -> bytes:
    return json.dumps(PLAIN | fields).encode()


def test_what_lemo_publishes_never_takes_the_slow_way() -> None:
    events = [
        Event(
            user_id=f"用户/{number}",
            item_id="i",
            action=("click", "rate")[number % 2],
            timestamp=1_700_000_000_123 + number,
            value=(None, 4, 4.5)[number % 3],
            position=(None, 0)[number % 2],
            request_id=("", "r")[number % 2],
            device=("", "手机")[number % 2],
            attributes=({}, {"a": {"b": [1, None]}}, {"source": "web", "n": 2.5})[number % 3],
        )
        for number in range(1_000)
    ]
    columns, left = by_columns([event_message(SCOPE, event).value for event in events])
    assert left == []
    assert columns == EventColumns.of((SCOPE, event) for event in events)


@pytest.mark.parametrize(
    "fields",
    [
        {"value": 3},
        {"value": None, "position": None, "request_id": None, "device": None, "attributes": None, "event_id": None},
        {"event_id": ""},
        {"timestamp": 1_700_000_000},
        {"timestamp": 1_700_000_000.123},
        {"timestamp": "2024-01-01T00:00:00Z"},
        {"timestamp": "2024-01-01T08:00:00.123456+08:00"},
        {"source": "web", "attributes": {"source": "given", "more": 1}},
        {"source": "web"},
    ],
)
def test_what_other_senders_write_does_not_either(fields: dict[str, Any]) -> None:
    value = encoded(**fields)
    columns, left = by_columns([value])
    expected = one_by_one(value)
    assert expected is not None
    assert (columns, left) == (EventColumns.of([expected]), [])


@pytest.mark.parametrize(("arrived", "now"), [(1_699_990_000_000, NOW), (NOW, 1_699_990_000_000)])
def test_what_was_ahead_of_a_clock_is_looked_at_closely(arrived: int, now: int) -> None:
    asked: list[int] = []

    def slowly(index: int) -> None:
        asked.append(index)

    for moment in (1_700_000_000_000, "2023-11-14T22:13:20Z", 1_699_990_000_000):
        read_event_messages([encoded(timestamp=moment)], [arrived], now, known, slowly)
    assert asked == [0, 0]


def test_the_order_stays_when_some_messages_are_odd_and_some_bad() -> None:
    values = []
    for number in range(1_000):
        # Of one event id with two contents the later one stays, so that a replay must not change their order.
        odd: Any = {0: {"user_id": number}, 1: {"value": "2.5"}, 2: {"action": "juggle"}}.get(number % 50, {})
        values.append(encoded(event_id=f"e{number}", **odd))
    columns, left = by_columns(values)
    assert left == [number for number in range(1_000) if number % 50 < 3]
    assert columns == EventColumns.of(read for value in values if (read := one_by_one(value)))
    assert len(columns) == 980


@pytest.mark.parametrize("name", ["user_id", "item_id", "action", "event_id", "request_id", "device", "tenant_id"])
def test_both_ways_draw_the_same_limits(name: str) -> None:
    for value in [None, "", *("x" * length for length in (1, 64, 65, 100, 101, 256, 257))]:
        message = encoded(**{name: value})
        read = one_by_one(message)
        assert by_columns([message])[0] == EventColumns.of([read] if read else [])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
lengths = st.sampled_from([0, 1, 64, 65, 100, 101, 256, 257]).map("x".__mul__)
texts = lengths | st.sampled_from(["中\0", "click", "rate", "Bad Action", "click\n"]) | st.text()
moments = st.sampled_from([0, 631_151_999_999, 631_152_000_000, 99_999_999_999, 10**11, NOW, "1700000000", True]) | (
    st.integers(-(10**15), 10**15)
    | st.floats(-1e15, 1e15)
    | st.datetimes().map(lambda moment: moment.isoformat())
    | st.integers(-4_000_000, 4_000_000).map(lambda skew: time.time_ns() // 1_000_000 + skew)
)
strategies: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("user_id", "item_id", "action", "event_id", "request_id", "device"), texts | json_values),
    **dict.fromkeys(("tenant_id", "scenario_id"), texts | json_values),
    "timestamp": moments | json_values,
    "value": st.floats() | json_values,
    "position": st.sampled_from([0, -1, 100_000, 100_001]) | json_values,
    "attributes": st.dictionaries(texts, json_values, max_size=3) | json_values,
    "source": json_values,
    "": json_values,
}
# One or two fields at a time: with more, hardly any message would be good.
one_field = st.sampled_from(list(strategies)).flatmap(lambda name: strategies[name].map(lambda value: {name: value}))
fields = st.lists(one_field, max_size=2).map(lambda given: {name: one[name] for one in given for name in one})


@settings(max_examples=400, deadline=None)
@given(st.lists(st.binary(max_size=30) | fields.map(lambda given: encoded(**given)), min_size=1, max_size=8))
def test_both_ways_give_the_same_events(values: list[bytes]) -> None:
    columns, left = by_columns(values)
    # repr tells 1 from 1.0 and True, which would pass for equal.
    expected = EventColumns.of(read for value in values if (read := one_by_one(value)))
    assert repr(columns) == repr(expected)
    refused = [index for index, value in enumerate(values) if one_by_one(value) is None]
    assert set(refused) <= set(left), "only the slow way refuses, because it says why"


@pytest.mark.parametrize(
    "fields",
    [
        b'"value": 1e400',
        b'"value": -0.0',
        b'"value": 1E2',
        b'"value": 123456789012345678901234567890',
        b'"position": 1.0',
        b'"position": 1e2',
        b'"position": 18446744073709551616',
        b'"device": "\xff"',
        b'"device": "\\ud800"',
        b'"device": "\\ud83d\\ude00"',
        b'"device": "a\tb"',
        b'"device": "first", "device": "second"',
        b'"device": "phone",',
        b'"attributes": {"a": 1, "a": 2}',
        b'"attributes": {"a": 9223372036854775808}',
        b'"attributes": {"a": "\xff"}',
        b'"attributes": {"\\u0000": 1}',
        b'"attributes": {"a": 1e400}',
        b'"attributes": {"a": [[[{}]]], "b": 0.1, "c": 1.0}',
        b'"attributes": ' + b'{"a":' * 33 + b"1" + b"}" * 33,
        b'"attributes": ' + b"[" * 100_000 + b"]" * 100_000,
        b'"other": ' + b"[" * 100_000 + b"]" * 100_000,
        b'"other": 1e400',
        b'"other": "\\ud800"',
        b'"other": {"a": 9223372036854775808}',
    ],
    ids=lambda fields: fields.decode(errors="replace")[:40],
)
def test_both_ways_read_the_odd_corners_of_json_alike(fields: bytes) -> None:
    message = json.dumps(PLAIN).encode()[:-1] + b", " + fields + b"}"
    read = one_by_one(message)
    assert repr(by_columns([message])[0]) == repr(EventColumns.of([read] if read else []))
