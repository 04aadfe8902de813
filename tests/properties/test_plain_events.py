"""Events that are read without validation are those that validation reads, byte for byte of meaning."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemo.domain.errors import InvalidInput
from lemo.domain.event import Event
from lemo.domain.scope import Scope
from lemo.files.plain_events import PlainEvents
from lemo.files.tally import Tally
from lemo.streams.messages import event_message

SCOPE = Scope("tenant", "scenario")
ACTIONS = ("click", "rate")

cells = st.one_of(
    st.text(max_size=5),
    st.sampled_from(
        ["", " ", "1", "-1", "1.5", "1_0", "1e3", "nan", "inf", "٣", "²", "1e400", "x" * 300, "\ud800", "\0"]
    ),
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.lists(st.integers(), max_size=2),
)
times = st.one_of(
    st.sampled_from(
        [1_700_000_000, 1_700_000_000_000, 10**18, 5, "1700000000", "1700000000000", "1700000000.5", "٣" * 10]
    ),
    st.sampled_from(["2024-05-01", "2024-05-01T10:00:00+08:00", "20240501", "2999-01-01", "1989-12-31", "2024-02-30"]),
    st.sampled_from([datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 1, 12, 0, 0, 123_600)]),  # noqa: DTZ001
    st.datetimes().map(datetime.isoformat),
    cells,
)
rows = st.fixed_dictionaries(
    {
        "user_id": st.text(min_size=1, max_size=4) | cells,
        "item_id": st.text(min_size=1, max_size=4) | cells,
        "action": st.sampled_from(ACTIONS) | cells,
        "timestamp": times,
    },
    optional={
        "value": cells,
        "event_id": cells,
        "request_id": cells,
        "position": cells,
        "device": cells,
        "attributes": cells | st.just({"a": 1}),
        "colour": cells,
        "": cells,
    },
)


def validated(row: dict[str, Any]) -> Any:
    """The message of a row that is validated, with its id and contents; None where it is refused."""
    try:
        event = Event.model_validate(row)
        if event.action not in ACTIONS:
            return None
        message = event_message(SCOPE, event)
    except (ValueError, OverflowError, InvalidInput):
        return None
    return event.event_id, event.contents(), message.key, json.loads(message.value)


@given(rows)
@settings(max_examples=600, deadline=None)
def test_a_plain_row_gives_the_message_that_validation_gives(row: dict[str, Any]) -> None:
    items: set[str] = set()
    tally = Tally()
    before = dict(row)
    found = PlainEvents(SCOPE, ACTIONS, tally, items)(row)
    assert {name: repr(cell) for name, cell in row.items()} == {name: repr(cell) for name, cell in before.items()}
    if found is None:
        assert (items, tally.actions.total()) == (set(), 0)
        return
    event_id, contents, message = found
    assert (event_id, contents, message.key, json.loads(message.value)) == validated(row)
    assert items == {row["item_id"]}


@pytest.mark.parametrize("field", ["user_id", "item_id", "request_id", "colour"])
def test_half_a_character_is_left_to_validation(field: str) -> None:
    row = {"user_id": "u", "item_id": "i", "action": ACTIONS[0], "timestamp": 1_700_000_000}
    assert PlainEvents(SCOPE, ACTIONS, Tally(), set())(row | {field: "\ud800"}) is None


def test_rows_as_files_hold_them_are_plain() -> None:
    plain = PlainEvents(SCOPE, ACTIONS, Tally(), set())
    row = {"user_id": "u", "item_id": "i", "action": "rate", "timestamp": "1700000000"}
    for more in ({}, {"value": "4.5"}, {"device": "phone", "colour": "red"}, {"position": "3", "request_id": "r"}):
        assert plain(row | more) is not None
    for moment in ("1700000000000", "2024-05-01T10:00:00Z", "2024-05-01 10:00:00", 1_700_000_000):
        assert plain(row | {"timestamp": moment}) is not None
