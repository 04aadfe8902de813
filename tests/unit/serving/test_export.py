"""Files of users in, files of answers out."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lemo.domain.errors import InvalidInput, NotFound
from lemo.serving.export import read_users, write_export

ROWS: list[dict[str, Any]] = [
    {"user_id": 'user "7"/北京', "items": [{"item_id": "a b", "score": 1.5, "reason": "popular now"}]},
    {"user_id": "nobody", "items": []},
]


def test_jsonl_holds_a_row_a_line(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert write_export(out, iter(ROWS)) == 2
    assert [json.loads(line) for line in out.read_text().splitlines()] == ROWS
    assert list(tmp_path.iterdir()) == [out]


def test_parquet_holds_the_same_rows(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    assert write_export(out, iter(ROWS)) == 2
    assert pq.read_table(out).to_pylist() == ROWS
    assert write_export(out, iter([])) == 0
    assert pq.read_table(out).num_rows == 0


def test_a_failed_export_leaves_the_former_file(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("former\n")

    def rows() -> Iterator[dict[str, Any]]:
        yield ROWS[0]
        raise NotFound("The rest is gone.")

    with pytest.raises(NotFound):
        write_export(out, rows())
    assert out.read_text() == "former\n"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("name", ["out.csv", "out", "out.xlsx", "out.jsonl.gz", "no/such/folder/out.jsonl"])
def test_other_forms_and_places_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput):
        write_export(tmp_path / name, ROWS)


def test_users_come_from_any_form(tmp_path: Path) -> None:
    expected = {user: user for user in ("u 1", "北京/2", "3")}
    text = tmp_path / "users.txt"
    text.write_text("\ufeffu 1\r\n\n北京/2\n3\nu 1", encoding="utf-8")
    csv = tmp_path / "users.csv"
    csv.write_text("name,user_id\nAnn,u 1\nBo,北京/2\nCy,3\nAnn,u 1\n")
    jsonl = tmp_path / "users.jsonl"
    jsonl.write_text("\n".join(json.dumps({"user_id": user}) for user in ("u 1", "北京/2", 3, "u 1")))
    parquet = tmp_path / "users.parquet"
    pq.write_table(pa.table({"user_id": ["u 1", "北京/2", "3", "u 1"]}), parquet)
    for path in (text, csv, jsonl, parquet):
        assert read_users(path) == expected, path.name


def test_ids_are_read_as_an_import_reads_them_and_told_as_the_file_writes_them(tmp_path: Path) -> None:
    floats = {"17850.0": "17850", "12347.0": "12347"}
    text = tmp_path / "users.txt"
    text.write_text("17850.0\n12347.0\n")
    csv = tmp_path / "users.csv"
    csv.write_text("user_id\n17850.0\n12347.0\n")
    assert read_users(text) == read_users(csv) == floats
    jsonl = tmp_path / "users.jsonl"
    jsonl.write_text('{"user_id": 17850.0}\n{"user_id": 12347.0}\n')
    assert list(read_users(jsonl).values()) == list(floats.values())
    csv.write_text("user_id\n17850.0\nnan\n")  # a data frame with a gap
    assert read_users(csv) == {"17850.0": "17850", "nan": "nan"}
    text.write_text("2.0\nbeta\n")  # not all are floats: 2.0 is a name
    assert read_users(text) == {"2.0": "2.0", "beta": "beta"}


def test_files_that_name_no_users_are_refused_with_the_line(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_users(tmp_path / "absent.txt")
    empty = tmp_path / "empty.txt"
    empty.touch()
    with pytest.raises(InvalidInput, match="no user"):
        read_users(empty)
    csv = tmp_path / "users.csv"
    csv.write_text("name\nAnn\n")
    with pytest.raises(InvalidInput, match="user_id"):
        read_users(csv)
    jsonl = tmp_path / "users.jsonl"
    jsonl.write_text('{"user_id": "a"}\n{"user_id": null}\n')
    with pytest.raises(InvalidInput, match="line 2"):
        read_users(jsonl)
    binary = tmp_path / "users.txt"
    binary.write_bytes(b"fine\n\xff\xfe\n")
    with pytest.raises(InvalidInput, match="line 2"):
        read_users(binary)
