"""Answers as another model or another version of the pipeline would give them, for people who compare them."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from lemo.domain.recommendation import ChosenAnswer
from lemo.domain.request import RecommendationRequest
from lemo.domain.scope import Scope
from lemo.serving.catalogue.cache import AttributeTypes
from lemo.serving.choices import Choices
from lemo.serving.state import Mapped, read_model
from lemo.stores.connect import Stores

CAPACITY = 4
"""Models beside those in service that stay mapped."""


@dataclass(frozen=True, slots=True)
class Variant:
    """What answers; by default what is in service."""

    model_version: str = ""
    pipeline_version: int | None = None


class Trials:
    """Answers by variants. Nothing is changed, and no answer is logged as served. Safe for threads."""

    def __init__(self, stores: Stores, choices: Choices) -> None:
        self._stores = stores
        self._choices = choices
        self._models: OrderedDict[tuple[Scope, str], Mapped] = OrderedDict()
        self._lock = Lock()

    def recommend(
        self, scope: Scope, request: RecommendationRequest, types: AttributeTypes, variant: Variant
    ) -> ChosenAnswer:
        """The answer of a variant.

        Raises NotFound for a version that is not kept, Outdated for a model that cannot be read, InvalidInput for a
        filter that does not fit, and EngineUnavailable.
        """
        pipeline, version = None, variant.pipeline_version
        if version is not None:
            pipeline = self._stores.pipelines.get(scope, version).pipeline
        model = self._model(scope, variant.model_version) if variant.model_version else None
        answer = self._choices.recommend(scope, request, types, pipeline, model)
        return answer if version is None else answer.model_copy(update={"pipeline_version": version})

    def _model(self, scope: Scope, version: str) -> Mapped:
        key = scope, version
        with self._lock:
            if key in self._models:
                self._models.move_to_end(key)
                return self._models[key]
        found = Mapped(read_model(scope, self._stores.snapshots, version), version)
        with self._lock:
            self._models[key] = found
            while len(self._models) > CAPACITY:
                self._models.popitem(last=False)
        return found
