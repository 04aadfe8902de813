"""Building and reading the messages of the ingest log."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemo.domain.errors import InvalidInput
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.streams.messages import (
    MAX_MESSAGE_BYTES,
    BadMessage,
    event_message,
    item_message,
    item_topic,
    read_event_message,
    read_item_message,
    rewrapped,
)

SCOPE = Scope("default", "films")
EVENT = {"user_id": "u", "item_id": "i", "action": "click", "timestamp": "2024-01-01T00:00:00Z"}


def encoded(**fields: Any) -> bytes:
    return json.dumps({"tenant_id": "default", "scenario_id": "films"} | fields).encode()


def test_an_event_survives_the_way_through_the_log() -> None:
    event = Event(
        user_id="用户/1 \"'",
        item_id="i",
        action="rate",
        timestamp=1_700_000_000_123,
        value=4.5,
        position=0,
        device="phone",
        request_id="r",
        attributes={"a": {"b": [1, None, "中"]}, "tenant_id": "x"},
    )
    message = event_message(SCOPE, event)
    assert read_event_message(message.value) == (SCOPE, event)
    assert message.key == "default/films/用户/1 \"'".encode()
    derived = Event(user_id="u", item_id="i", action="click", timestamp=1_700_000_000_000)
    assert read_event_message(event_message(SCOPE, derived).value)[1] == derived


def test_an_item_survives_the_way_through_the_log() -> None:
    item = Item(
        item_id="影片/1",
        title="标题",
        categories=["a"],
        published_at="2024-01-01T00:00:00.123456Z",
        is_active=False,
        deleted=True,
        attributes={"price": 3.5},
    )
    message = item_message(SCOPE, item)
    assert message.key == "default/films/影片/1".encode()
    read = read_item_message(message.value)
    assert (read.scope, read.items, read.rejected) == (SCOPE, [item], [])
    assert read.items[0].attributes == {"price": 3.5}


def test_fields_of_files_are_understood() -> None:
    _, event = read_event_message(encoded(**EVENT, source="web", value="3"))
    assert (event.value, event.attributes) == (3.0, {"source": "web"})
    _, same = read_event_message(encoded(**EVENT | {"timestamp": 1704067200}, source="web", value=3))
    assert same.event_id == event.event_id
    (item,) = read_item_message(encoded(item_id=7, tags="a|b", colour="red")).items
    assert (item.item_id, item.tags, item.attributes) == ("7", ["a", "b"], {"colour": "red"})


def test_good_items_of_a_message_go_on_without_the_bad_ones() -> None:
    bad: list[Any] = [{"title": "no id"}, "text", None, {"item_id": "x", "price": 2**63}, {"item_id": "y", "tags": 5}]
    read = read_item_message(encoded(items=[{"item_id": "a"}, *bad, {"item_id": "b"}]))
    assert [item.item_id for item in read.items] == ["a", "b"]
    assert [(one.index, one.raw) for one in read.rejected] == list(enumerate(bad, 1))
    assert "item_id: is missing" in read.rejected[0].error.message
    assert "64 bits" in read.rejected[3].error.message
    again = read_item_message(rewrapped(SCOPE, bad[0]))
    assert (again.scope, again.items, again.rejected[0].raw) == (SCOPE, [], bad[0])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'\xff{"a": 1}', "not JSON"),
        (encoded(**EVENT)[:-1] + b', "value": NaN}', "not JSON"),
        (encoded(**EVENT)[:-1] + b', "value": 1e999}', "not JSON"),
        (encoded(**EVENT, device="\ud800"), "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no object"),
        (b'"text"', "no object"),
        (b"x" * (MAX_MESSAGE_BYTES + 1), "1,000,001 bytes"),
        (json.dumps(EVENT).encode(), "tenant_id"),
        (json.dumps(EVENT | {"tenant_id": 5, "scenario_id": "s"}).encode(), "tenant_id"),
        (json.dumps(EVENT | {"tenant_id": "t"}).encode(), "scenario_id"),
        (encoded(**EVENT | {"user_id": ""}), "user_id"),
        (encoded(**EVENT | {"item_id": "x" * 257}), "item_id"),
        (encoded(**EVENT | {"item_id": None}), "item_id"),
        (encoded(**EVENT | {"action": "Bad Action"}), "action"),
        (encoded(**EVENT | {"timestamp": "yesterday"}), "timestamp"),
        (encoded(**EVENT | {"timestamp": 10**400}), "not JSON"),
        (encoded(**EVENT | {"timestamp": -(10**13)}), "timestamp"),
        (encoded(**EVENT | {"timestamp": 32503680000}), "future"),
        (encoded(**EVENT | {"timestamp": 0}), "1990"),
        (encoded(**EVENT | {"timestamp": True}), "timestamp"),
        (encoded(**EVENT, value="NaN"), "value"),
        (encoded(**EVENT, value={}), "value"),
        (encoded(**EVENT, position=-1), "position"),
        (encoded(**EVENT, attributes=[]), "attributes"),
        (encoded(**EVENT, attributes={"": 1}), "attributes"),
        (encoded(**EVENT, attributes={"a\0": 1}), "attributes"),
        (encoded(**EVENT, deep=json.loads("[" * 40 + "]" * 40)), "deep"),
    ],
)
def test_a_bad_event_says_what_is_wrong(value: bytes, reason: str) -> None:
    with pytest.raises(BadMessage) as caught:
        read_event_message(value)
    assert reason in caught.value.message
    assert len(caught.value.message) < 1_000


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"items": []}, "at least one"),
        ({"items": {"item_id": "a"}}, "list"),
        ({"items": [{"item_id": "a"}], "item_id": "b"}, "'item_id'"),
        ({"title": "no id"}, "item_id"),
        ({"item_id": "a", "title": "x" * 1_001}, "title"),
        ({"item_id": "a", "published_at": "soon"}, "published_at"),
    ],
)
def test_a_bad_item_says_what_is_wrong(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadMessage) as caught:
        read_item_message(encoded(**fields))
    assert reason in caught.value.message
    assert caught.value.scope == SCOPE


def test_the_claimed_scope_is_told_as_far_as_it_can_be_read() -> None:
    with pytest.raises(BadMessage) as caught:
        read_event_message(b'{"tenant_id": "t"}')
    assert caught.value.scope == Scope("t")
    assert caught.value.stage == "TRANSFORMATION"
    with pytest.raises(BadMessage) as caught:
        read_event_message(b"nonsense")
    assert caught.value.scope is None
    assert caught.value.stage == "VALUE_CONVERTER"


def test_what_no_store_would_take_is_not_published() -> None:
    with pytest.raises(InvalidInput, match="the limit is 1,000,000"):
        item_message(SCOPE, Item(item_id="a", attributes={"text": "x" * MAX_MESSAGE_BYTES}))
    with pytest.raises(InvalidInput, match="64 bits"):
        event_message(SCOPE, Event(**EVENT, attributes={"n": 2**64}))
    with pytest.raises(InvalidInput, match="JSON"):
        event_message(SCOPE, Event(**EVENT, attributes={"n": {1, 2}}))


def test_templates_with_a_topic_of_their_own_use_it() -> None:
    topics = ["items-ingest", "vlog-items", "news-items"]
    assert [item_topic(topics, template) for template in ("vlog", "news", "music")] == [
        "vlog-items",
        "news-items",
        "items-ingest",
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
field_names = st.sampled_from(
    ["user_id", "item_id", "action", "timestamp", "value", "position", "attributes", "items", "tags", "published_at"]
)


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=50) | st.dictionaries(field_names | st.text(), json_values).map(lambda d: encoded(**EVENT | d))
)
def test_no_message_whatever_breaks_the_reader(value: bytes) -> None:
    for read in (read_event_message, read_item_message):
        with contextlib.suppress(BadMessage):
            read(value)
