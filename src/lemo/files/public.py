"""Readers of three public data sets in their own file layouts: MovieTweetings, Online Retail and goodbooks-10k.

Unlike users' files these are known to be whole, so a row that will not do is an error of the copy and raises.
"""

import csv
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from lemo.domain.dataset import Dataset
from lemo.domain.errors import InvalidInput
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.reasons import reason
from lemo.domain.scenario import ActionRule, Scenario, Template, scenario_from_template
from lemo.domain.time import EARLIEST

M = TypeVar("M", bound=BaseModel)

BOOKS_TIME = datetime(2017, 9, 1, tzinfo=UTC)
"""The moment that all events of goodbooks-10k get, as the data has none: about when it was collected."""
_GET_AGAIN = "Get the data set again; this copy is not what was published."


def movietweetings(folder: Path) -> Dataset:
    """Film ratings from 0 to 10, tweeted (Dooms et al., "MovieTweetings", CrowdRec 2013): 7 and more is liked."""
    return Dataset(
        name=folder.resolve().name,
        scenario=_rated("movietweetings", "vlog", liked_from=7),
        items=_movies(folder / "movies.dat"),
        events=_movie_ratings(folder / "ratings.dat"),
    )


def _movies(path: Path) -> Iterator[Item]:
    for where, (item_id, title, genres) in _double_colon(path, 3):
        year = re.search(r"\((\d{4})\)\s*$", title)
        yield _valid(
            Item,
            where,
            {
                "item_id": item_id,
                "title": title,
                "categories": genres,
                "published_at": _published(int(year[1])) if year else None,
            },
        )


def _movie_ratings(path: Path) -> Iterator[Event]:
    for where, (user, item, rating, seconds) in _double_colon(path, 4):
        row = {"user_id": user, "item_id": item, "action": "rate", "value": rating, "timestamp": seconds}
        yield _valid(Event, where, row)


def _double_colon(path: Path, width: int) -> Iterator[tuple[str, list[str]]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            where = f"{path}, line {number}"
            cells = line.rstrip("\n").split("::")
            if len(cells) != width:
                raise InvalidInput(f"{where} has {len(cells)} fields instead of {width}.", _GET_AGAIN)
            yield where, cells


def online_retail(folder: Path) -> Dataset:
    """A British gift shop's invoices of 2010 and 2011 (Chen, UCI 352): one purchase per line with a known customer.

    Cancellations are left out. Equal lines of an invoice stay apart, as the event id holds the row.
    """
    path = folder / "online_retail.parquet"
    return Dataset(
        name=folder.resolve().name,
        scenario=scenario_from_template("online-retail", "ecommerce"),
        items=_products(path),
        events=_purchases(path),
    )


def _invoice_lines(path: Path) -> Any:
    """The lines that count, with their row numbers, as an Arrow table."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    columns = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"]
    try:
        table = pq.read_table(path, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"{path} cannot be read: {str(error).splitlines()[0][:200]}", _GET_AGAIN) from error
    table = table.append_column("Row", pa.array(range(table.num_rows)))
    cancelled = pc.starts_with(table["InvoiceNo"], "C")
    return table.filter(pc.and_(pc.is_valid(table["CustomerID"]), pc.invert(cancelled)))


def _products(path: Path) -> Iterator[Item]:
    """One item per stock code, titled by its most frequent description (the first in the alphabet among equals)."""
    counted = _invoice_lines(path).group_by(["StockCode", "Description"]).aggregate([("Row", "count")])
    ordered = counted.sort_by([("StockCode", "ascending"), ("Row_count", "descending"), ("Description", "ascending")])
    last = None
    for row in ordered.to_pylist():
        if row["StockCode"] != last:
            last = row["StockCode"]
            title = (row["Description"] or "").strip()
            yield _valid(Item, f"{path}, stock code {last}", {"item_id": last, "title": title})


def _purchases(path: Path) -> Iterator[Event]:
    for batch in _invoice_lines(path).to_batches(10_000):
        for row in batch.to_pylist():
            yield _valid(
                Event,
                f"{path}, row {row['Row'] + 1}",
                {
                    "event_id": f"{row['InvoiceNo']}-{row['Row']}",
                    "user_id": str(int(row["CustomerID"])),
                    "item_id": row["StockCode"],
                    "action": "purchase",
                    "timestamp": row["InvoiceDate"],
                    "value": round(row["Quantity"] * row["UnitPrice"], 2),
                },
            )


def goodbooks(folder: Path) -> Dataset:
    """Book ratings from 1 to 5 (Zajac, "Goodbooks-10k", 2017): 4 and more is liked. The data has no time."""
    return Dataset(
        name=folder.resolve().name,
        scenario=_rated("goodbooks", "custom", liked_from=4),
        items=_books(folder),
        events=_book_ratings(folder / "ratings_sample.csv"),
    )


def _books(folder: Path) -> Iterator[Item]:
    genres_file = folder / "book_genres.csv"
    genres: dict[str, str] = {}
    if genres_file.exists():
        genres = {row[0]: row[1] for row in _cells(genres_file, "book_id", "genres")}
    columns = ("book_id", "title", "authors", "original_publication_year", "language_code", "image_url")
    for book, title, authors, year, language, image in _cells(folder / "books.csv", *columns):
        row: dict[str, Any] = {
            "item_id": book,
            "title": title,
            "author": authors,
            "categories": [genre for genre in genres.get(book, "").split(",") if genre],
            "published_at": _published(int(float(year))) if year else None,
            "image_url": image,
        }
        if language:
            row["language"] = language
        yield _valid(Item, f"{folder / 'books.csv'}, book {book}", row)


def _book_ratings(path: Path) -> Iterator[Event]:
    for user, book, rating in _cells(path, "user_id", "book_id", "rating"):
        row = {"user_id": user, "item_id": book, "action": "rate", "value": rating, "timestamp": BOOKS_TIME}
        yield _valid(Event, f"{path}, user {user}, book {book}", row)


def _cells(path: Path, *columns: str) -> Iterator[tuple[str, ...]]:
    with path.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        missing = set(columns) - set(reader.fieldnames or ())
        if missing:
            raise InvalidInput(f"{path} has no column {', '.join(sorted(missing))}.", _GET_AGAIN)
        for row in reader:
            yield tuple(row[column] or "" for column in columns)


def _rated(scenario_id: str, template: Template, liked_from: float) -> Scenario:
    scenario = scenario_from_template(scenario_id, template)
    rule = ActionRule(weight=scenario.actions["rate"].weight, min_value=liked_from)
    return scenario.model_copy(update={"actions": {**scenario.actions, "rate": rule}})


def _published(year: int) -> datetime | None:
    """The first day of a year that an item can be new in; older ones count as undated."""
    return datetime(year, 1, 1, tzinfo=UTC) if EARLIEST.year <= year <= 2100 else None


def _valid(model: type[M], where: str, row: dict[str, Any]) -> M:
    try:
        return model.model_validate(row)
    except ValidationError as error:
        raise InvalidInput(f"{where}: {reason(error)}.", _GET_AGAIN) from error
