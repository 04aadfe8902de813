"""Folders of data: recognised by their files, handed out as data sets."""

import re
from collections.abc import Callable
from pathlib import Path

from lemo.domain.dataset import Dataset
from lemo.domain.errors import InvalidInput, NotFound
from lemo.domain.scenario import Template, scenario_from_template
from lemo.files import public
from lemo.files.reading import read_events, read_items

_READERS: tuple[tuple[frozenset[str], Callable[[Path], Dataset]], ...] = (
    (frozenset({"ratings.dat", "movies.dat"}), public.movietweetings),
    (frozenset({"online_retail.parquet"}), public.online_retail),
    (frozenset({"ratings_sample.csv", "books.csv"}), public.goodbooks),
)
_FORMS = ("csv", "jsonl", "parquet", "csv.gz", "jsonl.gz")
_ACCEPTED = (
    "A folder holds items.csv and events.csv (or .jsonl, .parquet), or one of the public data sets "
    "MovieTweetings (ratings.dat, movies.dat), Online Retail (online_retail.parquet) and goodbooks-10k "
    "(ratings_sample.csv, books.csv)."
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
