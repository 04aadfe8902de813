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
    explored: bool = False
    """Whether chance put it into the answer, to learn of it."""
    propensity: float | None = None
    """Of what was explored, the probability with which it was; None where caps decide too."""
    team: str | None = None
    """In an interleaved answer the arm that the item came from, which its clicks count for."""
