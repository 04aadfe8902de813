"""Popularity: how much an item is liked by everybody, recent interactions counting more."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field
from scipy import sparse

from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.data.source_scores import SourceScores
from lemo.recommenders.interfaces import SourceConfig

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix


class PopularityConfig(SourceConfig):
    """Parameters of popularity."""

    source: str = "popularity"
    half_life_ms: Annotated[float, Field(gt=0)] | None = None
    """Half-life (milliseconds) of interactions; None does not decay."""


class Popularity:
    """The same scores for every user: the decayed weight of all positive interactions with an item."""

    Config: ClassVar[type[SourceConfig]] = PopularityConfig
    personal: ClassVar[bool] = False
    scores_unseen: ClassVar[bool] = False

    def __init__(self, config: SourceConfig, weights: Array) -> None:
        self._config = config
        self.weights = weights
        """float64 (items,): decayed weight of each item."""

    @property
    def config(self) -> SourceConfig:
        """The parameters that it was fitted with."""
        return self._config

    @classmethod
    def fit_many(cls, interactions: Interactions, configs: Sequence[PopularityConfig]) -> Iterator[Self]:
        """One fitted source per configuration, in order."""
        for config in configs:
            yield cls(config, popularity(interactions, config.half_life_ms))

    def scores(self, queries: CSR) -> SourceScores:
        """The weights, once for each query."""
        return SourceScores.of(sparse.csr_matrix(np.tile(self.weights, (queries.shape[0], 1))))

    def because(self, items: Array, queried: Array, weights: Array) -> Array:  # noqa: ARG002 - of the protocol
        """Nothing in the user's history makes an item popular."""
        return np.full(len(items), -1)

    def to_arrays(self) -> dict[str, Array]:
        """The weights."""
        return {"weights": self.weights}

    @classmethod
    def from_arrays(cls, config: Any, arrays: Mapping[str, Array], items: int) -> Self:  # noqa: ARG003
        """What `to_arrays` gave."""
        return cls(config, np.asarray(arrays["weights"]))


MOST_OF_A_PAIR = 5.0
"""In typical weights: a user who comes back to an item likes it more, one who comes a thousand times is no crowd."""


def popularity(interactions: Interactions, half_life_ms: float | None = None) -> Array:
    """float64 (items,): the sum of each item's positive weights, decayed by their age before now.

    One user adds at most `MOST_OF_A_PAIR` to an item, however often they come back to it.
    """
    sums = interactions.csr(half_life_ms)
    most = MOST_OF_A_PAIR * interactions.mean_weight
    return np.bincount(sums.indices, np.minimum(sums.data, most), minlength=len(interactions.item_ids))


def z_scores(values: Array) -> Array:
    """The values minus their mean, over their standard deviation (float64); zeros where all are equal."""
    if len(values) == 0:
        return np.zeros(0)
    spread = float(values.std())
    mean = float(values.mean())
    if spread <= 1e-12 * max(abs(mean), 1e-300):
        return np.zeros(len(values))
    return np.asarray((values - mean) / spread)
