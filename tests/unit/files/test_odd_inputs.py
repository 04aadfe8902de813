"""What people's files hold, as one table: contents, what is said about them, and what must come of it."""

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lemo.domain.errors import InvalidInput
from lemo.domain.event import Event
from lemo.domain.ids import canonical_id
from lemo.domain.item import Item
from lemo.files.plan import Wishes
from lemo.files.reading import Reading
from workbooks import sheet

ACTIONS = ("view", "click", "cart", "purchase", "rate", "play", "favorite")
MOMENT = datetime(2019, 10, 1, 14, 2, 3, tzinfo=UTC)
DAY = datetime(2019, 10, 1, tzinfo=UTC)


def _same(row: Any) -> Any:
    return row


def read(path: Path, content: bytes, model: Any = Event, **wishes: Any) -> Reading[Any]:
    path.write_bytes(content)
    return Reading(path, model, _same, wishes=Wishes(**wishes), actions=ACTIONS)


@dataclass(frozen=True)
class Odd:
    """A file of one or more events, all of which are u, i, view at `moment`."""

    content: str | bytes
    wishes: dict[str, Any] = field(default_factory=dict)
    moment: datetime = MOMENT


HEAD = "user_id,item_id,action,timestamp\n"
ISO = "2019-10-01T14:02:03Z"


