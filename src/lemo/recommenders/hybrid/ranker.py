"""The ranker: trees that put the candidates of all sources into order (LambdaRank; Burges, 2010)."""

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from lemo.recommenders.hybrid.ranking_features import Candidates, HalfLives
from lemo.recommenders.hybrid.trees import Trees

Array = np.ndarray[Any, Any]


class TreeRanker(BaseModel):
    """A trained ranker. It depends on features alone, not on users or items, and so it is part of a configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    half_lives: HalfLives
    """Half-lives of the ranking features that the trees were trained on."""
    trees: Trees
    start: float = 0.0
    """Weight of the normalised hybrid score, to which the trees add."""

    def scores(self, candidates: Candidates) -> Array:
        """float64 (rows,): the larger, the better."""
        return np.asarray(self.start * candidates.normalised + self.trees.scores(candidates.features))
