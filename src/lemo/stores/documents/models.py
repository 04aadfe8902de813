"""The registry of models: every training run's parameters, data window and quality, and whether it was promoted."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from lemo.domain.errors import NotFound
from lemo.domain.scope import Scope
from lemo.stores.documents import MODELS, Documents
from lemo.stores.documents.bodies import body_of

KIND = "model"
"""The kind of snapshot that models are kept as."""


class ModelRecord(BaseModel):
    """What one training made of which data, and how good it was."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    version: str
    """The snapshot's version."""
    kind: str
    """The recommender that was trained (`blend`, or `ranked`: a blend with a ranker)."""
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    config: dict[str, Any] = {}
    """The recommender's configuration."""
    judged: dict[str, Any] | None = None
    """The configuration that was measured: chosen in the same way, on the first 80 % of the events. Later trainings
    compare themselves with it, as `config` has seen what it would be asked. Null: `config` itself was measured."""
    metrics: dict[str, Any] = {}
    """Quality on the temporal split: by recommender (`model`, `popularity`), then by metric (`ndcg_at_10`).

    `model` is the configuration that was judged, fitted on the first 80 % of the events and asked about the rest; empty
    where nobody could be asked.
    """
    soundness: dict[str, float] | None = None
    """How the answers of what serves, fitted on all events, look beside those of what was measured; null where it was
    not to serve, or nobody could be asked."""
    champion_ndcg_at_10: float | None = None
    """What the serving model reached on the same split; null where there was none, or nothing to measure on."""
    comparison: dict[str, Any] | None = None
    """The paired test against the champion: mean difference, its 95 % interval, p-value, users."""
    promoted: bool = False
    """Whether training put it in front of users, its parameters in the place of the champion's."""
    refresh_of: str = ""
    """The champion whose parameters it has, fitted again on newer events; empty for parameters of its own."""
    why: str = ""
    """Why training put it in front of users, or not."""
    events: Annotated[int, Field(ge=0)] = 0
    """How many events it was trained on."""
    first_event_at: datetime | None = None
    last_event_at: datetime | None = None
    code_version: str = ""
    """Version of Lemo that trained it."""
    seconds: Annotated[float, Field(ge=0)] | None = None
    """How long the training took."""


class Models:
    """Model records of scenarios, newest first."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def record(self, scope: Scope, record: ModelRecord) -> None:
        """Writes or replaces the record of a version."""
        self._documents.put(MODELS, scope, {record.version: body_of(record)})

    def get(self, scope: Scope, version: str) -> ModelRecord:
        """The record of a version; raises NotFound."""
        body = self._documents.get(MODELS, scope, version)
        if body is None:
            raise NotFound(f"There is no model {version[:80]!r} in {scope}.", "`lemo models list` shows what there is.")
        return ModelRecord.model_validate(body)

    def list(self, scope: Scope, limit: int = 100) -> list[ModelRecord]:
        """The newest `limit` records of the scenario."""
        found = self._documents.find(MODELS, scope, order="-created_at", limit=limit)
        return [ModelRecord.model_validate(body) for _, body in found]

    def delete(self, scope: Scope, version: str) -> bool:
        """Forgets a version's record; False if there was none."""
        return self._documents.delete(MODELS, scope, [version]) == 1
