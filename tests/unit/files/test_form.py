"""A file that is not what its name says is told so, with what to do, before anything is read."""

import gzip
from pathlib import Path

import pytest

from lemo.domain.errors import InvalidInput, LemoError, NotFound
from lemo.files.form import Form, checked_form
from lemo.files.reading import read_events, read_items

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
HTML = b"<!DOCTYPE html><html><body>Please log in</body></html>"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("items.csv", PNG, "a PNG picture"),
        ("items.csv", b"%PDF-1.7", "a PDF document"),
        ("items.csv", b"PK\x03\x04xl/workbook.xml", "damaged ZIP archive"),
        ("items.csv", gzip.compress(gzip.compress(b"item_id\na\n", mtime=0), mtime=0), "compressed twice"),
        ("items.csv", b"PAR1....", "damaged, or no Parquet"),
        ("items.parquet", HTML, "an HTML page"),
        ("items.parquet", b"item_id\na\n", "starts with the bytes PAR1"),
        ("items.parquet", b"PAR1" + b"x" * 100, "damaged"),
        ("items.jsonl", HTML, "an HTML page"),
        ("items.csv", bytes(range(256)) * 20 + bytes(2_000), "binary data"),
        ("items.csv", "item_id,title\na,été\n".encode("latin-1"), "line 2 holds the byte 0xe9"),
        ("items.csv", "item_id,title\na,标题\n".encode("gb18030"), "not UTF-8"),
        ("items.csv", b"", "is empty"),
        ("items.jsonl", b" \n\n", "is empty"),
        ("items.parquet", b"", "is empty"),
        ("items.csv", b"number,title\na,b\n", "has no column item_id; it has: number, title"),
        ("items.csv", b"item_id,title,title\na,b,c\n", "column title more than once"),
        ("items.csv", b"item_id\x00,title,description\na,b,c\n", "no column item_id"),
    ],
)
def test_what_it_is_not(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        list(read_items(path))
    assert told in str(caught.value)
    assert name in caught.value.message
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="There is no file"):
        read_items(tmp_path / "none.csv")
    with pytest.raises(InvalidInput, match="is a folder"):
        read_items(tmp_path)


def test_events_need_their_columns(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("item_id,action\na,click\n")
    with pytest.raises(LemoError, match="no column user_id, timestamp"):
        read_events(path)


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.CSV", Form.csv), ("a.csv.gz", Form.csv), ("a.ndjson", Form.jsonl), ("a.json", Form.jsonl)],
)
def test_names(tmp_path: Path, name: str, form: Form) -> None:
    content = b"item_id\na\n" if form is Form.csv else b'{"item_id": "a"}\n'
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert checked_form(tmp_path / name) is form
    assert [item.item_id for item in read_items(tmp_path / name)] == ["a"]


def test_a_character_cut_by_the_sample_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item_id,title\n" + "".join(f"{n},{'中' * 101}\n" for n in range(1_000)))
    assert sum(1 for _ in read_items(path)) == 1_000
