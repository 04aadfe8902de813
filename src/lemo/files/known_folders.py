"""Folders of public data in the layouts in which they are published, recognised by the names of their files."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TypeVar

from lemo.domain.dataset import Dataset
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scenario import Template, scenario_from_template
from lemo.files.plan import NOTHING_SAID, Wishes
from lemo.files.reading import Reading
from lemo.files.rejects import Rejects

T = TypeVar("T")

_PACKED = ("", ".gz", ".zst", ".zip", ".bz2", ".xz")


@dataclass(frozen=True, slots=True)
class Known:
    """A public data set: its files, by patterns, and what nobody needs to ask about them."""

    name: str
    scenario: str
    template: Template
    events: str
    items: str = ""
    """Where empty, the items are those of the events, with the columns that are theirs."""
    beside: str = ""
    """Another file that must be there, where the names of the others are common."""
    wishes: Wishes = NOTHING_SAID
    not_items: tuple[str, ...] = ()
    """Columns of events that say nothing of the item."""


KNOWN = (
    Known("MovieLens 100K", "movielens", "vlog", "u.data", "u.item"),
    Known("MovieLens", "movielens", "vlog", "ratings.csv", "movies.csv"),
    Known("MovieLens 1M", "movielens", "vlog", "ratings.dat", "movies.dat"),
    Known("MIND", "mind", "news", "behaviors.tsv", "news.tsv"),
    Known("Last.fm", "lastfm", "music", "user_artists.dat", "artists.dat", wishes=Wishes(no_time=True)),
    Known(
        "Retailrocket",
        "retailrocket",
        "ecommerce",
        "events.csv",
        beside="category_tree.csv",
        not_items=("timestamp", "visitorid", "event", "transactionid"),
    ),
    Known(
        "REES46",
        "rees46",
        "ecommerce",
        "20??-???.csv",
        not_items=("event_time", "event_type", "user_id", "user_session"),
    ),
    Known("Amazon reviews", "amazon", "ecommerce", "[A-Z]*.jsonl", "meta_*.jsonl"),
)
KNOWN_NAMES = ", ".join(f"{each.name} ({each.events}{', ' + each.items if each.items else ''})" for each in KNOWN)


def known_folder(folder: Path, names: set[str]) -> Dataset | None:
    """The public data set in a folder, or None. Rows that are bad go to their rejects files."""
    for known in KNOWN:
        events, items, beside = (_find(pattern, names) for pattern in (known.events, known.items, known.beside))
        if events and (items or not known.items) and (beside or not known.beside):
            return _opened(folder, known, events, items)
    return None


def _find(pattern: str, names: set[str]) -> list[str]:
    """The files of a pattern, packed or not; several months of one data set are read one after the other."""
    return sorted(name for name in names if pattern and any(fnmatch(name, pattern + end) for end in _PACKED))


def _same(row: T) -> T:
    return row


def _opened(folder: Path, known: Known, events: list[str], items: list[str]) -> Dataset:
    scenario = scenario_from_template(known.scenario, known.template)
    acts: list[Reading[Event]] = [
        Reading(folder / name, Event, _same, wishes=known.wishes, actions=scenario.actions) for name in events
    ]
    things: list[Reading[Item]] = [
        Reading(folder / name, Item, _same, Rejects(folder / name, written=bool(items)), leave_out=known.not_items)
        for name in items or events
    ]
    counted: list[Reading[Event] | Reading[Item]] = [*acts, *(things if items else ())]
    return Dataset(
        name=known.name,
        scenario=scenario,
        items=_once(things) if not items else _all(things),
        events=_all(acts),
        rejected=lambda: sum(reading.rejects.count for reading in counted),
    )


def _all(readings: list[Reading[T]]) -> Iterator[T]:
    for reading in readings:
        yield from reading


def _once(readings: list[Reading[Item]]) -> Iterator[Item]:
    """The first row of each item."""
    seen: set[str] = set()
    for item in _all(readings):
        if item.item_id not in seen:
            seen.add(item.item_id)
            yield item
