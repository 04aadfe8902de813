"""Orders candidates anew: what lifts them, and places taken one by one under diversity, caps and promotions."""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from lemo.domain.newness import DAY_MS
from lemo.domain.pipeline import Cap, Diversity, Freshness
from lemo.recommenders.scored import Scored
from lemo.serving.catalogue.columns import Columns
from lemo.serving.catalogue.values import Numbers
from lemo.serving.pipeline.plan import Plan, Rule

Array = np.ndarray[Any, Any]


def lifted(scored: Sequence[Scored], plan: Plan, now_ms: float | None = None) -> list[Scored]:
    """The items by their scores with boosts, freshness and heat, of equals the first; scores are standard deviations.

    `now_ms` is where the scenario's activity is (ADR 0003), so that a pause in it changes no order; None: the clock's.
    """
    if not scored or not (plan.boosts or plan.freshness or plan.hot):
        return list(scored)
    scores = np.array([each.score for each in scored])
    deviation = scores.std()
    scores = (scores - scores.mean()) / (deviation if deviation > 1e-12 else 1.0)
    for rule in plan.boosts:
        scores += [rule.amount if each.item_id in rule.matching else 0.0 for each in scored]
    if plan.freshness is not None and plan.columns is not None:
        scores += _freshness(scored, plan.freshness, plan.columns, time.time() * 1_000 if now_ms is None else now_ms)
    if plan.hot is not None:
        scores += [plan.hot.stage.weight * plan.hot.heat.get(each.item_id, 0.0) for each in scored]
    order = np.argsort(-scores, kind="stable")
    return [scored[place]._replace(score=float(scores[place])) for place in order]


def _freshness(scored: Sequence[Scored], stage: Freshness, columns: Columns, now_ms: float) -> Array:
    with columns.lock:
        published = columns.value(["published_at"])
        rows = columns.rows(each.item_id for each in scored)
        moments = published.values if isinstance(published, Numbers) else np.zeros(0)
        inside = (rows >= 0) & (rows < len(moments))
        age = np.full(len(rows), np.inf)
        age[inside] = np.maximum(now_ms - moments[rows[inside]], 0) / DAY_MS
    return np.asarray(stage.weight * np.exp2(-np.nan_to_num(age, nan=np.inf) / stage.half_life_days))


class Caps:
    """Counts what an answer holds of each value that is capped."""

    def __init__(self, caps: Sequence[Cap], columns: Columns | None) -> None:
        self._caps = caps if columns is not None else ()
        self._columns = columns
        self._taken: list[Counter[Any]] = [Counter() for _ in self._caps]

    def blocking(self, item_id: str) -> Cap | None:
        """The cap that keeps an item out now."""
        for cap, taken in zip(self._caps, self._taken, strict=True):
            if any(taken[value] >= cap.most for value in self._values(cap, item_id)):
                return cap
        return None

    def take(self, item_id: str) -> bool:
        """Counts an item, unless a cap keeps it out. Whether it was counted."""
        if self.blocking(item_id) is not None:
            return False
        for cap, taken in zip(self._caps, self._taken, strict=True):
            taken.update(self._values(cap, item_id))
        return True

    def _values(self, cap: Cap, item_id: str) -> Collection[Any]:
        return self._columns.labels(item_id, cap.by) if self._columns is not None else ()


def placed(scored: Sequence[Scored], promoted: Sequence[Sequence[Scored]], plan: Plan, caps: Caps) -> list[Scored]:
    """The items of up to n places, taken one by one: a promoted one where its share is due, else the best that is left.

    The best is that of maximal marginal relevance where the plan has diversity, else that of the highest score. An item
    that a cap keeps out is passed over. `promoted` has for each promotion the items that match, best first.
    """
    if not (plan.caps or plan.promotions or plan.diversity):
        return list(scored[: plan.n])
    due = _promoted_places(plan.promotions, plan.n)
    rest = _Rest([*scored, *_others(scored, promoted)], len(scored), plan.diversity, plan.columns)
    queues = [[each.item_id for each in items] for items in promoted]
    answer: list[Scored] = []
    for place in range(plan.n):
        taken = None
        if place in due:
            taken = next(
                (each for each in map(rest.named, queues[due[place]]) if each and caps.take(each.item_id)), None
            )
            if taken is not None:
                taken = taken._replace(kind="promoted", because=None)
        if taken is None:
            taken = rest.best(caps)
        if taken is None:
            break
        rest.remove(taken.item_id)
        answer.append(taken)
    return answer


