"""Answers that need no computation: precomputed recommendations, similar, popular and newest items, as JSON.

None is returned wherever the full service must decide: no model, too few items left, new items to mix in.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple
from uuid import uuid4

import orjson

from lemo.domain.experiment import AnswerKind
from lemo.domain.request import RecommendationRequest
from lemo.domain.scope import Scope
from lemo.recommenders.scored import Scored
from lemo.serving.arms import ServingArm
from lemo.serving.assembly import newest, reason, shown_of
from lemo.serving.catalogue.cache import AttributeTypes
from lemo.serving.choices import Choices
from lemo.serving.matching import Matching
from lemo.serving.model_cache import ModelCache
from lemo.serving.pipeline.cache import PipelineCache
from lemo.serving.pipeline.plan import Exclusions, Rule
from lemo.serving.state import Part, ServingState

MOST_BYTES = 64_000_000
"""Rendered lists in memory; beyond it all are made anew."""


class ReadyAnswers:
    """Makes answers from what is in memory and one reply of Redis. For one event loop."""

    def __init__(self, models: ModelCache, pipelines: PipelineCache, choices: Choices) -> None:
        self._models = models
        self._pipelines = pipelines
        self._choices = choices
        self._kept: dict[tuple[Scope, str], tuple[tuple[object, ...], dict[object, bytes]]] = {}
        self._bytes = 0

    def recommendations(
        self,
        scope: Scope,
        reply: Sequence[bytes | None],
        n: int,
        exclude: Collection[str],
        types: AttributeTypes,
        user_id: str,
        session_id: str | None = None,
    ) -> bytes | None:
        """The user's n best precomputed items, where `reply` (the fields of `stores/redis/precomputed.py`) is current.

        The user's arm decides on them where an experiment has one: an arm with a model of its own finds none.
        """
        arm = self._pipelines.known_arm_of(scope, "recommendations", user_id, session_id)
        if arm is not None and arm.against is not None:
            return None
        basis = self._basis(scope, types, arm)
        top = None if basis is None or not basis.plain else _top(basis, reply, n, exclude, basis.matchings)
        if basis is None or top is None:
            return None
        items = [
            {"item_id": item_id, "score": score, "reason": reason(Scored(item_id, score, because, kind))}
            for item_id, score, because, kind in top
        ]
        version = basis.state.mapped.model_version
        if arm is None:
            return _spliced(version, self._is_stale(basis, "model"), orjson.dumps(items))
        return _spliced(version, self._is_stale(basis, "model"), orjson.dumps(items), basis.version, arm)

    def chosen(
        self, scope: Scope, reply: Sequence[bytes | None], request: RecommendationRequest, types: AttributeTypes
    ) -> bytes | None:
        """The same by the wishes of a request, where it asks for nothing but a filter and exclusions."""
        arm = self._pipelines.known_arm_of(scope, "recommendations", request.user_id, request.session_id)
        if arm is not None and arm.against is not None:
            return None
        basis = self._basis(scope, types, arm)
        if basis is None or not basis.plain:
            return None
        matchings = basis.matchings
        if request.filter is not None:
            variables = {**basis.variables, **request.variables}
            matching = self._choices.known_matching(scope, request.filter, variables, types)
            if matching is None:
                return None
            matchings = (*matchings, matching)
        top = _top(basis, reply, request.n, request.exclude, matchings)
        if top is None:
            return None
        items = [
            {
                "item_id": item_id,
                "score": score,
                "source": kind,
                "because": [] if because is None else [because],
                "reason": reason(Scored(item_id, score, because, kind)),
            }
            for item_id, score, because, kind in top
        ]
        version = basis.state.mapped.model_version
        return _spliced(version, self._is_stale(basis, "model"), orjson.dumps(items), basis.version, arm)

    def similar(
        self,
        scope: Scope,
        item_id: str,
        n: int,
        types: AttributeTypes,
        user_id: str | None = None,
        session_id: str | None = None,
    ) -> bytes | None:
        """The n items most similar to an item, by the arm of the user or session where one is named."""
        arm = self._list_arm(scope, "similar", user_id, session_id)
        basis = self._basis(scope, types, arm)
        if basis is None or basis.state.mapped.similar is None:
            return None
        similar = basis.state.mapped.similar
        lists = self._lists(scope, "similar", (similar, basis.unavailable, *basis.matchings))
        items = lists.get((item_id, n))
        if items is None:
            shown = shown_of(similar.of(item_id), n, basis.hidden)
            if not shown:
                return None
            items = self._keep(lists, (item_id, n), shown)
        told = () if arm is None else (basis.version, arm)
        return _spliced(basis.state.mapped.similar_version, self._is_stale(basis, "similar items"), items, *told)

    def popular(
        self, scope: Scope, n: int, types: AttributeTypes, user_id: str | None = None, session_id: str | None = None
    ) -> bytes | None:
        """The n most popular items, by the arm of the user or session where one is named."""
        arm = self._list_arm(scope, "popular", user_id, session_id)
        basis = self._basis(scope, types, arm)
        if basis is None or basis.state.mapped.model is None or basis.matchings:
            return None
        model = basis.state.mapped.model
        lists = self._lists(scope, "popular", (model, basis.unavailable))
        items = lists.get(n)
        if items is None:
            items = self._keep(lists, n, model.popular(n, basis.unavailable))
        told = () if arm is None else (basis.version, arm)
        return _spliced(basis.state.mapped.model_version, self._is_stale(basis, "model"), items, *told)

    def latest(self, scope: Scope, n: int, types: AttributeTypes) -> bytes | None:
        """The n newest items."""
        basis = self._basis(scope, types)
        if basis is None:
            return None
        lists = self._lists(scope, "latest", (basis.state.availability, basis.unavailable, *basis.matchings))
        items = lists.get(n)
        if items is None:
            items = self._keep(
                lists, n, newest(chain(basis.state.latest, basis.hidden.matching_ids()), n, basis.hidden)
            )
        return _spliced(None, not basis.state.complete, items)

    def _list_arm(
        self, scope: Scope, answer: AnswerKind, user_id: str | None, session_id: str | None
    ) -> ServingArm | None:
        if user_id is None and session_id is None:
            return None
        return self._pipelines.known_arm_of(scope, answer, user_id, session_id)

    def _basis(self, scope: Scope, types: AttributeTypes, arm: ServingArm | None = None) -> "_Basis | None":
        """What answers are made of now, where all of it is in memory."""
        state, serving = self._models.loaded(scope), self._pipelines.known(scope)
        if state is None or serving is None:
            return None
        if arm is not None:
            state, serving = arm.state(state), arm.pipeline or serving
        pipeline = serving.pipeline
        matchings: tuple[Matching, ...] = ()
        if pipeline.filter is not None:
            matching = self._choices.known_matching(scope, pipeline.filter, pipeline.variables, types)
            if matching is None:
                return None
            matchings = (matching,)
        return _Basis(state, state.unavailable, matchings, pipeline.variables, pipeline.plain, serving.version)

    def _is_stale(self, basis: "_Basis", part: Part) -> bool:
        return self._models.is_stale(basis.state, part, "newest items")

    def _lists(self, scope: Scope, what: str, basis: tuple[object, ...]) -> dict[object, bytes]:
        """The rendered lists of a scope, as long as what they are made of is the same."""
        kept = self._kept.get((scope, what))
        same = kept is not None and len(kept[0]) == len(basis)
        if kept is None or not same or any(before is not now for before, now in zip(kept[0], basis, strict=True)):
            kept = self._kept[scope, what] = basis, {}
        return kept[1]

    def _keep(self, lists: dict[object, bytes], key: object, items: Sequence[Scored]) -> bytes:
        rendered = _rendered(items)
        self._bytes += len(rendered)
        if self._bytes > MOST_BYTES:
            self._kept.clear()
            self._bytes = 0
        lists[key] = rendered
        return rendered


class _Basis(NamedTuple):
    """What answers are made of."""

    state: ServingState
    unavailable: frozenset[str]
    matchings: tuple[Matching, ...]
    """What the pipeline's filter leaves."""
    variables: Mapping[str, Any]
    plain: bool
    """Whether the pipeline leaves recommendations in the model's order."""
    version: int

    @property
    def hidden(self) -> Exclusions:
        """What no list may hold."""
        return Exclusions(self.unavailable, filters=[Rule("pipeline filter", each) for each in self.matchings])


