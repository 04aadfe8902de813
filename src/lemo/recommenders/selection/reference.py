"""What was possible on the test: each source alone, and the best mixture of the search space, chosen on the test."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import structlog
from pydantic import BaseModel, computed_field

from lemo.recommenders.evaluation.cold_start import question_of_all_items
from lemo.recommenders.evaluation.splits import Split, sampled
from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
from lemo.recommenders.registry import source_class
from lemo.recommenders.selection.search_space import SEARCHED, SearchSpace, alone, best_of, evaluate_space

log = structlog.get_logger()
Array = np.ndarray[Any, Any]

MOST_USERS = 2_500
"""Users of the test on whom the search space is compared."""


class Reference(BaseModel):
    """NDCG@10 on the test of what nobody can choose before; fitted on the same training part as what was measured."""

    alone: dict[str, float]
    """Of each source by itself, of the searched ones the best configuration."""
    best_mixture: float
    """Of the best mixture of item-kNN, ridge and popularity."""
    model: float
    """Of what was measured, for the same users."""
    standard_error: float
    """Of `model`: a difference within two of these is noise."""
    users: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def regret(self) -> float:
        """The part of `best_mixture` that the model misses; below 0 where it is ahead, by a ranker or other sources."""
        return 1 - self.model / self.best_mixture if self.best_mixture else 0.0


def reference(
    test: Split,
    ndcg_by_user: Sequence[float],
    chosen: HybridConfig,
    finalists: SearchSpace | None,
    sources: Sequence[str],
) -> Reference:
    """Compares what was measured, by NDCG@10 of each user of the test, with what was possible.

    Without time only `finalists` of the choice are compared: all ridges would cost as much as the choice itself.
    """
    some = sampled(test, MOST_USERS)
    values = np.asarray(ndcg_by_user)[np.searchsorted(test.users, some.users)]
    if finalists is not None:
        gains = evaluate_space(some, finalists)
    else:
        space = SearchSpace.of(test.train.span)
        gains = evaluate_space(some, space)
        if "ridge" in sources and SearchSpace.has_ridges(test.train):
            similar = best_of({mixture: found for mixture, found in gains.items() if mixture.share}).personal[0]
            gains |= evaluate_space(some, SearchSpace.ridges(test.train, space.popularity, similar, wide=False))
    means = {mixture: float(found.mean(dtype=np.float64)) for mixture, found in gains.items()}
    return Reference(
        alone=alone(means) | _others_alone(some, chosen, sources),
        best_mixture=max(means.values()),
        model=float(values.mean()),
        standard_error=float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0,
        users=len(values),
    )


def _others_alone(test: Split, chosen: HybridConfig, sources: Sequence[str]) -> dict[str, float]:
    """NDCG@10 of each source that is not searched; one that raises was named when it was tried."""
    question = question_of_all_items(test)
    found: dict[str, float] = {}
    for name in sources:
        if name in SEARCHED:
            continue
        try:
            config = chosen.model_copy(update={"sources": (source_class(name).Config(weight=1.0),), "ranker": None})
            model = HybridRecommender.fit(test.train, config, {})
            found[name] = float(question.ndcg_by_user(model, test.train).mean())
        except Exception as error:  # noqa: BLE001 - a source of another package must not stop all training
            log.debug("a source is not measured", source=name, error=str(error))
    return found