def _others(scored: Sequence[Scored], promoted: Sequence[Sequence[Scored]]) -> Iterable[Scored]:
    known = {each.item_id for each in scored}
    return {each.item_id: each for items in promoted for each in items if each.item_id not in known}.values()


def _promoted_places(promotions: Sequence[Rule], n: int) -> dict[int, int]:
    """The places (from 0) of promotions, evenly spread; of two that fall together the later one moves on."""
    due: dict[int, int] = {}
    for number, rule in enumerate(promotions):
        for nth in range(round(n * rule.amount)):
            place = int((nth + 0.5) / rule.amount)
            while place in due:
                place += 1
            if place < n:
                due[place] = number
    return due


class _Rest:
    """The candidates that are not taken yet."""

    def __init__(self, items: list[Scored], ranked: int, diversity: Diversity | None, columns: Columns | None) -> None:
        self._items = items
        self._places = {each.item_id: place for place, each in enumerate(items)}
        self._left = np.ones(len(items), dtype=bool)
        self._left[ranked:] = False  # promoted ones from beyond the candidates come by `named` alone
        self._named = set(self._places)
        self._alike: Array | None = None
        self._likeness: Likeness | None = None
        if diversity is not None and columns is not None and items:
            scores = np.array([each.score for each in items])
            spread = scores.max() - scores.min()
            self._relevance = (1 - diversity.strength) * (scores - scores.min()) / (spread if spread > 1e-12 else 1.0)
            self._strength = diversity.strength
            self._likeness = Likeness([each.item_id for each in items], diversity.by, columns)
            self._alike = np.zeros(len(items))

    def named(self, item_id: str) -> Scored | None:
        """An item, where it is not taken yet."""
        return self._items[self._places[item_id]] if item_id in self._named else None

    def best(self, caps: Caps) -> Scored | None:
        """The best item that no cap keeps out, counted."""
        while self._left.any():
            if self._alike is None:
                place = int(self._left.argmax())
            else:
                values = np.where(self._left, self._relevance - self._strength * self._alike, -np.inf)
                place = int(values.argmax())
            if caps.take(self._items[place].item_id):
                return self._items[place]
            self._left[place] = False  # it stays kept out: counts only rise
        return None

    def remove(self, item_id: str) -> None:
        """Takes an item out; what is like it becomes worse."""
        place = self._places[item_id]
        self._left[place] = False
        self._named.discard(item_id)
        if self._alike is not None and self._likeness is not None:
            self._alike = np.maximum(self._alike, self._likeness.to(place))


class Likeness:
    """How alike items are: the values that they share of those that either has, from 0 to 1 (Jaccard)."""

    def __init__(self, item_ids: Sequence[str], by: Sequence[str], columns: Columns) -> None:
        codes: dict[tuple[str, Any], int] = {}
        cells = [
            [codes.setdefault((name, value), len(codes)) for name in by for value in columns.labels(item_id, name)]
            for item_id in item_ids
        ]
        self._has = np.zeros((len(item_ids), max(len(codes), 1)), dtype=np.float32)
        for row, having in enumerate(cells):
            self._has[row, having] = 1
        self._sizes = self._has.sum(axis=1)

    def to(self, place: int) -> Array:
        """float32 (items,): the likeness of each item to one of them; 0 for items without values."""
        shared = self._has @ self._has[place]
        either = self._sizes + self._sizes[place] - shared
        return np.asarray(shared / np.maximum(either, 1))
