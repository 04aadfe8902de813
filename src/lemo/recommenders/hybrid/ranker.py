"""The ranker: trees that put the candidates of all sources into order (LambdaRank; Burges, 2010)."""

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from lemo.recommenders.hybrid.ranking_features import Candidates, HalfLives
from lemo.recommenders.hybrid.trees import Trees

Array = np.ndarray[Any, Any]


class TreeRanker(BaseModel):
    """A taught ranker: part of a configuration, as it knows no item and no user, only what makes a candidate good."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    half_lives: HalfLives
    """Of the evidence that the trees were taught on."""
    trees: Trees
    start: float = 0.0
    """How much the blend's own score counts, among the candidates of a user, before the trees are asked."""

    def scores(self, candidates: Candidates) -> Array:
        """float64 (rows,): the larger, the better."""
        return np.asarray(self.start * candidates.normalised + self.trees.scores(candidates.features))
