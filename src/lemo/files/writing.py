"""Files of rows: CSV, JSON lines or Parquet by the name, complete or not there."""

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic_core import to_json

from lemo.domain.errors import InvalidInput
from lemo.files.form import Form, form_of

_ROW_GROUP = 4_096
Row = Mapping[str, Any]


def checked_form_to_write(path: Path, forms: Sequence[Form] = (Form.csv, Form.jsonl, Form.parquet)) -> Form:
    """The form by the name of a file to write; raises InvalidInput unless it is one of `forms`."""
    form = form_of(path)
    if form is None or form not in forms or path.suffix.lower() == ".gz":
        names = [f".{each.name}" for each in forms]
        hint = f"Name it {', '.join(names[:-1])} or {names[-1]}."
        raise InvalidInput(f"{path}: an export cannot be written in this form.", hint)
    if not path.absolute().parent.is_dir():
        raise InvalidInput(f"There is no folder {path.parent}.", "Make it first, or write somewhere else.")
    return form


def write_rows(path: Path, schema: pa.Schema, rows: Iterable[Row]) -> int:
    """Writes rows into a file, which appears when it is complete; returns their number.

    The `schema` names the columns of CSV and Parquet; lists in CSV are `a|b`. Raises InvalidInput where the file cannot
    be written.
    """
    form = checked_form_to_write(path)
    write: Callable[[Path, pa.Schema, Iterable[Row]], int] = {
        Form.csv: _write_csv,
        Form.jsonl: _write_jsonl,
        Form.parquet: _write_parquet,
    }[form]
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        count = write(part, schema, rows)
        part.replace(path)
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be written: {error.strerror or error}.", "Check the disk and the permissions."
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return count


def _write_jsonl(path: Path, _schema: pa.Schema, rows: Iterable[Row]) -> int:
    count = 0
    with path.open("wb") as file:
        for row in rows:
            file.write(to_json(row) + b"\n")
            count += 1
    return count


def _write_parquet(path: Path, schema: pa.Schema, rows: Iterable[Row]) -> int:
    count = 0
    with pq.ParquetWriter(path, schema) as file:
        for group in _groups(rows):
            file.write_table(pa.Table.from_pylist(group, schema=schema))
            count += len(group)
        if not count:
            file.write_table(schema.empty_table())
    return count


def _write_csv(path: Path, schema: pa.Schema, rows: Iterable[Row]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(schema.names)
        for row in rows:
            writer.writerow([_cell(row.get(name)) for name in schema.names])
            count += 1
    return count


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return "|".join(str(part) for part in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rest = iter(rows)
    while group := list(islice(rest, _ROW_GROUP)):
        yield group
