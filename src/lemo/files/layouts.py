"""Public files that have no header, or hold several events a row: recognised by the shape of their rows."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.files.moments import numbered

Row = dict[str, Any]
Cells = list[str]

_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
_ASIN = re.compile(r"[0-9B][0-9A-Z]{9}$")
_REVIEWER = re.compile(r"A[0-9A-Z]{11,20}$")
_STARS = re.compile(r"-?\d{1,2}(\.\d+)?$")
_ISO_Z = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
_SHA1 = re.compile(r"[0-9a-f]{40}$")
_SECONDS = re.compile(r"\d{9,10}$|\d{13}$")
_NUMBER = re.compile(r"-?\d+(\.\d+)?$")
_US_MOMENT = re.compile(r"\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d\d:\d\d [AP]M$")
_SHOWN = re.compile(r"\S+-[01](?: \S+-[01])*$")
_YEAR = re.compile(r"\((\d{4})\)\s*$")


@dataclass(frozen=True, slots=True)
class Layout:
    """A file whose rows are known."""

    name: str
    model: type[BaseModel]
    fits: Callable[[str, Cells], bool]
    """Whether a row, by the file's delimiter and its cells, is of this layout."""
    read: Callable[[Cells], list[Row]]
    """The rows of items or events that a row holds."""
    encoding: str = "utf-8"
    """What it was published in, where it is not UTF-8 that it holds."""
    note: str = ""
    """What is left out."""
    timeless: bool = False
    """Whether the rows have no times."""


def layout_of(model: type[BaseModel], delimiter: str, rows: Sequence[Cells]) -> Layout | None:
    """The layout that all rows have, or None."""
    for layout in LAYOUTS:
        if layout.model is model and rows and all(layout.fits(delimiter, cells) for cells in rows):
            return layout
    return None


def _fits_ratings(_delimiter: str, cells: Cells) -> bool:
    return (
        len(cells) == 4
        and all(cell and " " not in cell for cell in cells[:2])
        and bool(_NUMBER.match(cells[2]))
        and abs(float(cells[2])) <= 100
        and bool(_SECONDS.match(cells[3]))
    )


def _rating(cells: Cells) -> list[Row]:
    user, item, value, moment = cells
    return [{"user_id": user, "item_id": item, "action": "rate", "value": value, "timestamp": moment}]


def _fits_amazon(delimiter: str, cells: Cells) -> bool:
    return _fits_ratings(delimiter, cells) and bool(_ASIN.match(cells[0]) and _REVIEWER.match(cells[1]))


def _amazon(cells: Cells) -> list[Row]:
    return _rating([cells[1], cells[0], *cells[2:]])


def _fits_bare_ratings(_delimiter: str, cells: Cells) -> bool:
    return len(cells) == 3 and all(cell and " " not in cell for cell in cells[:2]) and bool(_STARS.match(cells[2]))


def _bare_rating(cells: Cells) -> list[Row]:
    return [{"user_id": cells[0], "item_id": cells[1], "action": "rate", "value": cells[2]}]


def _fits_taobao(_delimiter: str, cells: Cells) -> bool:
    return len(cells) == 5 and cells[3] in ("pv", "buy", "cart", "fav") and bool(_SECONDS.match(cells[4]))


def _taobao(cells: Cells) -> list[Row]:
    user, item, category, word, moment = cells
    return [{"user_id": user, "item_id": item, "action": word, "timestamp": moment, "category": category}]


def _fits_yoochoose(_delimiter: str, cells: Cells) -> bool:
    return len(cells) in (4, 5) and cells[0].isdigit() and bool(_ISO_Z.match(cells[1])) and cells[2].isdigit()


def _yoochoose(cells: Cells) -> list[Row]:
    row: Row = {"user_id": cells[0], "item_id": cells[2], "timestamp": cells[1]}
    if len(cells) == 4:
        return [{**row, "action": "click", "category": cells[3]}]
    return [{**row, "action": "purchase", "value": cells[3], "quantity": cells[4]}]


def _fits_listens(delimiter: str, cells: Cells) -> bool:
    return delimiter == "\t" and len(cells) == 6 and cells[0].startswith("user_") and bool(_ISO_Z.match(cells[1]))


def _listen(cells: Cells) -> list[Row]:
    user, moment, _, artist, track, title = cells
    item = track or f"{artist} - {title}"  # MusicBrainz knows most tracks, not all
    return [{"user_id": user, "item_id": item, "action": "play", "timestamp": moment, "artist": artist, "track": title}]


