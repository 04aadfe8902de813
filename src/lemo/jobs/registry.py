"""The models of a scenario as people look at them: what each is worth, which one serves, what a rollback goes to."""

from lemo.domain.scope import Scope
from lemo.stores.connect import Stores
from lemo.stores.models import KIND, ModelRecord


class RegisteredModel(ModelRecord):
    """A training's record, and where the model stands now."""

    champion: bool = False
    """Whether it serves."""
    rollback: bool = False
    """Whether `lemo models rollback` puts it in service."""
    kept: bool = True
    """Whether its snapshot is still there, so that it can be promoted."""
    ndcg_at_10: float | None = None
    """NDCG@10 of its parameters when it was trained; null where nobody could be asked."""
    popularity_ndcg_at_10: float | None = None


def registered(stores: Stores, scope: Scope, limit: int = 100) -> list[RegisteredModel]:
    """The newest models of the scenario, newest first."""
    champion = stores.snapshots.current(scope, KIND)
    former = stores.model_changes.before(scope)[:1]
    kept = set(stores.snapshots.versions(scope, KIND))
    return [
        RegisteredModel(
            **record.model_dump(),
            champion=record.version == champion,
            rollback=record.version in former,
            kept=record.version in kept,
            ndcg_at_10=_ndcg(record, "model"),
            popularity_ndcg_at_10=_ndcg(record, "popularity"),
        )
        for record in stores.models.list(scope, limit)
    ]


def _ndcg(record: ModelRecord, of: str) -> float | None:
    value = record.metrics.get(of, {}).get("ndcg_at_10")
    return None if value is None else float(value)
