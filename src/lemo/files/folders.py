"""Folders of data: recognised by their files, handed out as data sets."""

import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from lemo.domain.dataset import Dataset
from lemo.domain.errors import InvalidInput, NotFound
from lemo.domain.scenario import Template, scenario_from_template
from lemo.files import public
from lemo.files.known_folders import KNOWN_NAMES, known_folder
from lemo.files.reading import read_events, read_items

_HIGHEST_STARS = 5.0
_LOOK_AT = 1_000
"""Ratings that tell MovieTweetings, up to 10, from MovieLens, up to 5: their files have the same names and columns."""


def _films(folder: Path) -> Dataset:
    with (folder / "ratings.dat").open(encoding="utf-8", errors="replace") as lines:
        cells = [line.split("::") for line in islice(lines, _LOOK_AT)]
    ratings = [float(row[2]) for row in cells if len(row) == 4 and row[2].replace(".", "", 1).isdigit()]
    lens = bool(ratings) and max(ratings) <= _HIGHEST_STARS
    found = known_folder(folder, {"ratings.dat", "movies.dat"}) if lens else None
    return found or public.movietweetings(folder)


_READERS: tuple[tuple[frozenset[str], Callable[[Path], Dataset]], ...] = (
    (frozenset({"ratings.dat", "movies.dat"}), _films),
    (frozenset({"online_retail.parquet"}), public.online_retail),
    (frozenset({"ratings_sample.csv", "books.csv"}), public.goodbooks),
)
_FORMS = (
    *("csv", "tsv", "json", "jsonl", "ndjson", "parquet", "xlsx"),
    *(f"{form}.{packed}" for form in ("csv", "tsv", "json", "jsonl") for packed in ("gz", "zst", "zip")),
)
_ACCEPTED = (
    "A folder holds items.csv and events.csv (or .jsonl, .parquet), or one of the public data sets "
    "MovieTweetings (ratings.dat, movies.dat), Online Retail (online_retail.parquet), goodbooks-10k "
    f"(ratings_sample.csv, books.csv), {KNOWN_NAMES}."
)


def open_folder(folder: Path, template: Template = "custom") -> Dataset:
    """The data set in a folder, recognised by its files.

    `template` is the scenario's for a folder of items and events; public data sets know their own. Raises NotFound
    where there is no such folder and InvalidInput where its files say nothing.
    """
    if not folder.exists():
        raise NotFound(f"There is no folder {folder}.", "Check the path; it is read from the current folder.")
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is a file.", f"Name the folder that holds it. {_ACCEPTED}")
    names = {path.name for path in folder.iterdir()}
    for marks, reader in _READERS:
        if marks <= names:
            return reader(folder)
    if (found := known_folder(folder, names)) is not None:
        return found
    return _own(folder, names, template)


def _own(folder: Path, names: set[str], template: Template) -> Dataset:
    """Items and events in the documented columns. Bad rows go to their rejects files."""
    found: dict[str, Path] = {}
    for stem in ("items", "events"):
        there = [f"{stem}.{form}" for form in _FORMS if f"{stem}.{form}" in names]
        if len(there) > 1:
            raise InvalidInput(f"{folder} holds both {' and '.join(there)}.", "Leave only one of them there.")
        if not there:
            raise InvalidInput(f"{folder} holds no {stem}.csv, {stem}.jsonl or {stem}.parquet.", _ACCEPTED)
        found[stem] = folder / there[0]
    items, events = read_items(found["items"]), read_events(found["events"])
    return Dataset(
        name=folder.resolve().name,
        scenario=scenario_from_template(_scenario_name(folder), template),
        items=iter(items),
        events=iter(events),
        rejected=lambda: items.rejects.count + events.rejects.count,
    )


def _scenario_name(folder: Path) -> str:
    """The folder's name in the letters that a scenario's may have."""
    return re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")[:63].strip("-") or "data"
