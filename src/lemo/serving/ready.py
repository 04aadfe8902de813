"""Answers that need no computation: precomputed recommendations, similar, popular and newest items, as JSON.

None is returned wherever the full service must decide: no model, too few items left, new items to mix in.
"""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import uuid4

import orjson

from lemo.domain.request import RecommendationRequest
from lemo.domain.scope import Scope
from lemo.recommenders.scored import Scored
from lemo.serving.assembly import newest, reason
from lemo.serving.matching import Matching
from lemo.serving.model_cache import ModelCache
from lemo.serving.state import ServingState

MOST_BYTES = 64_000_000
"""Rendered lists in memory; beyond it all are made anew."""


class ReadyAnswers:
    """Makes answers from what is in memory and one reply of Redis. For one event loop."""

    def __init__(self, models: ModelCache) -> None:
        self._models = models
        self._kept: dict[tuple[Scope, str], tuple[tuple[object, ...], dict[object, bytes]]] = {}
        self._bytes = 0

    def recommendations(
        self, scope: Scope, reply: Sequence[bytes | None], n: int, exclude: Collection[str]
    ) -> bytes | None:
        """The n best precomputed items, where `reply` (the fields of `stores/redis/precomputed.py`) is current."""
        state = self._models.loaded(scope)
        scored = None if state is None else _current(state, reply)
        if state is None or scored is None:
            return None
        unavailable = state.unavailable
        top = []
        for each in scored:
            if each[0] not in unavailable and each[0] not in exclude:
                top.append(each)
                if len(top) == n:
                    break
        if len(top) < n or _mixes(state, top):
            return None
        items = [
            {"item_id": item_id, "score": score, "reason": reason(Scored(item_id, score, because, kind))}
            for item_id, score, because, kind in top
        ]
        return _body(state.mapped.model_version, self._models.is_stale(state, "model", "newest items"), items)

    def chosen(
        self, scope: Scope, reply: Sequence[bytes | None], request: RecommendationRequest, matching: Matching | None
    ) -> bytes | None:
        """The same by the wishes of a request, where it asks for nothing but a filter and exclusions."""
        state = self._models.loaded(scope)
        scored = None if state is None else _current(state, reply)
        if state is None or scored is None:
            return None
        unavailable, exclude = state.unavailable, request.exclude
        top = []
        for each in scored:
            if each[0] in unavailable or each[0] in exclude or (matching is not None and each[0] not in matching):
                continue
            top.append(each)
            if len(top) == request.n:
                break
        if len(top) < request.n or _mixes(state, top):
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
        return _body(state.mapped.model_version, self._models.is_stale(state, "model", "newest items"), items)

    def similar(self, scope: Scope, item_id: str, n: int) -> bytes | None:
        """The n items most similar to an item."""
        state = self._models.loaded(scope)
        if state is None or state.mapped.similar is None:
            return None
        similar, unavailable = state.mapped.similar, state.unavailable
        lists = self._lists(scope, "similar", (similar, unavailable))
        items = lists.get((item_id, n))
        if items is None:
            found = similar.of(item_id, n + len(unavailable))
            shown = [each for each in found if each.item_id not in unavailable][:n]
            if not shown:
                return None
            items = self._keep(lists, (item_id, n), shown)
        stale = self._models.is_stale(state, "similar items", "newest items")
        return _spliced(state.mapped.similar_version, stale, items)

    def popular(self, scope: Scope, n: int) -> bytes | None:
        """The n most popular items."""
        state = self._models.loaded(scope)
        if state is None or state.mapped.model is None:
            return None
        model, unavailable = state.mapped.model, state.unavailable
        lists = self._lists(scope, "popular", (model, unavailable))
        items = lists.get(n)
        if items is None:
            items = self._keep(lists, n, model.popular(n, unavailable))
        return _spliced(state.mapped.model_version, self._models.is_stale(state, "model", "newest items"), items)

    def latest(self, scope: Scope, n: int) -> bytes | None:
        """The n newest items."""
        state = self._models.loaded(scope)
        if state is None:
            return None
        unavailable = state.unavailable
        lists = self._lists(scope, "latest", (state.availability, unavailable))
        items = lists.get(n)
        if items is None:
            items = self._keep(lists, n, newest(state.latest, n, unavailable))
        return _spliced(None, not state.complete, items)

    def _lists(self, scope: Scope, what: str, basis: tuple[object, ...]) -> dict[object, bytes]:
        """The rendered lists of a scope, as long as what they are made of is the same."""
        kept = self._kept.get((scope, what))
        if kept is None or any(before is not now for before, now in zip(kept[0], basis, strict=True)):
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


def _current(state: ServingState, reply: Sequence[bytes | None]) -> list[Any] | None:
    changed, of, version, _, items = reply
    model_version = state.mapped.model_version
    if of is None or version is None or items is None or model_version is None:
        return None
    if of != (changed or b"") or version != model_version.encode():
        return None
    found: list[Any] = orjson.loads(items)
    return found


def _mixes(state: ServingState, top: Sequence[Sequence[Any]]) -> bool:
    """Whether new items are to be mixed in: nothing of the answer is personal."""
    return bool(state.new) and state.exploration > 0 and all(each[3] == "popular" for each in top)


def _rendered(items: Sequence[Scored]) -> bytes:
    return orjson.dumps([{"item_id": each.item_id, "score": each.score, "reason": reason(each)} for each in items])


def _body(version: str | None, degraded: bool, items: Sequence[dict[str, Any]]) -> bytes:
    return _spliced(version, degraded, orjson.dumps(items))


def _spliced(version: str | None, degraded: bool, items: bytes) -> bytes:
    """The answer with a request id of its own and these rendered items."""
    head = orjson.dumps({"request_id": uuid4().hex, "model_version": version, "degraded": degraded})
    return head[:-1] + b',"items":' + items + b"}"
