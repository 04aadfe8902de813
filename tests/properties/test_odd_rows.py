"""One table of odd rows: what comes out is the same by every form of file, by HTTP and by streams."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars
import pytest
from pydantic import ValidationError

from lemo.domain.errors import InvalidInput
from lemo.domain.event import Event
from lemo.domain.event_columns import EventColumns
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.files.plain_events import PlainEvents
from lemo.files.reading import Reading
from lemo.files.tally import Tally
from lemo.streams import Message
from lemo.streams.event_messages import read_event_messages
from lemo.streams.messages import BadMessage, event_message, item_message, read_event_message, read_item_message
from workbooks import sheet

SCOPE = Scope("tenant", "scenario")
NOW = 1_760_000_000_000
ACTIONS = ("view", "rate")
MOMENT = 1_569_938_523_000
TEXT = ("csv",)
"""Ways in which every cell is a text."""
SHEET = ("xlsx",)
FLAT = (*TEXT, *SHEET)
"""Ways without lists and objects."""
WAYS = ("csv", "jsonl", "json", "parquet", "xlsx", "http", "stream")
REFUSED = "refused"
ISO = "2019-10-01T14:02:03Z"
DAY = 1_569_888_000_000


@dataclass(frozen=True)
class Odd:
    """What stands in a row, and what must come of it."""

    row: dict[str, Any]
    state: Any
    """The fields that must come out, or REFUSED."""
    not_by: Sequence[str] = ()
    """Ways that cannot say it."""


def user(value: Any, state: Any, *not_by: str) -> Odd:
    return Odd({"user_id": value}, {"user_id": state} if state != REFUSED else REFUSED, not_by)


def at(value: Any, state: Any = MOMENT, *not_by: str) -> Odd:
    return Odd({"timestamp": value}, {"timestamp": state} if state != REFUSED else REFUSED, not_by)


def has(name: str, value: Any, state: Any, *not_by: str) -> Odd:
    return Odd({name: value}, {name: state} if state != REFUSED else REFUSED, not_by)


EVENTS = {
    # ids
    "spaces around an id": user("  u ", "u"),
    "wide spaces around an id": user("\u3000u\u3000", "u"),
    "an id in the form of macOS": user("Jose\u0301", "José"),
    "an id of Hangul letters": user("\u1100\u1161", "가"),
    "an id as a number": user(42, "42"),
    "an id as a float": user(17850.0, "17850"),
    "an id of 16 digits": user(9_007_199_254_740_993, "9007199254740993", *SHEET),
    "leading zeros": user("007", "007"),
    "a slash and spaces": user("a/b c", "a/b c"),
    "Chinese": user("用户", "用户"),
    "emoji": user("👍🏽", "👍🏽"),
    "a quote and a comma": user('a"b,c', 'a"b,c'),
    "a line end inside an id": user("a\nb", "a\nb"),
    "a tab inside an id": user("a\tb", "a\tb"),
    "a backslash": user("a\\b", "a\\b"),
    "the longest id": user("x" * 256, "x" * 256),
    "an id that is too long": user("x" * 257, REFUSED),
    "an empty id": user("", REFUSED),
    "an id of spaces": user("   ", REFUSED),
    "no id": user(None, REFUSED),
    "a word for nothing": user("NaN", "NaN"),
    "a truth as an id": user(True, REFUSED, *TEXT),
    "a list as an id": user(["u"], REFUSED, *FLAT),
    "an object as an id": user({"id": "u"}, REFUSED, *FLAT),
    # times
    "seconds": at(1_569_938_523),
    "milliseconds": at(MOMENT),
    "microseconds": at(MOMENT * 1_000),
    "nanoseconds": at(MOMENT * 1_000_000),
    "seconds with a fraction": at(1_569_938_523.5, MOMENT + 500),
    "seconds as a text": at("1569938523"),
    "ISO 8601": at(ISO),
    "ISO 8601 without a zone": at("2019-10-01T14:02:03"),
    "an offset": at("2019-10-01T22:02:03+08:00"),
    "UTC in words": at("2019-10-01 14:02:03 UTC"),
    "slashes, year first": at("2019/10/1 14:02:03"),
    "a clock of twelve hours": at("2019-10-01 2:02:03 PM"),
    "midnight of twelve hours": at("2019-10-01 12:00 AM", DAY),
    "a named month": at("01-Oct-2019 14:02:03"),
    "a named month with half a day": at("Oct 1, 2019 2:02 pm", MOMENT - 3_000),
    "a Chinese date": at("2019年10月1日 14:02:03"),
    "mail": at("Tue, 01 Oct 2019 14:02:03 GMT"),
    "a date alone": at("2019-10-01", DAY),
    "a time to come": at("2099-01-01", REFUSED),
    "a time long ago": at("1970-01-01", REFUSED),
    "seconds read as days": at(18_170, REFUSED),
    "a word for a time": at("soon", REFUSED),
    "the 30th of February": at("2019-02-30", REFUSED),
    "the 13th hour of twelve": at("2019-10-01 13:00 PM", REFUSED),
    "a zone that is many": at("2019-10-01 14:02:03 EST", REFUSED),
    "a truth as a time": at(True, REFUSED),
    "no time": at(None, REFUSED),
    # values and the rest
    "a value": has("value", 4.5, 4.5),
    "a value as a text": has("value", "4.5", 4.5),
    "a negative value": has("value", -1, -1.0),
    "a value that is no number": has("value", "NaN", REFUSED),
    "an infinite value": has("value", "inf", REFUSED),
    "a value in words": has("value", "good", REFUSED),
    "no value": has("value", None, None),
    "a position": has("position", 3, 3),
    "a position as a text": has("position", "3", 3),
    "a position as a float": has("position", 3.0, 3, *TEXT),
    "half a position": has("position", 1.5, REFUSED),
    "a position below 0": has("position", -1, REFUSED),
    "a position beyond all pages": has("position", 100_001, REFUSED),
    "a request's id with spaces": has("request_id", " r ", "r"),
    "a device that is too long": has("device", "x" * 101, REFUSED),
    "an event's id as a float": has("event_id", 536365.0, "536365"),
    "an unknown action": has("action", "dance", REFUSED),
    "an attribute": has("colour", "red", {"colour": "red"}),
    "a nested attribute": has("deep", {"x": [1]}, {"deep": {"x": [1]}}, *FLAT),
    "a name of spaces": has("my colour", "red", {"my colour": "red"}),
}
FIELDS = Event.model_fields.keys()


def written(folder: Path, way: str, row: dict[str, Any]) -> Path:
    """The row in a file, twice, as tables have more than one."""
    path, rows = folder / f"rows.{way}", [row, row]
    if way in ("json", "jsonl"):
        lines = [json.dumps(each, ensure_ascii=False) for each in rows]
        path.write_text("[" + ",".join(lines) + "]" if way == "json" else "\n".join(lines))
        return path
    if way == "xlsx":
        sheet(path, [list(row), *(list(each.values()) for each in rows)])
        return path
    frame = polars.DataFrame(rows, infer_schema_length=None, strict=False)
    if way == "csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path)
    return path


def taken(values: Sequence[bytes]) -> EventColumns:
    """What the consumer makes of messages; refused ones are left out."""

    def slowly(index: int) -> tuple[Scope, Event] | None:
        try:
            scope, event = read_event_message(values[index])
        except BadMessage:
            return None
        return (scope, event) if event.action in ACTIONS else None

    known = lambda _tenant, _scenario, action: action in ACTIONS  # noqa: E731
    return read_event_messages(values, [NOW] * len(values), NOW, known, slowly)


def checked(event: Event) -> Event:
    if event.action not in ACTIONS:
        raise InvalidInput("unknown action")
    return event


def events_by(way: str, row: dict[str, Any], folder: Path) -> EventColumns:
    if way == "stream":
        return taken([json.dumps({"tenant_id": "tenant", "scenario_id": "scenario", **row}).encode()])
    if way == "http":
        try:
            found = [event_message(SCOPE, checked(Event.model_validate(json.loads(json.dumps(row)))))]
        except (ValidationError, InvalidInput):
            found = []
        return taken([message.value for message in found])
    plain = PlainEvents(SCOPE, ACTIONS, Tally(), set())
    try:
        reading: Reading[Message] = Reading(
            written(folder, way, row),
            Event,
            lambda event: event_message(SCOPE, checked(event)),
            actions=ACTIONS,
            plain=plain,
        )
        return taken([message.value for message in reading][:1])
    except InvalidInput:  # of a file that has nothing else, all is refused
        return EventColumns()


@pytest.mark.parametrize("name", EVENTS)
def test_an_odd_event_comes_out_the_same_by_every_way(name: str, tmp_path: Path) -> None:
    odd = EVENTS[name]
    row = {"user_id": "u", "item_id": "i", "action": "view", "timestamp": ISO} | odd.row
    found = {way: events_by(way, row, tmp_path) for way in WAYS if way not in odd.not_by}
    for way, columns in found.items():
        assert len(columns) == (odd.state != REFUSED), way
        for field, value in odd.state.items() if odd.state != REFUSED else ():
            if field in FIELDS:
                assert getattr(columns, field) == [value], way
            else:
                assert json.loads(columns.attributes[0]) == value, way
    for way, columns in found.items():
        assert columns.event_id == found["stream"].event_id, way


def labelled(value: Any, state: Any, *not_by: str) -> Odd:
    return has("categories", value, state, *not_by)


ITEMS = {
    "a title": has("title", "标题 👍", "标题 👍"),
    "a title with line ends": has("title", "a\r\nb", "a\r\nb", *SHEET),  # XML knows one line end
    "a title as a number": has("title", 1984, "1984"),
    "the longest title": has("title", "x" * 1_000, "x" * 1_000),
    "a title that is too long": has("title", "x" * 1_001, REFUSED),
    "no title": has("title", None, ""),
    "labels with bars": labelled("a|b| c ", ["a", "b", "c"]),
    "labels as a list": labelled(["a", "b"], ["a", "b"], *FLAT),
    "no labels": labelled(None, []),
    "one label": labelled("a", ["a"]),
    "an item that is off": has("is_active", False, False),
    "off as a number": has("is_active", 0, False),
    "off as a text": has("is_active", "false", False),
    "neither on nor off": has("is_active", None, True),
    "half on": has("is_active", "perhaps", REFUSED),
    "deleted as Debezium says it": has("deleted", "true", True),
    "a book of 1813": has("published_at", "1813-01-28", datetime(1813, 1, 28, tzinfo=UTC)),
    "a publication to come": has("published_at", "2099-01-01", datetime(2099, 1, 1, tzinfo=UTC)),
    "a publication in seconds": has("published_at", 1_569_938_523, datetime(2019, 10, 1, 14, 2, 3, tzinfo=UTC)),
    "a publication in seconds read as days": has("published_at", 18_170, REFUSED),
    "no publication": has("published_at", None, None),
    "an item's id in the form of macOS": has("item_id", " Jose\u0301 ", "José"),
    "an item's id as a float": has("item_id", 17850.0, "17850"),
    "an item's empty id": has("item_id", "", REFUSED),
    "a price": has("price", 9.5, {"price": 9.5}, *TEXT),
    "a truth": has("fair", True, {"fair": True}, *TEXT),
    "a list of numbers": has("sizes", [1, 2], {"sizes": [1, 2]}, *FLAT),
}


def items_by(way: str, row: dict[str, Any], folder: Path) -> list[Item]:
    def stored(body: bytes) -> list[Item]:
        try:
            return read_item_message(body).items
        except BadMessage:
            return []

    if way == "stream":
        return stored(json.dumps({"tenant_id": "tenant", "scenario_id": "scenario", **row}).encode())
    if way == "http":
        try:
            return stored(item_message(SCOPE, Item.model_validate(json.loads(json.dumps(row)))).value)
        except (ValidationError, InvalidInput):
            return []
    try:
        reading: Reading[Message] = Reading(
            written(folder, way, row), Item, lambda item: item_message(SCOPE, item), actions=()
        )
        return [item for message in list(reading)[:1] for item in stored(message.value)]
    except InvalidInput:
        return []


@pytest.mark.parametrize("name", ITEMS)
def test_an_odd_item_comes_out_the_same_by_every_way(name: str, tmp_path: Path) -> None:
    odd = ITEMS[name]
    row = {"item_id": "i", "author": "a"} | odd.row
    for way in (way for way in WAYS if way not in odd.not_by):
        found = items_by(way, row, tmp_path)
        assert len(found) == (odd.state != REFUSED), way
        for field, value in odd.state.items() if odd.state != REFUSED else ():
            (item,) = found
            if field in Item.model_fields:
                assert getattr(item, field) == value, way
            else:
                assert item.attributes == value, way


def test_the_table_is_long_enough() -> None:
    assert len(EVENTS) + len(ITEMS) >= 50
