"""The models of a scenario: their metrics, the champion, and the version that a rollback puts in service."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from lemo.domain.scope import Scope
from lemo.recommenders.evaluation.cold_start import Cold
from lemo.recommenders.selection.reference import Reference
from lemo.stores.connect import Stores
from lemo.stores.documents.models import KIND, ModelRecord


class RegisteredModel(ModelRecord):
    """The record of a training, and the current state of its model."""

    champion: bool = False
    """Whether it is in service."""
    rollback: bool = False
    """Whether `lemo models rollback` puts it in service."""
    kept: bool = True
    """Whether its snapshot still exists, so that it can be promoted."""
    ndcg_at_10: float | None = None
    """NDCG@10 of its parameters when it was trained; null where there were no test users."""
    popularity_ndcg_at_10: float | None = None
    test_users: int | None = None
    """Users of the test, the size of all these measurements."""
    ndcg_interval: tuple[float, float] | None = None
    """95 % confidence interval of `ndcg_at_10`, by bootstrap over the users of the test."""
    sources_alone: dict[str, float] = Field(default_factory=dict)
    """NDCG@10 on the test of each source by itself; empty for models that were trained before this was measured."""
    regret: float | None = None
    """The part of the best mixture's NDCG@10 on the test that the model misses; the mixture is chosen on the test
    itself, which nobody can know before. Below 0 where the model is ahead of every mixture."""
    cold_start: dict[str, Cold] = Field(default_factory=dict)
    """New items ranked among themselves, and users after their first 1, 3 and 5 items."""


def registered(stores: Stores, scope: Scope, limit: int = 100) -> list[RegisteredModel]:
    """The newest models of the scenario, newest first."""
    return _registered(stores, scope, stores.models.list(scope, limit))


def registered_model(stores: Stores, scope: Scope, version: str) -> RegisteredModel:
    """One model of the scenario; raises NotFound."""
    return _registered(stores, scope, [stores.models.get(scope, version)])[0]


def _registered(stores: Stores, scope: Scope, records: Sequence[ModelRecord]) -> list[RegisteredModel]:
    champion = stores.snapshots.current(scope, KIND)
    former = stores.model_changes.before(scope)[:1]
    kept = set(stores.snapshots.versions(scope, KIND))
    return [
        RegisteredModel(
            **record.model_dump(exclude={"config", "judged"}),
            config=_without_trees(record.config),
            judged=record.judged and _without_trees(record.judged),
            champion=record.version == champion,
            rollback=record.version in former,
            kept=record.version in kept,
            ndcg_at_10=_ndcg(record, "model"),
            popularity_ndcg_at_10=_ndcg(record, "popularity"),
            **_on_the_test(record.metrics),
        )
        for record in records
    ]


def _on_the_test(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What the metrics of a record say of the test, as far as its version measured it."""
    model, measured = metrics.get("model", {}), metrics.get("reference")
    found = {
        "test_users": model.get("users"),
        "ndcg_interval": model.get("intervals", {}).get("ndcg_at_10"),
        "cold_start": metrics.get("cold_start", {}).get("model", {}),
    }
    if measured:
        known = Reference.model_validate(measured)
        found |= {"sources_alone": known.alone, "regret": known.regret}
    return found


def _without_trees(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without the trees of a ranker, which are some 20 kB of packed numbers."""
    ranker = config.get("ranker")
    if not isinstance(ranker, dict):
        return dict(config)
    return {**config, "ranker": {name: value for name, value in ranker.items() if name != "trees"}}


def _ndcg(record: ModelRecord, of: str) -> float | None:
    value = record.metrics.get(of, {}).get("ndcg_at_10")
    return None if value is None else float(value)
