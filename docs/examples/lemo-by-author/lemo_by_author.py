"""A source of one's own: items of the authors that a user likes."""

from typing import Any, ClassVar

from scipy import sparse

from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.interfaces import SourceConfig
from lemo.recommenders.sources.similarity import SimilaritySource


class ByAuthorConfig(SourceConfig):
    """Parameters of `by-author`: none."""

    source: str = "by-author"


class ByAuthor(SimilaritySource):
    """Items are similar when they have the same author."""

    Config: ClassVar[type[SourceConfig]] = ByAuthorConfig

    @classmethod
    def similarity(cls, interactions: Interactions, config: Any) -> sparse.csr_matrix:  # noqa: ARG003
        """Items x items: 1 where two items have the same author."""
        authors = interactions.catalogue.labels(interactions.item_ids, lambda item: [item.author])
        same = (authors @ authors.T).tocsr()
        same.setdiag(0)
        same.eliminate_zeros()
        return same
