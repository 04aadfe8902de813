"""Answers to requests with wishes of their own: filters, boosts, pins, sessions, fields."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TypeVar
from uuid import uuid4

from lemo.domain.errors import EngineUnavailable, InvalidInput
from lemo.domain.item import Item
from lemo.domain.reasons import did_you_mean, shortened
from lemo.domain.recommendation import ChosenAnswer, ChosenItem
from lemo.domain.request import Choice, RecommendationRequest, SessionItem, SimilarRequest, shown_fields
from lemo.domain.scenario import ActionRule
from lemo.domain.scope import Scope
from lemo.recommenders.scored import Scored
from lemo.serving.assembly import reason
from lemo.serving.catalogue.cache import AttributeTypes, CatalogueCache
from lemo.serving.catalogue.columns import Columns
from lemo.serving.matching import Matching, Matchings
from lemo.serving.model_cache import ModelCache
from lemo.serving.pipeline import Wishes, recommended, similar_to, together
from lemo.serving.state import ServingState
from lemo.serving.user_state import NO_USER, RequestRedis
from lemo.stores.connect import Stores
from lemo.stores.redis.item_feed import ItemFeed

ChoiceOf = TypeVar("ChoiceOf", bound=Choice)


class Choices:
    """Answers requests with wishes, by the same models as `RecommendationService`. Safe for threads."""

    def __init__(self, stores: Stores, models: ModelCache, redis: RequestRedis) -> None:
        self._stores = stores
        self._cache = models
        self._redis = redis
        self._matchings = Matchings()

    @cached_property
    def _catalogue(self) -> CatalogueCache:
        # Only requests with filters need the document store.
        return CatalogueCache(self._stores.items, ItemFeed(self._redis.redis, self._stores.keys))

    def columns(self, scope: Scope, types: AttributeTypes) -> Columns:
        """The columns of the scope's catalogue; raises EngineUnavailable where they cannot be read."""
        return self._catalogue.columns(scope, types)

    def unmatched(self, scope: Scope, text: str, types: AttributeTypes, item_ids: Iterable[str]) -> frozenset[str]:
        """Those of the items that do not match a filter; raises as `recommend`."""
        matching = self._matchings.of(scope, text, self.columns(scope, types), {})
        return frozenset(item_id for item_id in item_ids if item_id not in matching)

    def known_matching(self, scope: Scope, request: RecommendationRequest, types: AttributeTypes) -> Matching | None:
        """What the request's filter leaves, where that is evaluated already; never waits."""
        if request.filter is None or "_catalogue" not in self.__dict__:
            return None
        columns = self._catalogue.known(scope, types)
        if columns is None:
            return None
        return self._matchings.known(scope, request.filter, columns, request.variables)

    def recommend(self, scope: Scope, request: RecommendationRequest, types: AttributeTypes) -> ChosenAnswer:
        """The n best items by the wishes of a request; `types` are those that the scenario has settled.

        Raises InvalidInput for a filter that does not fit, and EngineUnavailable where the catalogue cannot be read.
        """
        state = self._cache.state(scope)
        _check_actions(request, state.rules)
        wishes = self._wishes(scope, request, types)
        user = self._redis.read(scope, request.user_id) if request.user_id is not None else NO_USER
        shown = self._without_unknown_pins(scope, request, state)
        items = recommended(shown, user, state, wishes, user.current(state.mapped.model_version))
        degraded = user.history is None or state.mapped.model is None
        degraded = degraded or self._cache.is_stale(state, "model", "newest items")
        return self._chosen(scope, request, items, state.mapped.model_version, degraded)

    def similar(self, scope: Scope, request: SimilarRequest, types: AttributeTypes) -> ChosenAnswer:
        """The n items most similar to some items together, by the wishes of a request; raises as `recommend`."""
        state = self._cache.state(scope)
        wishes = self._wishes(scope, request, types, request.item_ids[0])
        similar = state.mapped.similar
        near = [similar.of(item_id, len(similar.item_ids)) for item_id in request.item_ids] if similar else []
        shown = self._without_unknown_pins(scope, request, state)
        items = similar_to(shown, request.item_ids, together(near), state, wishes)
        degraded = similar is None or self._cache.is_stale(state, "similar items", "newest items")
        return self._chosen(scope, request, items, state.mapped.similar_version, degraded)

    def _without_unknown_pins(self, scope: Scope, choice: ChoiceOf, state: ServingState) -> ChoiceOf:
        """The request without pins of items that neither the catalogue nor the model knows."""
        if not choice.pin:
            return choice
        known: set[str] = set()
        with suppress(EngineUnavailable):
            stored = self._stores.items.get_many(scope, [pin.item_id for pin in choice.pin])
            known.update(item_id for item_id, item in stored.items() if item.recommendable)
        if state.mapped.model is not None:
            known.update(set(state.mapped.model.item_ids).intersection(pin.item_id for pin in choice.pin))
        return choice.model_copy(update={"pin": [pin for pin in choice.pin if pin.item_id in known]})

    def _wishes(self, scope: Scope, choice: Choice, types: AttributeTypes, current_id: str = "") -> Wishes:
        if not choice.filters:
            return Wishes()
        columns = self._catalogue.columns(scope, types)
        current = (
            columns.current(current_id) if current_id and any("current." in text for text in choice.filters) else None
        )
        return Wishes.of(choice, lambda text: self._matchings.of(scope, text, columns, choice.variables, current))

    def _chosen(
        self, scope: Scope, choice: Choice, items: Sequence[Scored], version: str | None, degraded: bool
    ) -> ChosenAnswer:
        found: dict[str, Item] = {}
        if choice.fields:
            try:
                found = self._stores.items.get_many(scope, [each.item_id for each in items])
            except EngineUnavailable:
                degraded = True
        if choice.filters:
            degraded = degraded or self._catalogue.is_stale(scope)
        return ChosenAnswer(
            request_id=uuid4().hex,
            model_version=version,
            degraded=degraded,
            items=[
                ChosenItem(
                    item_id=each.item_id,
                    score=each.score,
                    source=each.kind,
                    because=[each.because] if each.because is not None else [],
                    reason=reason(each),
                    **(shown_fields(found[each.item_id], choice.fields) if each.item_id in found else {}),
                )
                for each in items
            ],
        )

    def close(self) -> None:
        """Stops following the catalogue."""
        if "_catalogue" in self.__dict__:
            self._catalogue.close()


def _check_actions(request: RecommendationRequest, rules: Mapping[str, ActionRule]) -> None:
    """Raises InvalidInput for a session with an action that the scenario does not know."""
    for each in request.session:
        action = each.action if isinstance(each, SessionItem) else None
        if action is not None and action not in rules:
            raise InvalidInput(
                f"session: the action {shortened(action)} is not known in this scenario.",
                f"{did_you_mean(action, rules)}It knows {', '.join(sorted(rules))}.",
            )
