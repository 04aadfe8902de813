"""The pipeline of a request with wishes of its own: recall, filter, boost, pin, fill up."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lemo.domain.interaction import Interaction, filtered_items
from lemo.domain.request import Choice, Pin, RecommendationRequest, SessionItem
from lemo.domain.scenario import ActionRule
from lemo.recommenders.hybrid.hybrid import HybridRecommender
from lemo.recommenders.scored import Scored
from lemo.serving.assembly import UNSCORED, newest, with_new_items
from lemo.serving.matching import Matching
from lemo.serving.state import ServingState
from lemo.serving.user_state import UserState

Array = np.ndarray[Any, Any]

BOOSTED = 200
"""Candidates among which boosts change the order; a boosted item further down is not lifted."""


@dataclass(frozen=True, slots=True, eq=False)
class Exclusions:
    """The items that an answer must not hold. `in` asks for one of them."""

    unavailable: frozenset[str]
    others: Collection[str] = ()
    """What the request excludes, and what the user has seen."""
    matching: Matching | None = None
    """What the filter leaves; None without a filter."""

    def __contains__(self, item_id: object) -> bool:
        return (
            item_id in self.unavailable
            or item_id in self.others
            or (self.matching is not None and item_id not in self.matching)
        )

    def rows(self, model: HybridRecommender) -> Array:
        """int32: their numbers in the model, without `others`."""
        hidden = model.rows(self.unavailable)
        return hidden if self.matching is None else np.union1d(hidden, self.matching.others(model)).astype(np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Wishes:
    """A request's filters, evaluated."""

    matching: Matching | None = None
    boosts: Sequence[tuple[Matching, float]] = field(default=())

    @classmethod
    def of(cls, choice: Choice, evaluate: Callable[[str], Matching]) -> "Wishes":
        """Evaluates the filters of a request."""
        return cls(
            evaluate(choice.filter) if choice.filter else None,
            [(evaluate(boost.filter), boost.weight) for boost in choice.boost],
        )


def recommended(
    request: RecommendationRequest,
    user: UserState,
    state: ServingState,
    wishes: Wishes,
    precomputed: list[Scored] | None,
) -> list[Scored]:
    """The items for a user or a session. `precomputed` are the user's where they are current.

    Where fewer than n items have a score, others that match follow, the last of the catalogue first.
    """
    history = _history(request, user, state.rules)
    seen = set() if request.repeat else filtered_items(history, state.rules) | user.seen
    exclusions = Exclusions(state.unavailable, seen.union(request.exclude), wishes.matching)
    depth = max(request.n, BOOSTED) if wishes.boosts else request.n
    scored: list[Scored] | None = None
    if precomputed is not None and not (request.session or request.repeat or wishes.boosts):
        shown = [each for each in precomputed if each.item_id not in exclusions]
        scored = shown if len(shown) >= request.n else None
    if scored is None:
        scored = _scored(state.mapped.model, history, user.seen, request.repeat, exclusions, depth)
    ordered = boosted(scored, wishes.boosts)
    if state.mapped.model is None:
        found = newest(state.latest, request.n, exclusions)
    else:
        found = with_new_items(ordered, state.new, (), request.n, exclusions, state.exploration)
    return pinned(_filled(found, request.n, state, exclusions), request.pin, state.unavailable)[: request.n]


def together(lists: Sequence[Sequence[Scored]]) -> list[Scored]:
    """The items of several lists, each with the sum of its scores and the reason of the largest, best first."""
    sums: dict[str, float] = {}
    best: dict[str, Scored] = {}
    for each in (each for items in lists for each in items):
        sums[each.item_id] = sums.get(each.item_id, 0.0) + each.score
        if each.item_id not in best or each.score > best[each.item_id].score:
            best[each.item_id] = each
    return sorted((best[id]._replace(score=score) for id, score in sums.items()), key=lambda each: -each.score)


def similar_to(
    choice: Choice, item_ids: Sequence[str], scored: Sequence[Scored], state: ServingState, wishes: Wishes
) -> list[Scored]:
    """Of the items that are similar to some, those that match."""
    exclusions = Exclusions(state.unavailable, frozenset(item_ids).union(choice.exclude), wishes.matching)
    shown = [each for each in scored if each.item_id not in exclusions]
    return pinned(boosted(shown, wishes.boosts)[: choice.n], choice.pin, state.unavailable)[: choice.n]


def boosted(scored: Sequence[Scored], boosts: Sequence[tuple[Matching, float]]) -> list[Scored]:
    """The items by their scores with the boosts, of equals the first; scores become standard deviations."""
    if not boosts or not scored:
        return list(scored)
    scores = np.array([each.score for each in scored])
    deviation = scores.std()
    scores = (scores - scores.mean()) / (deviation if deviation > 1e-12 else 1.0)
    for matching, weight in boosts:
        scores += [weight if each.item_id in matching else 0.0 for each in scored]
    order = np.argsort(-scores, kind="stable")
    return [scored[place]._replace(score=float(scores[place])) for place in order]


def pinned(items: Sequence[Scored], pins: Sequence[Pin], unavailable: Collection[str]) -> list[Scored]:
    """The items with the pinned ones at their positions, as far as there are so many."""
    if not pins:
        return list(items)
    scores = {each.item_id: each.score for each in items}
    ids = {pin.item_id for pin in pins}
    answer = [each for each in items if each.item_id not in ids]
    for pin in sorted(pins, key=lambda pin: pin.position):
        if pin.item_id not in unavailable:
            shown = Scored(pin.item_id, scores.get(pin.item_id, UNSCORED), None, "pinned")
            answer.insert(min(pin.position - 1, len(answer)), shown)
    return answer


def _history(request: RecommendationRequest, user: UserState, rules: Mapping[str, ActionRule]) -> Sequence[Interaction]:
    """The history of the user with the items of the session as its newest interactions, newest first."""
    history = user.history or ()
    if not request.session:
        return history
    positive = {name: rule.weighing.without_value for name, rule in rules.items() if rule.weighing.without_value > 0}
    weakest = min(positive, key=lambda name: (positive[name], name), default="view")
    now = time.time_ns() // 1_000_000
    session = []
    for age, each in enumerate(reversed(request.session)):
        item = each if isinstance(each, SessionItem) else SessionItem(item_id=each)
        session.append(Interaction(item.item_id, item.action or weakest, None, now - age))
    return [*session, *history]


def _scored(
    model: HybridRecommender | None,
    history: Sequence[Interaction],
    seen: frozenset[str],
    repeat: bool,
    exclusions: Exclusions,
    depth: int,
) -> list[Scored]:
    if model is None:
        return []
    queries, known = model.encode([history], [() if repeat else seen.union(exclusions.others)])
    if repeat:
        known = model.encode([()], [exclusions.others])[1]
    return model.answers(queries, known, depth, exclusions.rows(model))[0]


def _filled(found: list[Scored], n: int, state: ServingState, exclusions: Exclusions) -> list[Scored]:
    """The items, filled up to n: with the newest, or, where a filter leaves other items, with any that match."""
    if len(found) >= n:
        return found
    shown = {each.item_id for each in found}
    others = exclusions.matching.ids() if exclusions.matching is not None else []
    for item_id in [*state.latest, *others]:
        if len(found) == n:
            break
        if item_id not in shown and item_id not in exclusions:
            shown.add(item_id)
            found.append(Scored(item_id, UNSCORED, None, "other"))
    return found
