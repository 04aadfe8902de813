"""Batch export: users from a file, answers into a file."""

from collections.abc import Iterable, Iterator
from math import isfinite
from pathlib import Path
from typing import Any

import pyarrow as pa

from lemo.domain.errors import InvalidInput
from lemo.domain.ids import canonical_id
from lemo.domain.recommendation import Answer
from lemo.files.cells import id_converter
from lemo.files.containers import open_bytes
from lemo.files.form import Form, form_of
from lemo.files.rows import Unreadable, check_columns
from lemo.files.table import SAMPLE_ROWS, open_table
from lemo.files.writing import checked_form_to_write, write_rows

SCHEMA = pa.schema(
    [
        ("user_id", pa.string()),
        (
            "items",
            pa.list_(pa.struct([("item_id", pa.string()), ("score", pa.float64()), ("reason", pa.string())])),
        ),
    ]
)
_COLUMNS = ("user_id",)


def export_row(user_id: str, answer: Answer) -> dict[str, Any]:
    """The exported row of a user: `{"user_id", "items": [{"item_id", "score", "reason"}, ...]}`, best item first."""
    return {"user_id": user_id, "items": [item.model_dump() for item in answer.items]}


def checked_export_form(path: Path) -> Form:
    """The file format by the name of an export file; raises InvalidInput unless it is JSONL or Parquet."""
    return checked_form_to_write(path, (Form.jsonl, Form.parquet))


def write_export(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Writes the rows into a JSONL or Parquet file, which appears when it is complete. Returns their number."""
    checked_export_form(path)
    return write_rows(path, SCHEMA, rows)


def read_users(path: Path) -> dict[str, str]:
    """The id of each user in a file, in its order, by the id as the file writes it.

    CSV, JSONL and Parquet have a column `user_id`; any other file has one id a line. Ids are read as an import reads
    them: where all are floats (`17850.0`), they are integers. Raises NotFound and InvalidInput, with the line.
    """
    written = [user.strip() for user in (_lines(path) if form_of(path) is None else _column(path))]
    if not written:
        raise InvalidInput(f"{path} names no user.", "Write one user id a line, or a file with a column user_id.")
    convert = id_converter(written[:SAMPLE_ROWS])
    return {user: canonical_id(convert(user)) for user in written}


def _column(path: Path) -> Iterator[str]:
    table = open_table(path, _COLUMNS)
    if not table.named_by_row:
        check_columns(path, table.names, _COLUMNS)
    for line, row in table.rows(known=_COLUMNS, ids=_COLUMNS):
        if isinstance(row, Unreadable):
            raise InvalidInput(f"{path}, line {line}: {row.reason}.", "Correct the line.")
        user_id = row.get("user_id")
        if isinstance(user_id, float) and isfinite(user_id):  # as an event's
            user_id = int(user_id) if user_id.is_integer() and abs(user_id) < 2**53 else str(user_id)
        if isinstance(user_id, bool) or not isinstance(user_id, str | int) or user_id == "":
            raise InvalidInput(f"{path}, line {line}: there is no user_id, or it is no text.", "Correct the line.")
        yield str(user_id)


def _lines(path: Path) -> Iterator[str]:
    with open_bytes(path) as file:
        for line, raw in enumerate(file, start=1):
            try:
                user_id = raw.decode("utf-8-sig" if line == 1 else "utf-8").strip("\r\n")
            except UnicodeDecodeError as error:
                raise InvalidInput(f"{path}, line {line}: is not UTF-8 text.", "Save the file as UTF-8.") from error
            if len(user_id) > 256:
                raise InvalidInput(f"{path}, line {line}: longer than any id (256).", "Write one user id a line.")
            if user_id.strip():
                yield user_id