def zst(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return bytes(sink.getvalue().to_pybytes())


def zipped(members: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return archive.getvalue()


PLAIN = f"{HEAD}u,i,view,{ISO}\n".encode()
ROW = {"user_id": "u", "item_id": "i", "action": "view", "timestamp": ISO}


def at(text: str) -> str:
    return f"{HEAD}u,i,view,{text}\n"


TABLE = {
    # the form
    "plain": Odd(PLAIN),
    "gzip": Odd(gzip.compress(PLAIN)),
    "two gzips": Odd(gzip.compress(PLAIN) + gzip.compress(f"u,i,view,{ISO}\n".encode())),
    "zstd": Odd(zst(PLAIN)),
    "bzip2": Odd(bz2.compress(PLAIN)),
    "xz": Odd(lzma.compress(PLAIN)),
    "zip": Odd(zipped({"events": PLAIN})),
    "zip of a Mac": Odd(zipped({"events": PLAIN, "__MACOSX/._events": b"x", ".DS_Store": b"y"})),
    "BOM": Odd(b"\xef\xbb\xbf" + PLAIN),
    "UTF-16": Odd(PLAIN.decode().encode("utf-16")),
    "UTF-16 big-endian": Odd(b"\xfe\xff" + PLAIN.decode().encode("utf-16-be")),
    "UTF-16 without a mark": Odd(PLAIN.decode().encode("utf-16-le")),
    "carriage returns alone": Odd(PLAIN.replace(b"\n", b"\r")),
    "Windows line ends": Odd(PLAIN.replace(b"\n", b"\r\n")),
    "no last line end": Odd(PLAIN.rstrip()),
    "blank lines": Odd(b"\n\n" + PLAIN.replace(b"\n", b"\n\n")),
    "semicolons": Odd(PLAIN.replace(b",", b";")),
    "tabs": Odd(PLAIN.replace(b",", b"\t")),
    "bars": Odd(PLAIN.replace(b",", b"|")),
    "double colons": Odd(PLAIN.replace(b",", b"::")),
    "Hive": Odd(PLAIN.replace(b",", b"\x01")),
    "all quoted": Odd(f'"user_id","item_id","action","timestamp"\n"u","i","view","{ISO}"\n'),
    "an index without a name": Odd(f",user_id,item_id,action,timestamp\n0,u,i,view,{ISO}\n"),
    "Excel's separator": Odd(b"sep=;\n" + PLAIN.replace(b",", b";")),
    "comments first": Odd(b"# exported\n# by hand, twice\n" + PLAIN),
    "a header that begins with #": Odd(b"#" + PLAIN),
    "a comma too many": Odd(PLAIN.rstrip() + b",\n"),
    "array": Odd(json.dumps([ROW, ROW])),
    "indented array": Odd(json.dumps([ROW, ROW], indent=2)),
    "array with a BOM": Odd(b"\xef\xbb\xbf" + json.dumps([ROW]).encode()),
    "array in UTF-16": Odd(json.dumps([ROW]).encode("utf-16")),
    "an HTTP body": Odd(json.dumps({"events": [ROW, ROW]})),
    "objects over lines": Odd("\n".join(json.dumps(ROW, indent=1) for _ in range(2))),
    "JSON lines": Odd(f"{json.dumps(ROW)}\n{json.dumps(ROW)}\n"),
    "JSON lines in gzip": Odd(gzip.compress(json.dumps(ROW).encode())),
    # names
    "camel case": Odd(f"userId,itemId,action,timestamp\nu,i,view,{ISO}\n"),
    "words": Odd(f"User ID;Product ID;Event Type;Event Time\nu;i;view;{ISO}\n"),
    "shop": Odd(f"customer_id,sku,event,ts\nu,i,view,{ISO}\n"),
    "Chinese": Odd(f"用户ID,商品ID,行为,时间\nu,i,view,{ISO}\n"),
    "told": Odd(
        f"a,b,c\nu,i,{ISO}\n", {"fields": {"user_id": "a", "item_id": "b", "timestamp": "c"}, "action": "view"}
    ),
    "told without a header": Odd(
        f"u,i,{ISO}\n",
        {"fields": {"user_id": "column_1", "item_id": "column_2", "timestamp": "column_3"}, "action": "view"},
    ),
    "JSON elsewhere": Odd(json.dumps({"visitorid": "u", "asin": "i", "event": "view", "date": ISO})),
    "an action of another name": Odd(f"user,item,event,time\nu,i,pageview,{ISO}\n"),
    "an action in capitals": Odd(f"user,item,event,time\nu,i,VIEW,{ISO}\n"),
    # ids
    "spaces around": Odd(f"{HEAD} u , i,view,{ISO}\n"),
    # times
    "seconds": Odd(at("1569938523")),
    "milliseconds": Odd(at("1569938523000")),
    "microseconds": Odd(at("1569938523000000")),
    "nanoseconds": Odd(at("1569938523000000000")),
    "seconds with a point": Odd(at("1569938523.0")),
    "scientific": Odd(at("1.569938523E9")),
    "UTC": Odd(at("2019-10-01 14:02:03 UTC")),
    "an offset": Odd(at("2019-10-01T22:02:03+08:00")),
    "slashes, year first": Odd(at("2019/10/01 14:02:03")),
    "compact": Odd(at("20191001"), moment=DAY),
    "compact with a clock": Odd(at("20191001140203")),
    "a named month": Odd(at("01-Oct-2019"), moment=DAY),
    "a long month": Odd(f'{HEAD}u,i,view,"October 1, 2019"\n', moment=DAY),
    "mail": Odd(f'{HEAD}u,i,view,"Tue, 01 Oct 2019 14:02:03 GMT"\n'),
    "Twitter": Odd(at("Tue Oct 01 14:02:03 +0000 2019")),
    "American": Odd(at("10/1/2019 2:02:03 PM"), {"order": "mdy"}),
    "German": Odd(at("01.10.2019 14:02:03"), {"order": "dmy"}),
}


@pytest.mark.parametrize("name", TABLE)
def test_odd_files_of_events(name: str, tmp_path: Path) -> None:
    odd = TABLE[name]
    content = odd.content.encode() if isinstance(odd.content, str) else odd.content
    reading = read(tmp_path / "file", content, **odd.wishes)
    events = list(reading)
    assert reading.rejects.first == []
    assert events
    for event in events:
        assert (event.user_id, event.item_id, event.action, event.timestamp) == ("u", "i", "view", odd.moment)


UNCERTAIN: dict[str, tuple[bytes, str, dict[str, Any]]] = {
    "GB18030": ("item_id,title\na,标题\n".encode("gb18030"), "'标题' in gb18030|a,标题", {}),
    "Latin-1": ("item_id,title\na,été\n".encode("latin-1"), "été' in cp1252", {}),
    "two files in an archive": (zipped({"a": PLAIN, "b": PLAIN}), "archive of 2 files: a, b", {}),
    "day or month": (at("10/1/2019").encode(), "day and month, or month and day", {}),
}


@pytest.mark.parametrize("name", UNCERTAIN)
def test_what_is_not_certain_is_asked(name: str, tmp_path: Path) -> None:
    content, told, wishes = UNCERTAIN[name]
    with pytest.raises(InvalidInput) as caught:
        read(tmp_path / "file", content, Item if b"title" in content else Event, **wishes)
    assert any(part in str(caught.value) + caught.value.hint for part in told.split("|"))


@pytest.mark.parametrize(("encoding", "title"), [("gb18030", "标题"), ("cp1252", "été"), ("shift_jis", "題名")])
def test_a_legacy_encoding_is_read_when_told(encoding: str, title: str, tmp_path: Path) -> None:
    content = f"item_id,title\na,{title}\nb,{title}\n".encode(encoding)
    first, second = read(tmp_path / "f.csv", content, Item, encoding=encoding)
    assert first.title == second.title == title
    rows = json.dumps({"item_id": "a", "title": title}, ensure_ascii=False).encode(encoding)
    (item,) = read(tmp_path / "f.jsonl", rows, Item, encoding=encoding)
    assert item.title == title


def test_a_byte_that_is_none_of_the_encoding_costs_one_row(tmp_path: Path) -> None:
    content = "item_id,title\na,标题\n".encode("gb18030") + b"b,\xff\xff\n" + "c,标\n".encode("gb18030")
    reading = read(tmp_path / "f.csv", content, Item, encoding="gb18030")
    assert [item.item_id for item in reading] == ["a", "c"]
    assert [(reject.line, "is not gb18030" in reject.reason) for reject in reading.rejects.first] == [(3, True)]


def test_the_whole_column_tells_the_order_of_day_and_month(tmp_path: Path) -> None:
    rows = "".join(f"u{n},i,view,0{n % 9 + 1}/02/2019\n" for n in range(1_500))
    for last, month in (("13/02/2019", 2), ("02/13/2019", None)):
        reading = read(tmp_path / "f.csv", f"{HEAD}{rows}v,i,view,{last}\n".encode())
        events = list(reading)
        assert reading.rejects.count == 0
        assert len(events) == 1_501
        assert events[4].timestamp == (datetime(2019, 2, 5, tzinfo=UTC) if month else datetime(2019, 5, 2, tzinfo=UTC))


def test_ids_that_a_data_frame_made_floats(tmp_path: Path) -> None:
    moment = "1569938523"
    content = f"user_id,item_id,action,timestamp\n17850.0,007,view,{moment}\n9.0,1.10,view,{moment}\n".encode()
    assert [(e.user_id, e.item_id) for e in read(tmp_path / "f.csv", content)] == [("17850", "007"), ("9", "1.10")]
    row = {"user_id": 17850.0, "item_id": "007", "action": "view", "timestamp": 1569938523}
    (event,) = read(tmp_path / "f.jsonl", json.dumps(row).encode())
    assert (event.user_id, event.item_id) == ("17850", "007")
    mixed = f"user_id,item_id,action,timestamp\n17850.0,i,view,{moment}\nA1.0,i,view,{moment}\n".encode()
    assert [event.user_id for event in read(tmp_path / "f.csv", mixed)] == ["17850.0", "A1.0"]
    # A gap is why they are floats; what is none, behind the rows that are looked at, stays as it is.
    gaps = f"{HEAD}nan,i,view,{moment}\n" + f"17850.0,i,view,{moment}\n" * 1_100 + f"A1.0,i,view,{moment}\n"
    assert {event.user_id for event in read(tmp_path / "f.csv", gaps.encode())} == {"nan", "17850", "A1.0"}


def test_decimal_commas(tmp_path: Path) -> None:
    content = b"user;item;rating;time\nu;i;4,5;1569938523\nu;j;1.234,5;1569938523\nu;k;NA;1569938523\n"
    assert [event.value for event in read(tmp_path / "f.csv", content)] == [4.5, 1234.5, None]
    content = b"sku;name;price;size\na;x;9,5;1,5|2\nb;1,5;1.000;3\n"
    first, second = read(tmp_path / "i.csv", content, Item)
    assert (first.attributes, second.attributes) == ({"price": "9.5", "size": "1,5|2"}, {"price": "1000", "size": "3"})
    assert second.title == "1,5"


def test_a_bad_cell_in_a_column_with_a_fields_own_name_costs_its_row(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text(f"user_id,sku,action,timestamp\nu,i,view,{ISO}\nu,j,view,soon\n")
    reading = Reading(path, Event, _same, actions=ACTIONS)
    assert [event.item_id for event in reading] == ["i"]
    assert reading.rejects.first[0].reason.startswith("timestamp: is neither ISO 8601")


def test_a_row_that_begins_with_a_list_is_a_row(tmp_path: Path) -> None:
    row = {"items": [{"a": 1}], "item_id": "x"}
    (item,) = read(tmp_path / "f.jsonl", json.dumps(row).encode(), Item)
    assert item.attributes == {"items": [{"a": 1}]}


def test_a_byte_that_is_none_of_utf_8_costs_a_row_where_the_file_begins_well(tmp_path: Path) -> None:
    rows = "".join(f"{n},{'x' * 70}\n" for n in range(1_000)).encode()
    reading = read(tmp_path / "f.csv", b"item_id,title\n" + rows + b"bad,\xe9\n", Item)
    assert len(list(reading)) == 1_000
    assert "not UTF-8" in reading.rejects.first[0].reason


def test_a_column_is_left_out_by_its_own_name_or_the_fields(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text(f"user,sku,event,ts,rating,colour\nu,i,view,{ISO},5,red\n")
    for names in (("rating", "colour"), ("value", "colour")):
        reading = Reading(path, Event, _same, leave_out=names, actions=ACTIONS)
        (event,) = reading
        assert (event.value, event.attributes, reading.absent) == (None, {}, [])


@pytest.mark.parametrize(
    "cell", ["x|y", "x, y", "x;y", '["x", "y"]', "['x', 'y']", "x |y|", "x|(no genres listed)|y"], ids=str
)
def test_lists_as_columns_write_them(cell: str, tmp_path: Path) -> None:
    file = io.StringIO()
    csv.writer(file).writerows([("movieId", "genres"), ("1", cell), ("2", cell)])
    first, second = read(tmp_path / "f.csv", file.getvalue().encode(), Item)
    assert first.categories == second.categories == ["x", "y"]


def test_years_of_any_century(tmp_path: Path) -> None:
    content = b"book_id,original_publication_year\n1,1813.0\n2,-750.0\n3,2008.0\n4,\n"
    reading = read(tmp_path / "books.csv", content, Item)
    assert [item.published_at and item.published_at.year for item in reading] == [1813, None, 2008, None]
    assert "before 1" in " ".join(reading.plan.notes)
    (item,) = read(tmp_path / "books.jsonl", b'{"item_id": "a", "published_at": "1813-01-28"}\n', Item)
    assert item.published_at == datetime(1813, 1, 28, tzinfo=UTC)
    reading = read(tmp_path / "wrong.jsonl", b'{"item_id": "a", "published_at": 1569938}\n', Item)
    assert list(reading) == []
    assert "before 1990" in reading.rejects.first[0].reason


def test_workbooks(tmp_path: Path) -> None:
    path = tmp_path / "export.xlsx"
    sheet(
        path,
        [["User ID", "SKU", "Event", "Time"], [17850, "007", "view", 43739 + 50_523 / 86_400], [9, "i", "buy", 43739]],
        dates=[3],
    )
    reading = Reading(path, Event, _same, actions=ACTIONS)
    first, second = reading
    assert (first.user_id, first.item_id, first.action) == ("17850", "007", "view")
    assert abs((first.timestamp - MOMENT).total_seconds()) < 1
    assert (second.user_id, second.action, second.timestamp) == ("9", "purchase", DAY)
    assert reading.done == reading.total == 2


def test_damage_in_the_middle_of_an_array_is_told_after_what_was_read(tmp_path: Path) -> None:
    content = json.dumps([ROW] * 3)[:-20].encode()
    reading = read(tmp_path / "f.json", content)
    with pytest.raises(InvalidInput, match="no JSON after row 2"):
        list(reading)


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8).filter(
    lambda word: not word.endswith(".0")  # an integer that a data frame made a float
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs"]), max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(WORDS, TEXTS, TEXTS), min_size=1, max_size=12),
    names=st.sampled_from([("item_id", "title"), ("SKU", "Product Name")]),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "gb18030"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    compress=st.sampled_from([bytes, gzip.compress, bz2.compress, zst]),
    before=st.sampled_from(["", "sep", "# written by a program"]),
)
def test_tables_in_random_dialects_are_read_back_equal(
    rows: list[tuple[str, str, str]],
    names: tuple[str, str],
    delimiter: str,
    line_end: str,
    encoding: str,
    quoting: Any,
    compress: Any,
    before: str,
    tmp_path: Path,
) -> None:
    file = io.StringIO()
    if before:
        file.write(f"sep={delimiter}{line_end}" if before == "sep" else f"{before}{line_end}")
    csv.writer(file, delimiter=delimiter, lineterminator=line_end, quoting=quoting).writerows(
        [(names[0], names[1], "note"), *rows]
    )
    reading = read(
        tmp_path / "table",
        compress(file.getvalue().encode(encoding)),
        Item,
        encoding="gb18030" if encoding == "gb18030" else "",
    )
    found = [(item.item_id, item.title, item.attributes.get("note", "")) for item in reading]
    assert reading.rejects.first == []
    assert found == [(canonical_id(name), title, note) for name, title, note in rows]
