"""Why an item is in an answer, or why not: what each stage did with it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

from lemo.domain.recommendation import ExplainedItem, ExplainedStep
from lemo.recommenders.scored import Scored
from lemo.serving.pipeline.plan import Plan
from lemo.serving.pipeline.rerank import Caps

Stage = Literal["plan", "user", "recall", "boost", "order", "new items", "fill", "pin", "fields"]
"""`plan` evaluates filters, `user` asks Redis, `fields` reads documents; the others make the answer."""
STAGES: tuple[Stage, ...] = get_args(Stage)
Timed = Callable[[Stage, int], None]
"""Takes the nanoseconds of a stage."""
_MEANING = {
    "recall": "candidates for this user",
    "boost": "after boosts, freshness and what is hot",
    "order": "after diversity, caps and promotions",
    "new items": "after new items were mixed in",
    "fill": "after the answer was filled up",
    "pin": "answered",
}
"""What each stage leaves."""


@dataclass(slots=True, eq=False)
class Trace:
    """The items after each stage, and how long it took. Without `on` it keeps no items."""

    on: bool = False
    timed: Timed | None = None
    stages: dict[str, list[Scored]] = field(default_factory=dict)
    _since: int = field(default_factory=time.perf_counter_ns)

    def record(self, stage: Stage, items: list[Scored]) -> list[Scored]:
        """Keeps the items of a stage that has ended, and gives them back."""
        if self.on:
            self.stages[stage] = list(items)
        self.ended(stage)
        return items

    def ended(self, stage: Stage) -> None:
        """Tells how long a stage took: since the one before it ended."""
        if self.timed is not None:
            now = time.perf_counter_ns()
            self.timed(stage, now - self._since)
            self._since = now


def explained(item_id: str, trace: Trace, plan: Plan, kept_out: str | None, place: int | None) -> ExplainedItem:
    """What the stages did with an item. `kept_out` is the rule that excludes it, `place` its place (from 1) among all.

    A stage that changes neither the place nor the score of the item is left out.
    """
    steps: list[ExplainedStep] = []
    position = last = None
    for stage, items in trace.stages.items():
        at = next((number for number, each in enumerate(items, start=1) if each.item_id == item_id), None)
        score = None if at is None else items[at - 1].score
        if (at, score) != last and (at is not None or last is not None):
            steps.append(ExplainedStep(stage=stage, place=at, score=score, of=len(items), meaning=_MEANING[stage]))
        last = at, score
        position = at
    return ExplainedItem(
        item_id=item_id,
        position=position,
        verdict=_verdict(item_id, trace, plan, kept_out, place, position),
        steps=steps,
    )


def _verdict(
    item_id: str, trace: Trace, plan: Plan, kept_out: str | None, place: int | None, position: int | None
) -> str:
    if position is not None:
        kind = trace.stages["pin"][position - 1].kind
        return f"It is answered at place {position}{_ANSWERED.get(kind, '.')}"
    if kept_out is not None:
        return f"It is not answered: {kept_out}."
    recalled = [each.item_id for each in trace.stages.get("recall", [])]
    if item_id not in recalled:
        if place is None:
            return "It is not answered: the model does not know it, and the answer was full without it."
        return (
            f"It is not answered: by its score it is at place {place:,}, and {len(recalled):,} candidates were taken."
        )
    cap = _cap(item_id, trace, plan)
    if cap is not None:
        return f"It is not answered: {cap}."
    at = [each.item_id for each in trace.stages["boost"]].index(item_id) + 1
    return f"It is not answered: it is at place {at:,} of the candidates, and {plan.n} are answered."


def _cap(item_id: str, trace: Trace, plan: Plan) -> str | None:
    caps = Caps(plan.caps, plan.columns)
    for each in trace.stages["order"]:
        caps.take(each.item_id)
    found = caps.blocking(item_id)
    return None if found is None else f"at most {found.most} items of one {found.by} are answered"


_ANSWERED = {
    "pinned": ": it is pinned there.",
    "promoted": ": a promotion gives it the place.",
    "repeat": ": the user has had it, and it is due again.",
    "latest": ": it is new.",
    "other": ": it fills the answer up.",
    "popular": ": it is popular.",
    "hot": ": it is hot now.",
}
