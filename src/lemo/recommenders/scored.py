"""One recommended item with its score."""

from typing import NamedTuple

from lemo.domain.recommendation import ReasonKind


class Scored(NamedTuple):
    """An item, its score (higher is better, comparable within one answer) and its reason."""

    item_id: str
    score: float
    because: str | None
    """The item of the history that contributes most to the score, where `kind` is `similar`."""
    kind: ReasonKind
