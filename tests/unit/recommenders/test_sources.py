"""The contract of sources, run on every installed one, and on sources that break it."""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, Self

import numpy as np
import pytest
from scipy import sparse

from lemo.domain.errors import NotFound
from lemo.recommenders.conformance import check_source
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.data.source_scores import SourceScores
from lemo.recommenders.registry import source_class, source_names
from lemo.recommenders.sources.similarity import SimilaritySource


@pytest.mark.parametrize("name", source_names())
def test_every_source_keeps_the_contract(name: str) -> None:
    checks = list(check_source(source_class(name)))
    assert len(checks) == 7
    assert [check for check in checks if not check.passed] == []
    assert source_class(name).Config().source == name


class Chance(SimilaritySource):
    """Another random matrix for each fit."""

    seeds = count()

    @classmethod
    def fit_many(cls, interactions: Interactions, configs: Sequence[Any]) -> Iterator[Self]:
        for config in configs:
            items = len(interactions.item_ids)
            cells = np.random.default_rng(next(cls.seeds)).random((items, items)).astype(np.float32)
            yield cls(config, sparse.csr_matrix(cells * (cells > 0.8)))


class Forgetful(SimilaritySource):
    """Scores that depend on the batch, and arrays that lose half of the matrix."""

    @classmethod
    def fit_many(cls, interactions: Interactions, configs: Sequence[Any]) -> Iterator[Self]:
        for config in configs:
            items = len(interactions.item_ids)
            yield cls(config, sparse.csr_matrix(1 - np.eye(items, dtype=np.float32)))

    def scores(self, queries: sparse.csr_matrix) -> SourceScores:
        found = super().scores(queries)
        return SourceScores(found.starts, found.columns, found.values * len(found), found.items)

    def to_arrays(self) -> dict[str, np.ndarray]:
        arrays = super().to_arrays()
        return {**arrays, "transposed_data": arrays["transposed_data"] * 0.5}


def test_a_source_that_breaks_the_contract_is_told_how() -> None:
    failed = {check.name: check.found for check in check_source(Chance) if not check.passed}
    assert "is deterministic" in failed
    assert "is better than chance" in failed
    failed = {check.name: check.found for check in check_source(Forgetful) if not check.passed}
    assert "alone than in a batch" in failed["batch equals single"]
    assert "memory-mapped" in failed["arrays round trip"]
    unfinished = {check.name: check.found for check in check_source(SimilaritySource) if not check.passed}
    assert "implements neither" in unfinished["fits on little"]


def test_a_source_that_is_not_installed_is_named_with_the_nearest() -> None:
    with pytest.raises(NotFound) as missing:
        source_class("rigde")
    assert "Did you mean ridge" in missing.value.hint
