"""Answers by a scenario's pipeline and the wishes of requests: filters, boosts, pins, sessions, fields.

It is long because answers of all kinds stand beside each other: what holds for one must hold for the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from uuid import uuid4

from lemo.domain.errors import EngineUnavailable, InvalidInput
from lemo.domain.experiment import AnswerKind
from lemo.domain.item import Item
from lemo.domain.pipeline import Pipeline, PipelineVersion
from lemo.domain.reasons import did_you_mean, shortened
from lemo.domain.recommendation import ChosenAnswer, ChosenItem
from lemo.domain.request import Choice, Pin, RecommendationRequest, SessionItem, SimilarRequest, shown_fields
from lemo.domain.scenario import ActionRule
from lemo.domain.scope import Scope
from lemo.domain.time import from_milliseconds
from lemo.recommenders.scored import Scored
from lemo.serving.arms import ServingArm
from lemo.serving.assembly import reason
from lemo.serving.catalogue.cache import AttributeTypes, CatalogueCache
from lemo.serving.catalogue.columns import Columns
from lemo.serving.catalogue.values import Value
from lemo.serving.found import Found, explained_items, interleaved
from lemo.serving.hot import HotCache
from lemo.serving.matching import Matching, Matchings
from lemo.serving.model_cache import ModelCache
from lemo.serving.pipeline.answers import recommended, similar_to, together
from lemo.serving.pipeline.cache import PipelineCache
from lemo.serving.pipeline.explain import Timed, Trace
from lemo.serving.pipeline.plan import Exclusions, Plan, needs_catalogue, planned
from lemo.serving.pipeline.recall import Asker
from lemo.serving.renewals import Renewals
from lemo.serving.state import Mapped, ServingState
from lemo.serving.user_state import NO_USER, RequestRedis, UserState
from lemo.stores.connect import Stores
from lemo.stores.redis.hot_scores import HotScores
from lemo.stores.redis.item_feed import ItemFeed


class Choices:
    """Answers requests by the pipeline of their scenario and their own wishes. Safe for threads."""

    def __init__(
        self,
        stores: Stores,
        models: ModelCache,
        redis: RequestRedis,
        pipelines: PipelineCache,
        stored_items: int,
        timed: Timed | None = None,
    ) -> None:
        """`timed` is told how long each stage of an answer took."""
        self._stores = stores
        self._cache = models
        self._redis = redis
        self._pipelines = pipelines
        self._stored_items = stored_items
        self._timed = timed
        self._matchings = Matchings()
        self._hot = HotCache(HotScores(redis.redis, stores.keys), redis.breaker)

    @cached_property
    def _catalogue(self) -> CatalogueCache:
        # Only filters and stages that read attributes need the document store.
        return CatalogueCache(self._stores.items, ItemFeed(self._redis.redis, self._stores.keys))

    def columns(self, scope: Scope, types: AttributeTypes) -> Columns:
        """The columns of the scope's catalogue; raises EngineUnavailable where they cannot be read."""
        return self._catalogue.columns(scope, types)

    def matching(self, scope: Scope, text: str, variables: Mapping[str, object], types: AttributeTypes) -> Matching:
        """What a filter leaves; raises InvalidInput and EngineUnavailable."""
        return self._matchings.of(scope, text, self.columns(scope, types), variables)

    def known_matching(
        self, scope: Scope, text: str, variables: Mapping[str, object], types: AttributeTypes
    ) -> Matching | None:
        """What a filter leaves, where that is evaluated already; never waits."""
        if "_catalogue" not in self.__dict__:
            return None
        columns = self._catalogue.known(scope, types)
        return None if columns is None else self._matchings.known(scope, text, columns, variables)

    def recommend(
        self,
        scope: Scope,
        request: RecommendationRequest,
        types: AttributeTypes,
        pipeline: Pipeline | None = None,
        model: Mapped | None = None,
    ) -> ChosenAnswer:
        """The n best items by the wishes of a request; `types` are those that the scenario has settled.

        `pipeline` and `model` take the places of those in service, to try them. Raises InvalidInput for a filter that
        does not fit, and EngineUnavailable where the catalogue cannot be read.
        """
        return self._chosen(scope, request, self.find(scope, request, types, pipeline, model))

    def find(
        self,
        scope: Scope,
        request: RecommendationRequest,
        types: AttributeTypes,
        pipeline: Pipeline | None = None,
        model: Mapped | None = None,
    ) -> Found:
        """The items for a user or a session, by the arm where an experiment has one for them; raises as `recommend`."""
        tried = pipeline is not None or model is not None
        arm = None if tried else self._pipelines.arm_of(scope, "recommendations", request.user_id, request.session_id)
        state = self._cache.state(scope)
        if model is not None:
            state = replace(state, mapped=model)
        _check_actions(request, state.rules)
        asking = Trace(timed=self._timed)
        user = self._redis.read(scope, request.user_id) if request.user_id is not None else NO_USER
        asking.ended("user")
        if arm is None or arm.against is None:
            return self._found(scope, request, types, state, self._serving(scope, pipeline), user, arm)
        # Nothing is explored: chance would put other items into the two lists.
        serving = self._serving(scope, None)
        control, other = (
            self._found(scope, request, types, state, serving, user, each, exploration=0) for each in (arm, arm.against)
        )
        return interleaved(control, other, (arm.arm, arm.against.arm), request.n)

    def _found(
        self,
        scope: Scope,
        request: RecommendationRequest,
        types: AttributeTypes,
        state: ServingState,
        serving: PipelineVersion,
        user: UserState,
        arm: ServingArm | None,
        exploration: float | None = None,
    ) -> Found:
        """The items by what is in service or, with an arm, by what that has in its place."""
        if arm is not None:
            state, serving = arm.state(state), arm.pipeline or serving
        trace = Trace(on=request.explain is not False, timed=self._timed)
        plan = self.plan(scope, serving.pipeline, request, types)
        plan = self._at_this_moment(scope, serving.pipeline, plan, state)
        trace.ended("plan")
        asker = Asker.of(user, state, request, self._stored_items)
        items = recommended(
            [asker], state, plan, state.exploration if exploration is None else exploration, {0: trace}
        )[0]
        degraded = user.history is None or state.mapped.model is None or bool(plan.faults)
        degraded = degraded or self._cache.is_stale(state, "model", "newest items") or self._pipelines.is_stale(scope)
        degraded = degraded or (plan.columns is not None and self._catalogue.is_stale(scope))
        return Found(items, asker.answered_by(state, items), state, plan, serving, degraded, trace, asker, arm)

    def prepared(
        self, scope: Scope, pipeline: Pipeline, choice: Choice, types: AttributeTypes
    ) -> tuple[ServingState, Plan]:
        """What is in service now, and the plan of a pipeline on it; raises as `recommend`."""
        state = self._cache.state(scope)
        plan = self.plan(scope, pipeline, choice, types)
        return state, replace(plan, pins=self._known_pins(scope, plan.pins, state))

    def find_many(
        self, scope: Scope, state: ServingState, users: Sequence[UserState], request: Choice, types: AttributeTypes
    ) -> Iterator[tuple[list[Scored], str | None]]:
        """The items for each user of a batch with the model's version, without exploration; raises as `recommend`."""
        pipeline = self._serving(scope, None).pipeline
        plan = self._at_this_moment(scope, pipeline, self.plan(scope, pipeline, request, types), state)
        askers = [Asker.of(user, state, None, self._stored_items) for user in users]
        for asker, items in zip(askers, recommended(askers, state, plan, exploration=0), strict=True):
            yield items, asker.answered_by(state, items)

    def similar(self, scope: Scope, request: SimilarRequest, types: AttributeTypes) -> ChosenAnswer:
        """The n items most similar to some items together, by the wishes of a request; raises as `recommend`."""
        state = self._cache.state(scope)
        serving = self._serving(scope, None)
        arm = self.list_arm(scope, "similar", request.user_id, request.session_id)
        if arm is not None:
            state, serving = arm.state(state), arm.pipeline or serving
        trace = Trace(on=request.explain is not False, timed=self._timed)
        plan = self.plan(scope, serving.pipeline.for_lists(), request, types, request.item_ids[0])
        plan = replace(plan, pins=self._known_pins(scope, plan.pins, state))
        trace.ended("plan")
        similar = state.mapped.similar
        near = [similar.of(item_id) for item_id in request.item_ids] if similar else []
        items = similar_to(request.item_ids, together(near), state, plan, trace)
        degraded = similar is None or bool(plan.faults) or self._cache.is_stale(state, "similar items", "newest items")
        degraded = degraded or self._pipelines.is_stale(scope)
        degraded = degraded or (plan.columns is not None and self._catalogue.is_stale(scope))
        return self._chosen(
            scope, request, Found(items, state.mapped.similar_version, state, plan, serving, degraded, trace, arm=arm)
        )

    def list_arm(
        self, scope: Scope, answer: AnswerKind, user_id: str | None, session_id: str | None
    ) -> ServingArm | None:
        """The arm of a request for a list that is the same for all, where it says who asks."""
        return (
            None
            if user_id is None and session_id is None
            else self._pipelines.arm_of(scope, answer, user_id, session_id)
        )

    def version(self, scope: Scope, arm: ServingArm | None) -> int:
        """The version of the pipeline that answers an arm."""
        return (arm.pipeline if arm is not None and arm.pipeline else self._serving(scope, None)).version

    def hidden(
        self, scope: Scope, state: ServingState, types: AttributeTypes, arm: ServingArm | None = None
    ) -> Exclusions:
        """What lists of no user (popular, newest, similar to one item) must not hold.

        Raises EngineUnavailable where the pipeline has a filter and the catalogue cannot be read.
        """
        pipeline = (arm.pipeline if arm is not None and arm.pipeline else self._serving(scope, None)).pipeline
        return Exclusions(state.unavailable, filters=self.plan(scope, pipeline.for_lists(), Choice(), types).filters)

    def plan(
        self, scope: Scope, pipeline: Pipeline, choice: Choice, types: AttributeTypes, current_id: str = ""
    ) -> Plan:
        """The stages of an answer, with filters evaluated; raises InvalidInput and EngineUnavailable.

        Where the catalogue cannot be read, stages of the pipeline that only order are left out, and told.
        """
        if not needs_catalogue(pipeline, choice):
            return planned(pipeline, choice, None, _no_filter)
        try:
            columns = self._catalogue.columns(scope, types)
        except EngineUnavailable:
            if pipeline.filter or choice.filters:
                raise
            bare = planned(Pipeline(recall=pipeline.recall, pin=pipeline.pin), choice, None, _no_filter)
            return replace(bare, diversity=None, faults=["The catalogue cannot be read."])
        filters = [choice.filter, *pipeline.filters.values(), *choice.filters]
        named = current_id and any("current." in text for text in filters if text)
        current: dict[str, Value] | None = columns.current(current_id) if named else None
        return planned(
            pipeline,
            choice,
            columns,
            lambda text, variables: self._matchings.of(scope, text, columns, variables, current),
        )

    def _serving(self, scope: Scope, tried: Pipeline | None) -> PipelineVersion:
        return self._pipelines.serving(scope) if tried is None else PipelineVersion(pipeline=tried)

    def _at_this_moment(self, scope: Scope, pipeline: Pipeline, plan: Plan, state: ServingState) -> Plan:
        """The plan with what is hot now, and without pins of items that nobody knows."""
        hot = None if pipeline.hot is None else self._hot.items(scope, pipeline.hot)
        return replace(plan, pins=self._known_pins(scope, plan.pins, state), hot=hot)

    def _known_pins(self, scope: Scope, pins: Sequence[Pin], state: ServingState) -> Sequence[Pin]:
        """The pins of items that the catalogue or the model knows."""
        model = state.mapped.model
        known = {pin.item_id for pin in pins if model is not None and len(model.rows([pin.item_id]))}
        others = [pin.item_id for pin in pins if pin.item_id not in known]
        if others:
            with suppress(EngineUnavailable):
                stored = self._stores.items.get_many(scope, others)
                known.update(item_id for item_id, item in stored.items() if item.recommendable)
        return [pin for pin in pins if pin.item_id in known]

    def _chosen(self, scope: Scope, choice: Choice, found: Found) -> ChosenAnswer:
        stored: dict[str, Item] = {}
        degraded = found.degraded
        if choice.fields:
            try:
                stored = self._stores.items.get_many(scope, [each.item_id for each in found.items])
            except EngineUnavailable:
                degraded = True
            found.trace.ended("fields")
        hot = found.plan.hot
        return ChosenAnswer(
            request_id=uuid4().hex,
            model_version=found.version,
            degraded=degraded,
            pipeline_version=found.pipeline.version,
            experiment=found.arm.experiment if found.arm is not None else None,
            arm=found.arm.named if found.arm is not None else None,
            hot_until=from_milliseconds(hot.until_ms) if hot and hot.until_ms else None,
            items=[
                ChosenItem(
                    item_id=each.item_id,
                    score=each.score,
                    source=each.kind,
                    because=[each.because] if each.because is not None else [],
                    reason=reason(each),
                    explored=each.explored,
                    propensity=each.propensity,
                    team=each.team,
                    **(shown_fields(stored[each.item_id], choice.fields) if each.item_id in stored else {}),
                )
                for each in found.items
            ],
            explained=explained_items(choice, found) if choice.explain is not False else None,
        )

    def is_stale(self, scope: Scope) -> bool:
        """Whether the pipeline, or the catalogue where it needs one, could not be looked up for half a minute."""
        needs = self._serving(scope, None).pipeline.filter is not None
        return self._pipelines.is_stale(scope) or (needs and self._catalogue.is_stale(scope))

    def renewals(self) -> Mapping[str, Renewals]:
        """The age of the pipelines and, where any is read, of the catalogues."""
        found = {"pipelines": self._pipelines.renewals()}
        return found | {"catalogues": self._catalogue.renewals()} if "_catalogue" in self.__dict__ else found

    def close(self) -> None:
        """Stops following the catalogue."""
        if "_catalogue" in self.__dict__:
            self._catalogue.close()


def _no_filter(text: str, _variables: Mapping[str, object]) -> Matching:
    raise AssertionError(f"{text!r} needs the catalogue")


def _check_actions(request: RecommendationRequest, rules: Mapping[str, ActionRule]) -> None:
    """Raises InvalidInput for a session with an action that the scenario does not know."""
    for each in request.session:
        action = each.action if isinstance(each, SessionItem) else None
        if action is not None and action not in rules:
            raise InvalidInput(
                f"session: the action {shortened(action)} is not known in this scenario.",
                f"{did_you_mean(action, rules)}It knows {', '.join(sorted(rules))}.",
            )
