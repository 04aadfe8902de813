"""Content: items are alike when they share categories, tags, an author and words of their titles.

It alone scores items that nobody has liked yet. Labels count by their rarity (TF-IDF; Salton, Buckley, 1988), and items
are compared by the cosine of their labels.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field
from scipy import sparse

from lemo.domain.item import Item
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.interfaces import SourceConfig
from lemo.recommenders.sources.item_knn import Ranked
from lemo.recommenders.sources.similarity import SimilaritySource, without_neighbours

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

MOST_ITEMS_OF_A_LABEL = 5_000
"""What so many items have tells little of them, and costs the square of their number."""
WORDS = re.compile(r"[^\W_]+")
UNSPACED = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\u3040-\u30ff\uac00-\ud7af\u0e00-\u0e7f]")
"""Scripts without spaces between words: their pairs of characters count as words."""


class ContentConfig(SourceConfig):
    """Parameters of content."""

    source: str = "content"
    neighbours: Annotated[int, Field(ge=1, le=1000)] = 200
    """Similar items that somebody has liked, kept for each item."""


class Content(SimilaritySource):
    """An item speaks for those that are described as it is."""

    Config: ClassVar[type[SourceConfig]] = ContentConfig
    scores_unseen: ClassVar[bool] = True

    @classmethod
    def similarity(cls, interactions: Interactions, config: ContentConfig) -> CSR:
        """Items x items (float32): row j holds the liked items that are described as j is, and the cosine."""
        items = len(interactions.item_ids)
        likers = np.bincount(interactions.positives.items, minlength=items)
        labelled = interactions.catalogue.labels(interactions.item_ids, labels_of)
        counts = np.bincount(labelled.indices, minlength=labelled.shape[1])
        telling = (counts > 1) & (counts <= MOST_ITEMS_OF_A_LABEL)
        if not telling.any():
            return without_neighbours(items)
        weighted = sparse.csr_matrix(labelled[:, telling])
        weighted.data *= np.log((1 + items) / counts[telling]).astype(np.float32)[weighted.indices]
        # Liked items first, so that of equally similar ones the most liked are kept.
        order = np.argsort(-likers, kind="stable")
        by_label = sparse.csr_matrix(weighted[order].T, dtype=np.float32)
        by_label.sort_indices()
        near, values = Ranked.of(by_label).nearest(np.arange(items), 0.0, config.neighbours)
        kept = (near >= 0) & (likers[order][near] > 0)
        rows = np.repeat(order, near.shape[1])[kept.ravel()]
        similarity = sparse.csr_matrix((values[kept], (rows, order[near[kept]])), shape=(items, items))
        similarity.sort_indices()
        return similarity


def labels_of(item: Item) -> Iterator[str]:
    """What an item is compared by; the kind is part of a label, so that an author's name is no word of a title."""
    yield from (f"category {label.casefold()}" for label in item.categories)
    yield from (f"tag {label.casefold()}" for label in item.tags)
    if item.author:
        yield f"author {item.author.casefold()}"
    for word in WORDS.findall(item.title.casefold()):
        if UNSPACED.search(word):
            yield from (f"word {word[place : place + 2]}" for place in range(len(word) - 1))
        else:
            yield f"word {word}"
