"""The ranker: trees that put the candidates of all sources into order (LambdaRank; Burges, 2010)."""

from pydantic import BaseModel, ConfigDict

from lemo.recommenders.evidence import HalfLives
from lemo.recommenders.trees import Trees


class Ranker(BaseModel):
    """A taught ranker: part of a configuration, as it knows no item and no user, only what makes a candidate good."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    half_lives: HalfLives
    """Of the evidence that the trees were taught on."""
    trees: Trees
