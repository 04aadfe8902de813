"""What is to be done for an answer: the scenario's pipeline and the wishes of a request, with filters evaluated."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lemo.domain.errors import InvalidInput
from lemo.domain.pipeline import Cap, Diversity, Freshness, HotRealtime, Pipeline, Recall
from lemo.domain.request import Choice, Pin
from lemo.recommenders.hybrid.hybrid import HybridRecommender
from lemo.serving.catalogue.columns import Columns
from lemo.serving.matching import Matching

Array = np.ndarray[Any, Any]
Evaluate = Callable[[str, Mapping[str, Any]], Matching]
"""Evaluates a filter with variables; raises InvalidInput."""


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """An evaluated filter, and how much it does."""

    name: str
    """Where it stands, such as `pipeline boost 1`."""
    matching: Matching
    amount: float = 0.0
    """The weight of a boost, the share of a promotion."""


@dataclass(frozen=True, slots=True, eq=False)
class HotItems:
    """The hottest items of a moment."""

    stage: HotRealtime
    heat: Mapping[str, float]
    """The share of the hottest item's score that each item has, the hottest first."""
    until_ms: int
    """Events that came in before this moment (Unix ms) are counted; 0: none ever were."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The stages of one answer."""

    n: int = 10
    recall: Recall = field(default_factory=Recall)
    filters: Sequence[Rule] = ()
    boosts: Sequence[Rule] = ()
    freshness: Freshness | None = None
    hot: HotItems | None = None
    """What is hot now, where the pipeline asks for it and it is known."""
    diversity: Diversity | None = None
    caps: Sequence[Cap] = ()
    promotions: Sequence[Rule] = ()
    pins: Sequence[Pin] = ()
    exclude: frozenset[str] = frozenset()
    columns: Columns | None = None
    """The catalogue, where a stage needs it."""
    faults: Sequence[str] = ()
    """Rules of the pipeline that do not fit the catalogue any more, and are left out."""

    @property
    def reorders(self) -> bool:
        """Whether stages change the order of the candidates."""
        lists = self.boosts or self.caps or self.promotions or self.recall.popular or self.recall.newest
        return bool(lists) or any(stage is not None for stage in (self.freshness, self.hot, self.diversity))

    @property
    def depth(self) -> int:
        """How many candidates of the model are needed."""
        return max(self.n, self.recall.candidates) if self.reorders else self.n


def planned(pipeline: Pipeline, choice: Choice, columns: Columns | None, evaluate: Evaluate) -> Plan:
    """The pipeline's stages with the wishes of a request added; raises InvalidInput for the request's own filters.

    A rule of the pipeline that does not fit any more (an attribute that no item has now) is left out, and told.
    `columns` is None where no stage needs the catalogue.
    """
    variables = {**pipeline.variables, **choice.variables}
    faults: list[str] = []

    def standing(place: str, text: str, amount: float = 0.0) -> list[Rule]:
        try:
            return [Rule(f"pipeline {place}", evaluate(text, variables), amount)]
        except InvalidInput as error:
            faults.append(f"{place}: {error.message}")
            return []

    filters = standing("filter", pipeline.filter) if pipeline.filter else []
    boosts = [
        rule for at, each in enumerate(pipeline.boost) for rule in standing(f"boost {at + 1}", each.filter, each.weight)
    ]
    promotions = [
        rule
        for at, each in enumerate(pipeline.promote)
        for rule in standing(f"promote {at + 1}", each.filter, each.share)
    ]
    if choice.filter:
        filters.append(Rule("request filter", evaluate(choice.filter, variables)))
    for at, boost in enumerate(choice.boost):
        boosts.append(Rule(f"request boost {at + 1}", evaluate(boost.filter, variables), boost.weight))
    taken = {pin.item_id for pin in choice.pin} | {pin.position for pin in choice.pin}
    kept = [pin for pin in pipeline.pin if pin.item_id not in taken and pin.position not in taken]
    return Plan(
        n=choice.n,
        recall=pipeline.recall,
        filters=filters,
        boosts=boosts,
        freshness=pipeline.freshness,
        diversity=_diversity(pipeline, choice),
        caps=pipeline.cap,
        promotions=promotions,
        pins=[*choice.pin, *kept],
        exclude=frozenset(choice.exclude),
        columns=columns,
        faults=faults,
    )


def needs_catalogue(pipeline: Pipeline, choice: Choice) -> bool:
    """Whether a stage reads attributes."""
    attributes = bool(pipeline.cap) or pipeline.freshness is not None or _diversity(pipeline, choice) is not None
    return attributes or bool(pipeline.filters or choice.filters)


def _diversity(pipeline: Pipeline, choice: Choice) -> Diversity | None:
    found = pipeline.diversity
    if choice.diversity is not None:
        found = Diversity(strength=choice.diversity, **({"by": found.by} if found else {}))
    return found if found is not None and found.strength > 0 else None


@dataclass(frozen=True, slots=True, eq=False)
class Exclusions:
    """The items that an answer must not hold. `in` asks for one of them."""

    unavailable: frozenset[str]
    excluded: Collection[str] = ()
    """By the request."""
    seen: Collection[str] = ()
    """By the user."""
    filters: Sequence[Rule] = ()

    def __contains__(self, item_id: object) -> bool:
        return (
            item_id in self.unavailable
            or item_id in self.excluded
            or item_id in self.seen
            or any(item_id not in rule.matching for rule in self.filters)
        )

    def matching_ids(self) -> Iterable[str]:
        """What a filter leaves of the catalogue, the last first; nothing without a filter."""
        return self.filters[0].matching.ids() if self.filters else ()

    def rows(self, model: HybridRecommender) -> Array:
        """int32: their numbers in the model, without those of the request and the user."""
        hidden = model.rows(self.unavailable)
        for rule in self.filters:
            hidden = np.union1d(hidden, rule.matching.others(model)).astype(np.int32)
        return hidden

    def why(self, item_id: str) -> str | None:
        """The rule that keeps an item out, in words; None for one that may be answered."""
        if item_id in self.unavailable:
            return "it may not be shown: switched off, deleted, not published yet, expired or not in the catalogue"
        if item_id in self.excluded:
            return "the request excludes it"
        if item_id in self.seen:
            return "the user has seen or disliked it"
        failed = next((rule.name for rule in self.filters if item_id not in rule.matching), None)
        return None if failed is None else f"it does not match the {failed}"
