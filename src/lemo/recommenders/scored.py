"""Scored: one recommended item before it becomes part of an answer."""

from dataclasses import dataclass

from lemo.domain.recommendation import ReasonKind


@dataclass(frozen=True, slots=True)
class Scored:
    """An item, its score (higher is better, comparable within one answer) and why it is there."""

    item_id: str
    score: float
    because: str | None
    """The touched item that speaks most for it, where `kind` is `similar`."""
    kind: ReasonKind
