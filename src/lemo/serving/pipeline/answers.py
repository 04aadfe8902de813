"""The stages of an answer in their order, for one asker or many: the same for requests, batches and export."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from lemo.domain.request import Pin
from lemo.recommenders.scored import Scored
from lemo.serving.assembly import UNSCORED, newest, with_new_items
from lemo.serving.pipeline.explain import Trace
from lemo.serving.pipeline.plan import Exclusions, Plan
from lemo.serving.pipeline.recall import Asker, candidates, exclusions, popular, scored
from lemo.serving.pipeline.rerank import Caps, lifted, placed
from lemo.serving.state import ServingState

NO_TRACES: Mapping[int, Trace] = {}


def recommended(
    askers: Sequence[Asker],
    state: ServingState,
    plan: Plan,
    exploration: float,
    traces: Mapping[int, Trace] = NO_TRACES,
) -> list[list[Scored]]:
    """The items for each asker, best first. `exploration` is the share of places for new items where nothing is known.

    Where fewer than n items have a score, others that match follow, the last of the catalogue first. `traces` are those
    of the askers (by place) whose stages shall be explained.
    """
    found = candidates(askers, state, plan)
    return [
        _answer(asker, found[at], state, plan, exploration, traces.get(at, Trace())) for at, asker in enumerate(askers)
    ]


def similar_to(
    item_ids: Sequence[str], similar: Sequence[Scored], state: ServingState, plan: Plan, trace: Trace
) -> list[Scored]:
    """Of the items that are similar to some, those that match."""
    without = Exclusions(state.unavailable, plan.exclude.union(item_ids), (), plan.filters)
    shown = trace.record("recall", [each for each in similar if each.item_id not in without])
    ordered = trace.record("boost", lifted(shown, plan, _now(state)))
    caps = Caps(plan.caps, plan.columns)
    chosen = trace.record("order", placed(ordered, (), plan, caps))
    if plan.filters and len(chosen) < plan.n and state.mapped.model is not None:
        # Few items have enough neighbours for a filter: popular ones that match follow.
        there = {each.item_id for each in chosen}
        rest = popular(state.mapped.model, plan.n + len(there), without)
        chosen = trace.record("fill", [*chosen, *(each for each in rest if each.item_id not in there)][: plan.n])
    return trace.record("pin", pinned(chosen, plan.pins, state.unavailable)[: plan.n])


def together(lists: Sequence[Sequence[Scored]]) -> list[Scored]:
    """The items of several lists, each with the sum of its scores and the reason of the largest, best first."""
    sums: dict[str, float] = {}
    best: dict[str, Scored] = {}
    for each in (each for items in lists for each in items):
        sums[each.item_id] = sums.get(each.item_id, 0.0) + each.score
        if each.item_id not in best or each.score > best[each.item_id].score:
            best[each.item_id] = each
    return sorted((best[id]._replace(score=score) for id, score in sums.items()), key=lambda each: -each.score)


def pinned(items: Sequence[Scored], pins: Sequence[Pin], unavailable: frozenset[str]) -> list[Scored]:
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


def _answer(
    asker: Asker, found: list[Scored], state: ServingState, plan: Plan, exploration: float, trace: Trace
) -> list[Scored]:
    without = exclusions(asker, state, plan)
    ordered = trace.record("boost", lifted(trace.record("recall", found), plan, _now(state)))
    caps = Caps(plan.caps, plan.columns)
    if asker.repeats:
        chosen = trace.record("order", placed(ordered, (), plan, caps))
        return trace.record("pin", pinned(chosen, plan.pins, state.unavailable)[: plan.n])
    chosen = trace.record("order", placed(ordered, _promoted(asker, ordered, state, plan), plan, caps))
    take = caps.take if plan.caps else None
    chosen = trace.record("new items", with_new_items(chosen, state.new, plan.n, without, exploration, take))
    filled = trace.record("fill", _filled(chosen, plan, state, without, caps))
    return trace.record("pin", pinned(filled, plan.pins, state.unavailable)[: plan.n])


def _now(state: ServingState) -> float | None:
    """Where the scenario's activity is, in Unix milliseconds; None before the first model, or without any activity."""
    return state.mapped.model.timeline.now or None if state.mapped.model is not None else None


def _promoted(asker: Asker, ordered: Sequence[Scored], state: ServingState, plan: Plan) -> list[list[Scored]]:
    """For each promotion the items that match, best first, as many as it can need."""
    model = state.mapped.model
    found = []
    for rule in plan.promotions:
        items = [each for each in ordered if each.item_id in rule.matching]
        needed = round(plan.n * rule.amount)
        if len(items) < needed and model is not None:
            more = scored(model, [asker], plan, state, plan.n, [rule])[0]
            known = {each.item_id for each in items}
            items += [each for each in more if each.item_id not in known]
        found.append(items)
    return found


def _filled(chosen: list[Scored], plan: Plan, state: ServingState, without: Exclusions, caps: Caps) -> list[Scored]:
    """The items, filled up to n: with the newest, then, where a filter leaves other items, with any that match."""
    if len(chosen) >= plan.n:
        return chosen
    shown = {each.item_id for each in chosen}
    rest = _others(plan, state, without)
    ids: list[str] = []
    for item_id in rest:
        if len(chosen) + len(ids) == plan.n:
            break
        if item_id not in shown and caps.take(item_id):
            shown.add(item_id)
            ids.append(item_id)
    if not chosen and not plan.filters:
        return newest(ids, plan.n, ())
    return chosen + [Scored(item_id, UNSCORED, None, "other") for item_id in ids]


def _others(plan: Plan, state: ServingState, without: Exclusions) -> Iterator[str]:
    # Caps leave places too: what of the catalogue is neither new nor a candidate comes last.
    rest: Iterable[str] = without.matching_ids()
    if plan.caps and not plan.filters and plan.columns is not None:
        rest = reversed(plan.columns.item_ids)
    return (item_id for item_id in chain(state.latest, rest) if item_id not in without)
