"""What an import held: actions, the span of times and what lies far from it, ids that are words for nothing."""

from array import array
from collections import Counter
from datetime import datetime
from typing import Any

import numpy as np

from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.time import from_milliseconds, milliseconds
from lemo.files.cells import NULL_WORDS, is_null_word

_DAY_MS = 86_400_000
_FAR_DAYS = 180
"""A gap below this many days makes no outlier."""
_FEWEST = 20
"""Rows below which nothing is called an outlier."""
_NULL_IDS = frozenset(
    form
    for word in NULL_WORDS
    for form in (word, word.upper(), word.capitalize(), {"nan": "NaN", "<na>": "<NA>"}.get(word, word))
)
_ATTRIBUTES = 500
"""Attributes whose types are counted."""


class Tally:
    """Counts the good rows of an import; 8 bytes an event."""

    def __init__(self) -> None:
        self.actions: Counter[str] = Counter()
        self.nulls: Counter[str] = Counter()
        """Ids that are words for nothing, such as NaN, and how often they came."""
        self.types: dict[str, Counter[str]] = {}
        """For attributes of items, the types of their values."""
        self._times = array("q")

    def add(self, model: Event | Item) -> None:
        """Counts one row."""
        if isinstance(model, Event):
            self.add_event(model.user_id, model.item_id, model.action, milliseconds(model.timestamp))
            return
        for name, value in model.attributes.items():
            if value is not None and (name in self.types or len(self.types) < _ATTRIBUTES):
                self.types.setdefault(name, Counter())[_type_of(value)] += 1
        self._count_null(model.item_id)

    def add_event(self, user_id: str, item_id: str, action: str, moment_ms: int) -> None:
        """Counts one event, by what matters of it."""
        self.actions[action] += 1
        self._times.append(moment_ms)
        if user_id in _NULL_IDS or item_id in _NULL_IDS:
            self._count_null(user_id)
            self._count_null(item_id)

    def _count_null(self, id: str) -> None:
        if id in _NULL_IDS:
            self.nulls[id] += 1

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """The first and the last moment."""
        return (from_milliseconds(min(self._times)), from_milliseconds(max(self._times))) if self._times else None

    def outliers(self) -> list[str]:
        """Sentences on the few events that lie far from the rest in time: up to 1 in 100, on either side."""
        times = np.sort(np.frombuffer(self._times, np.int64)) if self._times else np.zeros(0, np.int64)
        if len(times) < _FEWEST:
            return []
        told = []
        few = max(1, len(times) // 100)
        bulk = int(times[-few - 1] - times[few])
        least = max(_FAR_DAYS * _DAY_MS, 2 * bulk)
        for gaps, side in ((np.diff(times[-few - 1 :])[::-1], "after"), (np.diff(times[: few + 1]), "before")):
            # A gap at place k parts k + 1 events from the rest.
            place = int(np.argmax(gaps))
            if gaps[place] > least:
                count = place + 1
                length = _length(int(gaps[place]))
                edge = from_milliseconds(int(times[-1] if side == "after" else times[0]))
                are = "event is" if count == 1 else "events are"
                told.append(f"{count:,} {are} {length} {side} the rest ({edge:%Y-%m-%d}).")
        return told

    def mixed(self) -> list[str]:
        """Sentences on attributes whose values are of several types."""
        return [
            f"{name} holds {' and '.join(f'{count:,} {kind}' for kind, count in kinds.most_common())}."
            for name, kinds in self.types.items()
            if len(kinds) > 1
        ]

    def as_json(self) -> dict[str, Any]:
        """What programs are told."""
        span = self.span
        return {
            "actions": dict(self.actions.most_common()),
            "first_event_at": span[0] if span else None,
            "last_event_at": span[1] if span else None,
            "outliers": self.outliers(),
            "null_ids": dict(self.nulls),
            "mixed_attributes": {name: dict(kinds) for name, kinds in self.types.items() if len(kinds) > 1},
        }


def _length(gap_ms: int) -> str:
    days = gap_ms // _DAY_MS
    return f"{round(days / 365)} years" if days >= 2 * 365 else f"{days} days"


def _type_of(value: Any) -> str:
    if isinstance(value, str):
        if is_null_word(value):
            return "words for nothing"
        try:
            float(value)
        except ValueError:
            return "texts"
        return "numbers"  # of text files, all cells are texts
    if isinstance(value, bool):
        return "booleans"
    return {int: "numbers", float: "numbers", list: "lists", dict: "objects"}.get(type(value), "texts")
