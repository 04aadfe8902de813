"""CSV and JSONL: true line numbers, bad rows set aside, good rows all read."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lemo.domain.errors import InvalidInput
from lemo.domain.ids import canonical_id
from lemo.domain.item import Item
from lemo.files.reading import Reading, read_events, read_items

EVENTS = "user_id,item_id,action,timestamp"


def read(path: Path, content: str | bytes) -> tuple[Reading[Item], list[Item]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    reading = read_items(path)
    items = [item for batch in reading.batches() for item in batch]
    assert reading.good == len(items)
    assert reading.done == reading.total
    return reading, items


def rejected(reading: Reading[Item]) -> dict[int, str]:
    return {reject.line: reject.reason for reject in reading.rejects.first}


def test_columns_lists_and_attributes(tmp_path: Path) -> None:
    _, (item,) = read(
        tmp_path / "items.csv",
        "item_id,title,categories,tags,is_active,published_at,expires_at,price,empty,\n"
        '"a/b c",你好,x|y, t ,false,1700000000,2024-01-01,9.5,,7\n',
    )
    assert item.item_id == "a/b c"
    assert (item.title, item.categories, item.tags, item.is_active) == ("你好", ["x", "y"], ["t"], False)
    assert item.published_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert item.expires_at == datetime(2024, 1, 1, tzinfo=UTC)
    assert item.attributes == {"price": "9.5"}


def test_line_numbers_stay_true_past_quoted_line_ends_and_blank_lines(tmp_path: Path) -> None:
    reading, items = read(tmp_path / "items.csv", 'item_id,title\r\na,"two\r\nlines"\r\n\r\n,no id\r\nb,"x""y"\r\n')
    assert [(item.item_id, item.title) for item in items] == [("a", "two\r\nlines"), ("b", 'x"y')]
    assert rejected(reading) == {5: "item_id: is missing"}


def test_a_stray_quote_costs_one_row(tmp_path: Path) -> None:
    good = "".join(f"g{n},fine,x\n" for n in range(5_000))
    reading, items = read(tmp_path / "items.csv", f'item_id,title,tags\na,"stray,x\n{good}b,"and another,x\n{good}')
    assert len(items) == 10_000
    assert list(rejected(reading)) == [2, 5_003]


def test_quotes_inside_a_line_are_read_as_they_stand(tmp_path: Path) -> None:
    reading, items = read(tmp_path / "items.csv", 'item_id,title\na,5" screen\nb,"Big" and small\nc,"a ""b"" c"\n')
    assert [item.title for item in items] == ['5" screen', "Big and small", 'a "b" c']
    assert reading.rejects.count == 0


def test_an_open_quote_at_the_end_is_no_row(tmp_path: Path) -> None:
    reading, items = read(tmp_path / "items.csv", 'item_id,title\na,fine\nb,"open\nc,swallowed?\n')
    assert [item.item_id for item in items] == ["a", "c"]
    assert list(rejected(reading)) == [3]
    reading, items = read(tmp_path / "last.csv", 'item_id,title\na,"open\n')
    assert items == []
    assert "never closed" in rejected(reading)[2]


def test_bad_rows_stop_nothing(tmp_path: Path) -> None:
    rows = [
        b"item_id,title,value",
        b"a,fine,1",
        b"b,too,many,cells",
        b"few",
        b"c," + b"y" * 10_000_000 + b",1",
        b'd,"' + b"y" * 10_000_000 + b'",1',
        b"e,\xe9t\xe9,1",
        b"f,nul\x00,1",
        b"g," + b"z" * 1_001 + b",1",
        b"h" * 257 + b",x,1",
        b"i," + b"w" * 200_000 + b",1",
        b"last,fine,1",
    ]
    reading, items = read(tmp_path / "items.csv", b"\xef\xbb\xbf" + b"\n".join(rows))
    assert [item.item_id for item in items] == ["a", "last"]
    assert reading.read == 11
    why = rejected(reading)
    assert list(why) == [3, 4, 5, 6, 7, 8, 9, 10, 11]
    for line, told in {
        3: "has 4 columns; the header has 3",
        5: "longer than 1,048,576 bytes",
        6: "longer than 1,048,576 bytes",
        7: "not UTF-8: byte 0xe9",
        8: "NUL",
        9: "at most 1000 characters",
        10: "at most 256 characters",
        11: "field limit",
    }.items():
        assert told in why[line]


def test_separators_of_other_countries(tmp_path: Path) -> None:
    for name, separator in (("semicolon", ";"), ("tab", "\t")):
        _, items = read(tmp_path / f"{name}.csv", f"title{separator}item_id\nx, y{separator}a\n")
        assert [(item.item_id, item.title) for item in items] == [("a", "x, y")]


def test_jsonl(tmp_path: Path) -> None:
    reading, items = read(
        tmp_path / "items.jsonl",
        '{"item_id": 7, "tags": ["x"], "n": {"deep": [1]}}\n\n[1]\nnot json\n{"item_id": "b", "score": NaN}\n'
        '{"item_id": "nul\\u0000"}\n"text"\n{"item_id": "\\ud800"}\n'
        + "[" * 100_000
        + '\n{"item_id": "z"}\n{"item_id": '
        + "9" * 5_000
        + "}",
    )
    assert [(item.item_id, item.attributes) for item in items] == [("7", {"n": {"deep": [1]}}), ("z", {})]
    why = rejected(reading)
    assert list(why) == [3, 4, 5, 6, 7, 8, 9, 11]
    assert why[3] == "is a JSON array, not an object"
    assert why[4].startswith("is not JSON")
    assert "NUL" in why[6]


def test_events_that_cannot_have_happened(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    far = datetime.now(UTC) + timedelta(days=400)
    bad = ["nan", "inf", "soon", str(far.timestamp()), far.isoformat(), "1900-01-01", "1e300", "", "-5"]
    path.write_text(f"{EVENTS},value\n" + "".join(f"u,i,click,{moment},1\n" for moment in bad) + "u,i,click,1e9,nan\n")
    reading = read_events(path)
    assert list(reading) == []
    assert [reject.line for reject in reading.rejects.first] == list(range(2, 12))
    assert all("timestamp:" in reject.reason for reject in reading.rejects.first[:-1])
    assert "value:" in reading.rejects.first[-1].reason


def test_the_same_row_is_the_same_event(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(f"{EVENTS}\nu,i,click,1700000000\nu,i,click,2023-11-14T22:13:20Z\nu,i,click,1700000001\n")
    first, same, other = (event.event_id for event in read_events(path))
    assert first == same != other


def test_rejects_are_written_whole_enough_to_mend(tmp_path: Path) -> None:
    reading, _ = read(tmp_path / "items.csv", f"item_id,title\n,no id\nb,{'y' * 5_000}\nc,ok\n")
    assert reading.rejects.path == tmp_path / "items.csv.rejects.jsonl"
    lines = [json.loads(line) for line in reading.rejects.path.read_text().splitlines()]
    assert lines[0] == {"line": 2, "reason": "item_id: is missing", "row": {"title": "no id"}}
    assert lines[1]["row"]["item_id"] == "b"
    assert len(lines[1]["row"]["title"]) < 1_100


def test_rejects_go_to_the_working_folder_when_there_is_no_room_beside(tmp_path: Path) -> None:
    source = Path("/proc/self/nothing.csv")  # a folder in which not even root may write
    from lemo.files.rejects import Rejects

    rejects = Rejects(source)
    rejects.add(1, "bad", {"x": float("nan")})
    rejects.close()
    assert rejects.problem == ""
    assert json.loads((tmp_path / "nothing.csv.rejects.jsonl").read_text())["line"] == 1


def test_rejects_that_cannot_be_written_stop_nothing(tmp_path: Path) -> None:
    (tmp_path / "items.csv.rejects.jsonl").mkdir()
    reading, items = read(tmp_path / "items.csv", "item_id,title\n,no\nb,yes\n")
    assert [item.item_id for item in items] == ["b"]
    assert reading.rejects.count == 1
    assert "could not be written" in reading.rejects.problem


def test_a_broken_gzip_says_where(tmp_path: Path) -> None:
    path = tmp_path / "items.csv.gz"
    whole = gzip.compress(b"item_id,title\n" + b"".join(f"{n},{n * 7919}\n".encode() for n in range(50_000)))
    path.write_bytes(whole[: len(whole) // 2])
    reading = read_items(path)
    with pytest.raises(InvalidInput, match="breaks off after line"):
        list(reading)
    assert reading.good > 1_000


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=20)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CELL.filter(lambda cell: cell.strip() == cell != ""), CELL), min_size=1, max_size=20))
def test_whatever_python_writes_is_read_back(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    import csv

    path = tmp_path / "items.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("item_id", "title"), *rows])
    expected = [(canonical_id(name), title) for name, title in rows]
    assert [(item.item_id, item.title) for item in read_items(path)] == expected
