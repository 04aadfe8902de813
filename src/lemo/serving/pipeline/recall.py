"""Recall: the candidates for users and sessions, from what is precomputed, else from the model."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lemo.domain.interaction import Interaction, filtered_items
from lemo.domain.request import RecommendationRequest, SessionItem
from lemo.domain.scenario import ActionRule
from lemo.recommenders.hybrid.hybrid import HybridRecommender
from lemo.recommenders.scored import Scored
from lemo.serving.assembly import UNSCORED, newest
from lemo.serving.pipeline.plan import Exclusions, Plan, Rule
from lemo.serving.pipeline.repeats import due_again
from lemo.serving.state import ServingState
from lemo.serving.user_state import UserState


@dataclass(frozen=True, slots=True, eq=False)
class Asker:
    """For whom an answer is."""

    history: Sequence[Interaction]
    """Newest first, the items of a session before those of the user."""
    seen: frozenset[str]
    """What must not be answered again; empty where it may be."""
    precomputed: list[Scored] | None = None
    """The user's precomputed items, where they are current."""
    complete: bool = False
    """Whether the model has no candidates beyond the precomputed ones."""
    version: str | None = None
    """The model that computed them."""
    repeats: bool = False
    """Whether only the items in `precomputed`, which the asker has had, may be answered."""

    @classmethod
    def of(
        cls, user: UserState, state: ServingState, request: RecommendationRequest | None, stored_items: int
    ) -> "Asker":
        """A user, or the session of a request. `stored_items` is how many a whole precomputed list has."""
        history = user.history or ()
        if request is not None and (request.session or request.repeat != "never"):
            history = _with_session(request, history, state.rules)
            if request.repeat == "only":
                return cls(history, frozenset(), due_again(history, state), complete=True, repeats=True)
            allowed = request.repeat == "allow"
            seen = frozenset() if allowed else frozenset(filtered_items(history, state.rules)) | user.seen
            return cls(history, seen)
        seen = frozenset(filtered_items(history, state.rules)) | user.seen
        if state.mapped.model is None:
            # The last answer of an older model is better than none.
            last = user.precomputed
            return cls(history, seen, last.items if last else None, True, last.version if last else None)
        stored = user.current(state.mapped.model_version)
        return cls(history, seen, stored, stored is not None and len(stored) < stored_items)

    def answered_by(self, state: ServingState, items: Sequence[Scored]) -> str | None:
        """The version of the model that an answer is of: without one in service that of the last precomputed answer."""
        if state.mapped.model is not None:
            return state.mapped.model_version
        last = {each.item_id for each in self.precomputed or ()}
        return self.version if any(each.item_id in last for each in items) else None


def exclusions(asker: Asker, state: ServingState, plan: Plan) -> Exclusions:
    """What the answer to this asker must not hold."""
    return Exclusions(state.unavailable, plan.exclude, asker.seen, plan.filters)


def candidates(askers: Sequence[Asker], state: ServingState, plan: Plan) -> list[list[Scored]]:
    """Each asker's candidates, best first: those of the model, then hot, popular and newest ones."""
    found = [_stored(asker, state, plan) for asker in askers]
    missing = [asker for asker, ready in zip(askers, found, strict=True) if ready is None]
    model = state.mapped.model
    computed = iter(scored(model, missing, plan, state, plan.depth) if model is not None else [[] for _ in missing])
    lists = [next(computed) if ready is None else ready for ready in found]
    if not (plan.recall.popular or plan.recall.newest or plan.hot):
        return lists
    return [
        own if asker.repeats else [*own, *_besides(own, asker, state, plan)]
        for own, asker in zip(lists, askers, strict=True)
    ]


def scored(
    model: HybridRecommender,
    askers: Sequence[Asker],
    plan: Plan,
    state: ServingState,
    depth: int,
    only: Sequence[Rule] = (),
) -> list[list[Scored]]:
    """The model's best for each asker, of those that match `only` too."""
    if not askers:
        return []
    rows = Exclusions(state.unavailable, filters=[*plan.filters, *only]).rows(model)
    queries, _ = model.encode([asker.history for asker in askers])
    # What was seen counts by `seen` alone: it is empty where items may be repeated.
    known = model.encode([()] * len(askers), [asker.seen.union(plan.exclude) for asker in askers])[1]
    return model.answers(queries, known, depth, rows)


def popular(model: HybridRecommender, n: int, hidden: Exclusions) -> list[Scored]:
    """The n most popular items that are not hidden."""
    queries, known = model.encode([()], [hidden.excluded])
    return model.answers(queries, known, n, hidden.rows(model))[0]


def _stored(asker: Asker, state: ServingState, plan: Plan) -> list[Scored] | None:
    """The precomputed candidates that may be shown, where they are enough."""
    if asker.precomputed is None:
        return None
    without = exclusions(asker, state, plan)
    shown = [each for each in asker.precomputed if each.item_id not in without]
    enough = len(asker.precomputed) >= plan.depth if plan.reorders else len(shown) >= plan.n
    return shown if enough or asker.complete else None


def _besides(own: Sequence[Scored], asker: Asker, state: ServingState, plan: Plan) -> Iterator[Scored]:
    without = exclusions(asker, state, plan)
    shown = {each.item_id for each in own}
    others = popular(state.mapped.model, plan.recall.popular, without) if state.mapped.model else []
    if plan.hot is not None:
        hottest = [item_id for item_id in plan.hot.heat if item_id not in without][: plan.hot.stage.candidates]
        others = [*(Scored(item_id, UNSCORED, None, "hot") for item_id in hottest), *others]
    others += newest(state.latest, plan.recall.newest, without)
    # An item that is none of the model's best for this user has the score of an average item.
    for each in others:
        if each.item_id not in shown and each.item_id not in without:
            shown.add(each.item_id)
            yield each._replace(score=UNSCORED)


def _with_session(
    request: RecommendationRequest, history: Sequence[Interaction], rules: Mapping[str, ActionRule]
) -> Sequence[Interaction]:
    """The history of the user with the items of the session as its newest interactions, newest first."""
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