def _fits_artists(delimiter: str, cells: Cells) -> bool:
    return delimiter == "\t" and len(cells) == 4 and bool(_SHA1.match(cells[0])) and cells[3].strip().isdigit()


def _artist(cells: Cells) -> list[Row]:
    user, musicbrainz, artist, plays = cells
    return [
        {"user_id": user, "item_id": musicbrainz or artist, "action": "play", "value": plays.strip(), "artist": artist}
    ]


def _fits_u_item(delimiter: str, cells: Cells) -> bool:
    return delimiter == "|" and len(cells) == 5 + len(_GENRES) and all(flag in ("0", "1") for flag in cells[5:])


def _u_item(cells: Cells) -> list[Row]:
    genres = [genre for genre, flag in zip(_GENRES, cells[5:], strict=True) if flag == "1" and genre != "unknown"]
    row: Row = {"item_id": cells[0], "title": cells[1], "categories": genres}
    if cells[2]:
        row["published_at"] = cells[2]
    if cells[4]:
        row["url"] = cells[4]
    return [row]


def _fits_movies(delimiter: str, cells: Cells) -> bool:
    return delimiter == "::" and len(cells) == 3 and cells[0].isdigit()


def _movie(cells: Cells) -> list[Row]:
    row: Row = {"item_id": cells[0], "title": cells[1], "categories": cells[2]}
    if year := _YEAR.search(cells[1]):
        row["published_at"] = f"{year[1]}-01-01"
    return [row]


def _fits_behaviors(delimiter: str, cells: Cells) -> bool:
    if delimiter != "\t" or len(cells) != 5:
        return False
    return bool(_US_MOMENT.match(cells[2]) and _SHOWN.match(cells[4].strip()))


_us_moment = numbered("mdy")


def _behavior(cells: Cells) -> list[Row]:
    number, user, moment, _history, shown = cells
    rows: list[Row] = []
    for position, entry in enumerate(shown.split()):
        item, _, clicked = entry.rpartition("-")
        row = {"user_id": user, "item_id": item, "timestamp": _us_moment(moment), "request_id": number}
        rows.append({**row, "action": "impression", "position": position})
        if clicked == "1":
            rows.append({**row, "action": "click", "position": position})
    return rows


def _fits_news(delimiter: str, cells: Cells) -> bool:
    return delimiter == "\t" and len(cells) == 8 and all(cell[:1] in ("[", "") for cell in cells[6:])


def _news(cells: Cells) -> list[Row]:
    item, category, subcategory, title, abstract, url = cells[:6]
    row = {"item_id": item, "title": title, "description": abstract, "url": url}
    return [{**row, "categories": list(dict.fromkeys(label for label in (category, subcategory) if label))}]


LAYOUTS = (
    Layout("Amazon's ratings of 2018 (item, user, rating, Unix time)", Event, _fits_amazon, _amazon),
    Layout("ratings (user, item, rating, Unix time)", Event, _fits_ratings, _rating),
    Layout("ratings (user, item, rating)", Event, _fits_bare_ratings, _bare_rating, timeless=True),
    Layout("Taobao's UserBehavior.csv", Event, _fits_taobao, _taobao),
    Layout("YooChoose", Event, _fits_yoochoose, _yoochoose, note="A session is taken for a user."),
    Layout("Last.fm 1K", Event, _fits_listens, _listen),
    Layout("Last.fm 360K", Event, _fits_artists, _artist, timeless=True),
    Layout("MovieLens u.item", Item, _fits_u_item, _u_item, encoding="latin-1"),
    Layout("MovieLens movies.dat", Item, _fits_movies, _movie, encoding="latin-1"),
    Layout(
        "MIND behaviors.tsv",
        Event,
        _fits_behaviors,
        _behavior,
        note="Each row becomes impressions and clicks; the history in it has no times and is left out.",
    ),
    Layout("MIND news.tsv", Item, _fits_news, _news, note="The entities in titles and abstracts are left out."),
)
"""In the order in which they are tried."""


def published_encoding(sample: bytes) -> str:
    """Latin-1 for the two public layouts of films that were published in it, else nothing: bytes do not say it."""
    lines = sample.decode("latin-1").split("\n")[:-1][:50]
    for delimiter in ("|", "::"):
        found = layout_of(Item, delimiter, [line.rstrip("\r").split(delimiter) for line in lines])
        if found is not None:
            return found.encoding
    return ""
