"""Champion and challenger: which model serves, decided by a paired test or by a person."""

from collections.abc import Callable
from dataclasses import dataclass

from lemo.domain.errors import NotFound
from lemo.domain.scope import Scope
from lemo.recommenders.evaluation.metrics import Metrics
from lemo.recommenders.evaluation.significance import Comparison, compare
from lemo.recommenders.registry import source_class
from lemo.stores.connect import Stores
from lemo.stores.documents.model_changes import ModelChange
from lemo.stores.documents.models import KIND
from lemo.stores.redis.lease import next_fence

TRAINING = "train-model-daily"

Measure = Callable[[str], Metrics | None]
"""Metrics of a version's parameters, on the same training and test data as the challenger; None where its
configuration cannot be read any more."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a challenger replaces the champion."""

    promoted: bool
    why: str
    champion: Metrics | None = None
    """Metrics of the champion's parameters on the same test."""
    comparison: Comparison | None = None


def judge(stores: Stores, scope: Scope, challenger: Metrics | None, floor: float, measure: Measure) -> Verdict:
    """Promotes a challenger that is significantly better than the champion and than versions that were rolled back.

    `challenger` is None where there are no test users. `floor` is NDCG@10 of the best single source: a champion below
    it is replaced by a challenger that is not. Without the comparison with versions that were rolled back, the next
    training would promote the same model again.
    """
    serving = stores.snapshots.current(scope, KIND)
    if serving is None:
        return Verdict(True, "the first model")
    if challenger is None:
        return Verdict(False, "too few events to measure; the champion's parameters stay")
    champion = measure(serving)
    if champion is None:
        return Verdict(True, f"the champion {serving} cannot be measured any more")
    comparison = compare(challenger.ndcg_by_user, champion.ndcg_by_user)
    fallen = champion.ndcg_at_10 < floor <= challenger.ndcg_at_10
    words = f"{comparison.difference:+.4f} NDCG@10 (p {comparison.p_value:.2g})"
    if not comparison.better and not fallen:
        return Verdict(False, f"not better than the champion beyond noise: {words}", champion, comparison)
    for version, by in stores.model_changes.rejected(scope).items():
        rejected = measure(version)
        if rejected is not None and not compare(challenger.ndcg_by_user, rejected.ndcg_by_user).better:
            return Verdict(
                False, f"no better than {version}, from which {by} rolled back: {words}", champion, comparison
            )
    if comparison.better:
        return Verdict(True, f"better than the champion: {words}", champion, comparison)
    return Verdict(True, f"the champion fell below the best single source: {words}", champion, comparison)


def promote(stores: Stores, scope: Scope, version: str, by: str) -> ModelChange | None:
    """Puts a version in service for a person; None where it is in service already.

    A training run at work loses its fence: it starts over, and is compared with this version. Raises NotFound, also
    where a source of the model is not installed.
    """
    _check_sources(stores, scope, version)
    if stores.snapshots.current(scope, KIND) == version:
        return None
    fence = next_fence(stores.redis, TRAINING, scope, stores.keys)
    return stores.model_changes.put_in_service(scope, version, fence, "promote", by)


def rollback(stores: Stores, scope: Scope, by: str) -> ModelChange:
    """Puts the previous model in service again; raises NotFound where none is kept.

    Training then promotes only models that are better than the one that was rolled back.
    """
    before = stores.model_changes.before(scope)
    if not before:
        raise NotFound(
            f"No earlier model of {scope.scenario_id!r} is kept that served before the present one.",
            "`lemo models list` shows what there is; `lemo models promote VERSION` puts any of them in service.",
        )
    _check_sources(stores, scope, before[0])
    fence = next_fence(stores.redis, TRAINING, scope, stores.keys)
    return stores.model_changes.put_in_service(scope, before[0], fence, "rollback", by)


def _check_sources(stores: Stores, scope: Scope, version: str) -> None:
    for source in stores.models.get(scope, version).config.get("sources", ()):
        source_class(source["source"])