def _top(
    basis: _Basis, reply: Sequence[bytes | None], n: int, exclude: Collection[str], matchings: Sequence[Matching]
) -> list[Any] | None:
    """The first n of the stored items, where they are current, enough and need no new items beside them."""
    changed, of, version, _, items = reply
    model_version = basis.state.mapped.model_version
    if of is None or version is None or items is None or model_version is None:
        return None
    if of != (changed or b"") or version != model_version.encode():
        return None
    unavailable, top = basis.unavailable, []
    for each in orjson.loads(items):
        item_id = each[0]
        if item_id in unavailable or item_id in exclude or any(item_id not in matching for matching in matchings):
            continue
        top.append(each)
        if len(top) == n:
            return None if _mixes(basis.state, top) else top
    return None


def _mixes(state: ServingState, top: Sequence[Sequence[Any]]) -> bool:
    """Whether new items are to be mixed in: nothing of the answer is personal."""
    return bool(state.new) and state.exploration > 0 and all(each[3] == "popular" for each in top)


def _rendered(items: Sequence[Scored]) -> bytes:
    return orjson.dumps([{"item_id": each.item_id, "score": each.score, "reason": reason(each)} for each in items])


def _spliced(
    version: str | None,
    degraded: bool,
    items: bytes,
    pipeline_version: int | None = None,
    arm: ServingArm | None = None,
) -> bytes:
    """The answer with a request id of its own and these rendered items."""
    head: dict[str, Any] = {"request_id": uuid4().hex, "model_version": version, "degraded": degraded}
    if pipeline_version is not None:
        head["pipeline_version"] = pipeline_version
    if arm is not None:
        head |= {"experiment": arm.experiment, "arm": arm.arm}
    return orjson.dumps(head)[:-1] + b',"items":' + items + b"}"
