"""Raw rows of Parquet files, batch by batch, in types that items and events understand."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic_core import from_json, to_json

from lemo.domain.errors import InvalidInput
from lemo.files.containers import open_bytes
from lemo.files.rows import NUL, Row, Tell, Unreadable

BATCH = 10_000


def parquet_rows(path: Path, known: Collection[str], ids: Collection[str], tell: Tell) -> Iterator[Row]:
    """The rows of a file, numbered from 1; nulls are left out.

    Columns that are not `known` become attributes, so they are brought into what JSON can say (NaN is left out there,
    and stays for validation to refuse in known columns). `ids` are columns of ids, which a data frame may have made
    floats. Raises InvalidInput for a file that is damaged.
    """
    number = 0
    with open_bytes(path) as stream:
        try:
            with pq.ParquetFile(stream) as file:
                for batch in file.iter_batches(BATCH):
                    for row in arrow_rows(batch, known, ids):
                        number += 1
                        yield number, row
                    tell(number)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, error, number) from error


def arrow_rows(batch: Any, known: Collection[str], ids: Collection[str]) -> Iterator[dict[str, Any] | Unreadable]:
    """The rows of an Arrow batch, as those of `parquet_rows`."""
    columns = [
        (name, _listed(_plain(column, name in ids or name.endswith("_id")), name in known))
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    for index in range(batch.num_rows):
        row = {name: cells[index] for name, cells in columns if cells[index] is not None}
        if any(isinstance(cell, str) and "\x00" in cell for cell in row.values()):
            yield Unreadable(NUL, "")
        else:
            yield row


def parquet_names(path: Path) -> tuple[str, ...]:
    """The columns of a file; raises InvalidInput where it is damaged."""
    try:
        return tuple(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error, 0) from error


def _damaged(path: Path, error: Exception, number: int) -> InvalidInput:
    return InvalidInput(
        f"{path} is damaged, or no Parquet file: {str(error).splitlines()[0][:200]}",
        f"Write it again; {number:,} rows before the damage were read." if number else "Write it again.",
    )


def count_parquet_rows(path: Path) -> int:
    """How many rows the file says it has; 0 where that cannot be read."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError):
        return 0


def _plain(column: Any, is_id: bool) -> Any:
    """Brings times to microseconds and ids that a data frame made floats back to integers."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.dictionary_decode(), is_id)
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return column.cast(pa.timestamp("us", kind.tz), safe=False)
    if pa.types.is_date(kind):
        return column.cast(pa.timestamp("us"))
    if pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    if is_id and pa.types.is_floating(kind) and _is_whole(column):
        return column.cast(pa.int64())
    return column


def _is_whole(column: Any) -> bool:
    rounded = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), 2.0**53))
    return pc.all(pc.fill_null(rounded, True)).as_py() is not False


def _listed(column: Any, known: bool) -> list[Any]:
    """A column's cells as Python values; those of unknown columns as JSON can say them."""
    cells: list[Any] = column.to_pylist()
    kind = column.type
    if known or pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_boolean(kind):
        return cells
    return [
        None if cell is None else from_json(to_json(cell, inf_nan_mode="null", bytes_mode="base64", fallback=str))
        for cell in cells
    ]
