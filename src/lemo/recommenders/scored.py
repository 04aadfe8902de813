"""Scored: one recommended item before it becomes part of an answer."""

from typing import NamedTuple

from lemo.domain.recommendation import ReasonKind


class Scored(NamedTuple):
    """An item, its score (higher is better, comparable within one answer) and why it is there."""

    item_id: str
    score: float
    because: str | None
    """The touched item that speaks most for it, where `kind` is `similar`."""
    kind: ReasonKind
