"""The protocols of the recommenders: what scores items for users, what orders candidates, what answers."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse

from lemo.domain.interaction import Interaction
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.data.source_scores import SourceScores
from lemo.recommenders.scored import Scored

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix


class SourceConfig(BaseModel):
    """Parameters of one source, and how much it counts in a hybrid; each source adds fields of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    source: str = ""
    """The name under which the source is registered."""
    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Factor of the source's z-scores in the hybrid score; 0 leaves the source out."""


class Source(Protocol):
    """Scores items for users. Fitted once, then read-only, so that threads may share it.

    A package adds a source of its own by the entry point `lemo.sources`; `lemo sources check NAME` tests it.
    """

    Config: ClassVar[type[SourceConfig]]
    """Its parameters; the default of `source` is its name."""
    personal: ClassVar[bool]
    """Whether scores depend on the user; where not, `scores` is called once, with one empty query."""
    scores_unseen: ClassVar[bool]
    """Whether it scores items that nobody has touched: then a model holds those of the catalogue too."""

    @property
    def config(self) -> SourceConfig:
        """The parameters that it was fitted with."""
        ...

    @classmethod
    def fit_many(cls, interactions: Interactions, configs: Sequence[Any]) -> Iterator[Self]:
        """One fitted source per configuration, in order; sources that share work between configurations do it here.

        It accepts any data, also none: a source without evidence gives no scores.
        """
        ...

    def scores(self, queries: CSR) -> SourceScores:
        """Scores of items for users whose weighted history are the rows of `queries` (users x items, float64, sorted).

        A weight below 0 is a dislike. The scores of a user depend on their own row alone, to the last bit.
        """
        ...

    def because(self, items: Array, queried: Array, weights: Array) -> Array:
        """Per item (codes) the item of the user's history that contributes most to its score, or -1.

        `queried` (codes) and `weights` are one row of the queries.
        """
        ...

    def to_arrays(self) -> dict[str, Array]:
        """Everything but the configuration as named arrays."""
        ...

    @classmethod
    def from_arrays(cls, config: Any, arrays: Mapping[str, Array], items: int) -> Self:
        """What `to_arrays` gave; the arrays may be memory-mapped and read-only."""
        ...


class Recommender(Protocol):
    """Recommends items to users, best first."""

    @property
    def query_half_life_ms(self) -> float | None:
        """Half-life (milliseconds) by which a user's interactions decay in queries."""
        ...

    def recommend(
        self,
        histories: Sequence[Sequence[Interaction]],
        n: int,
        unavailable: Collection[str] = (),
        seen: Sequence[Collection[str]] = (),
    ) -> list[list[Scored]]:
        """The n best items for each history, none of them in the history, `seen` or `unavailable`."""
        ...

    def rank(self, queries: CSR, seen: CSR, n: int, unavailable: Array = ...) -> tuple[Array, Array]:
        """The same for encoded users: items (int32, users x n, -1 where none is left) and scores (float64)."""
        ...
