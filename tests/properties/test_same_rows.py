"""The same rows give the same state, whichever way they come in and however they are batched."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lemo.domain.event import Event, derived_event_id
from lemo.domain.event_columns import EventColumns
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.files.reading import read_events, read_items
from lemo.streams import Message
from lemo.streams.event_messages import read_event_messages
from lemo.streams.messages import event_message, item_message, read_event_message, read_item_message

DERIVED_BEFORE = "1c0f7c9c046ce2b2bb905d03f7120b19"
SCOPE = Scope("tenant", "scenario")
NOW = 1_760_000_000_000
SECOND = 1_600_000_000

words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8)
"""Ids and labels; a cell of CSV keeps neither NUL nor lone surrogates, and `|` parts labels."""
labels = st.lists(words.filter(lambda word: "|" not in word), min_size=1, max_size=3)
events = st.fixed_dictionaries(
    {
        "user_id": words,
        "item_id": words,
        "action": st.sampled_from(["click", "rate"]),
        "timestamp": st.integers(SECOND, SECOND + 9) | st.integers(SECOND * 1000, SECOND * 1000 + 9),
        "event_id": st.none() | words,
        "value": st.none() | st.floats(-100, 100, width=32),
        "position": st.none() | st.integers(0, 50),
        "device": st.none() | words,
        "colour": words,
    }
)
items = st.fixed_dictionaries(
    {
        "item_id": words,
        "title": words,
        "tags": labels,
        "is_active": st.booleans(),
        "published_at": st.integers(SECOND, SECOND + 9),
        "colour": words,
    }
)
patient = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def files_of(folder: Path, rows: Sequence[dict[str, Any]]) -> dict[str, Path]:
    """The rows in each form; CSV holds lists as a|b."""
    frame = polars.DataFrame(rows, infer_schema_length=None)
    paths = {form: folder / f"rows.{form}" for form in ("csv", "jsonl", "parquet")}
    lists = [name for name, kind in frame.schema.items() if kind == polars.List]
    frame.with_columns(polars.col(name).list.join("|") for name in lists).write_csv(paths["csv"])
    frame.write_ndjson(paths["jsonl"])
    frame.write_parquet(paths["parquet"])
    return paths


def taken(messages: Sequence[bytes]) -> EventColumns:
    """What the consumer makes of messages."""
    return read_event_messages(
        messages, [NOW] * len(messages), NOW, lambda *_: True, lambda index: read_event_message(messages[index])
    )


@given(rows=st.lists(events, min_size=1, max_size=8))
@patient
def test_events_are_the_same_by_csv_jsonl_parquet_http_and_stream(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    stream = [json.dumps({"tenant_id": "tenant", "scenario_id": "scenario", **row}).encode() for row in rows]
    expected = taken(stream)
    http = [Event.model_validate(json.loads(json.dumps(row))) for row in rows]
    found = {"http": http} | {form: list(read_events(path)) for form, path in files_of(tmp_path, rows).items()}
    for way, read in found.items():
        assert taken([event_message(SCOPE, event).value for event in read]) == expected, way


@pytest.mark.parametrize("name", ["Jose\u0301", " José ", "\u3000José\t", "José"], ids=ascii)
def test_an_id_has_one_form_by_every_way_in(name: str, tmp_path: Path) -> None:
    row = {"user_id": name, "item_id": name, "action": "click", "timestamp": SECOND, "event_id": name}
    columns = taken([json.dumps({"tenant_id": "tenant", "scenario_id": "scenario", **row}).encode()])
    assert columns.user_id == columns.item_id == columns.event_id == ["José"]
    found = {form: list(read_events(path)) for form, path in files_of(tmp_path, [row]).items()}
    found["http"] = [Event.model_validate(row)]
    for way, read in found.items():
        assert taken([event_message(SCOPE, event).value for event in read]) == columns, way
    item = {"item_id": name, "title": name}
    message = json.dumps({"tenant_id": "tenant", "scenario_id": "scenario", **item}).encode()
    assert [each.item_id for each in read_item_message(message).items] == ["José"]
    for path in files_of(tmp_path, [item]).values():
        assert [each.item_id for each in read_items(path)] == ["José"]


TIMES = {
    1_569_938_523: "seconds",
    1_569_938_523_000: "milliseconds",
    1_569_938_523_000_000: "microseconds",
    1_569_938_523_000_000_000: "nanoseconds",
    "1569938523.0": "a fraction",
    "2019-10-01T14:02:03Z": "ISO 8601",
    "2019-10-01T22:02:03+08:00": "an offset",
    "2019-10-01 14:02:03 UTC": "UTC",
    "2019/10/1 14:02:03": "slashes",
    "01-Oct-2019 14:02:03": "a named month",
    "October 1, 2019 14:02:03": "a long month",
    "Tue, 01 Oct 2019 14:02:03 GMT": "mail",
    "Tue Oct 01 14:02:03 +0000 2019": "Twitter",
}


@pytest.mark.parametrize("moment", TIMES, ids=TIMES.values())
def test_a_time_is_the_same_by_every_way_in_every_form(moment: str | int, tmp_path: Path) -> None:
    row = {"user_id": "u", "item_id": "i", "action": "click", "timestamp": moment, "event_id": 17850.0}
    columns = taken([json.dumps({"tenant_id": "tenant", "scenario_id": "scenario", **row}).encode()])
    assert (columns.timestamp, columns.event_id) == ([1_569_938_523_000], ["17850"])
    found = {form: list(read_events(path)) for form, path in files_of(tmp_path, [row]).items()}
    found["http"] = [Event.model_validate(row)]
    for way, read in found.items():
        assert taken([event_message(SCOPE, event).value for event in read]) == columns, way


@given(rows=st.lists(items, min_size=1, max_size=8))
@patient
def test_items_are_the_same_by_csv_jsonl_parquet_http_and_stream(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    def stored(message: bytes) -> Item:
        (item,) = read_item_message(message).items
        return item

    expected = [stored(json.dumps({"tenant_id": "tenant", "scenario_id": "scenario", **row}).encode()) for row in rows]
    http = [Item.model_validate(json.loads(json.dumps(row))) for row in rows]
    found = {"http": http} | {form: list(read_items(path)) for form, path in files_of(tmp_path, rows).items()}
    for way, read in found.items():
        carried: list[Message] = [item_message(SCOPE, item) for item in read]
        assert [stored(message.value) for message in carried] == expected, way


@given(st.lists(events, max_size=12), st.integers(1, 12))
@settings(deadline=None)
def test_of_each_event_id_the_first_counts_however_events_are_batched(rows: list[dict[str, Any]], size: int) -> None:
    columns = EventColumns.of((SCOPE, Event.model_validate(row)) for row in rows)
    whole, _ = columns.once()
    kept = EventColumns()
    for start in range(0, len(columns), size):
        part, _ = columns.where([start <= row < start + size for row in range(len(columns))]).once()
        kept.extend(part)
    assert kept.once()[0] == whole
    assert len(set(whole.event_id)) == len(whole)


@pytest.mark.parametrize("field", ["device", "colour"])
def test_an_event_is_named_by_its_contents_and_nothing_else(field: str) -> None:
    row = {"user_id": "u", "item_id": "i", "action": "click", "timestamp": SECOND}
    plain = Event.model_validate(row)
    assert Event.model_validate(row | {field: "x"}).event_id == plain.event_id
    others = {"user_id": "v", "item_id": "j", "action": "rate", "timestamp": SECOND + 1, "value": 1, "request_id": "r"}
    assert all(Event.model_validate(row | {name: other}).event_id != plain.event_id for name, other in others.items())


parts = st.lists(st.text(st.sampled_from("a\x1f1"), max_size=3), min_size=4, max_size=8)


@given(parts, st.lists(st.integers(1, 3), min_size=2, max_size=2), st.lists(st.integers(1, 3), min_size=2, max_size=2))
@settings(max_examples=200, deadline=None)
def test_events_whose_ids_are_cut_elsewhere_out_of_the_same_text_have_ids_of_their_own(
    texts: list[str], cuts: list[int], other_cuts: list[int]
) -> None:
    def names(first: int, second: int) -> tuple[str, str, str]:
        groups = texts[:first], texts[first : first + second], texts[first + second :]
        user_id, item_id, action = ("\x1f".join(group) for group in groups)
        return user_id, item_id, action

    one, other = names(*cuts), names(*other_cuts)
    same = derived_event_id(*one, 0, None, "", None) == derived_event_id(*other, 0, None, "", None)
    assert same == (one == other)


def test_a_derived_id_stays_what_it_was() -> None:
    """Events that came without an id before this version are named as they were."""
    assert derived_event_id("u", "i", "click", 1_600_000_000_000, None, "", None) == DERIVED_BEFORE
