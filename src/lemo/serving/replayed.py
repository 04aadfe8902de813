"""What a pipeline would have answered to users as they were then, with the model and the items of now."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lemo.domain.interaction import Interaction, filtered_items
from lemo.domain.pipeline import Pipeline
from lemo.domain.request import RecommendationRequest
from lemo.domain.scope import Scope
from lemo.recommenders.scored import Scored
from lemo.serving.catalogue.cache import AttributeTypes
from lemo.serving.choices import Choices
from lemo.serving.pipeline.answers import recommended
from lemo.serving.pipeline.check import check_fits
from lemo.serving.pipeline.plan import Exclusions
from lemo.serving.pipeline.recall import Asker, exclusions
from lemo.serving.state import ServingState

_BATCH = 256


class PastRequest(NamedTuple):
    """A user as one was when an answer was given."""

    history: Sequence[Interaction]
    """All interactions until then, newest first."""
    n: int


class Replayed(NamedTuple):
    """What a pipeline would have answered."""

    items: frozenset[str]
    """The items that it would have shown for sure."""
    new: frozenset[str] = frozenset()
    """Those of which chance would have shown some."""
    propensity: float | None = None
    """The probability of each of them; None where it is not known."""
    explored: int = 0
    """How many of them it would have shown."""

    @property
    def size(self) -> int:
        """Items of the answer."""
        return len(self.items) + self.explored

    def probability(self, item_id: str) -> float | None:
        """The probability that the item would have been shown; None where it is not known."""
        if item_id in self.items:
            return 1.0
        return self.propensity if item_id in self.new else 0.0

    def chances(self) -> Iterator[tuple[str, float]]:
        """Every item that could have been shown, with its probability where it is known."""
        yield from ((item, 1.0) for item in self.items)
        if self.propensity is not None:
            yield from ((item, self.propensity) for item in self.new)


def replayed(
    choices: Choices,
    scope: Scope,
    past: Sequence[PastRequest],
    pipeline: Pipeline,
    types: AttributeTypes,
    history_length: int,
) -> list[Replayed]:
    """The answers in the order of the requests. `history_length` is what is remembered of a user.

    Raises InvalidInput for a pipeline that does not fit the catalogue, and EngineUnavailable.
    """
    if pipeline.filters or pipeline.attributes:
        check_fits(pipeline, choices.columns(scope, types))
    found: dict[int, Replayed] = {}
    for n in sorted({each.n for each in past}):
        state, plan = choices.prepared(scope, pipeline, RecommendationRequest.model_construct(n=n), types)
        places = [place for place, each in enumerate(past) if each.n == n]
        for start in range(0, len(places), _BATCH):
            batch = places[start : start + _BATCH]
            askers = [_as_then(past[place].history, state, history_length) for place in batch]
            answers = recommended(askers, state, plan, state.exploration)
            for place, asker, items in zip(batch, askers, answers, strict=True):
                found[place] = _replayed(items, exclusions(asker, state, plan), state)
    return [found[place] for place in range(len(past))]


def _as_then(history: Sequence[Interaction], state: ServingState, length: int) -> Asker:
    remembered = [each for each in history if each.action in state.rules and state.rules[each.action].in_history]
    return Asker(remembered[:length], frozenset(filtered_items(history, state.rules)))


def _replayed(items: Sequence[Scored], without: Exclusions, state: ServingState) -> Replayed:
    firm = frozenset(each.item_id for each in items if not each.explored)
    drawn = [each for each in items if each.explored]
    if not drawn:
        return Replayed(firm)
    new = frozenset(each for each in state.new if each not in firm and each not in without)
    return Replayed(firm, new, drawn[0].propensity, len(drawn))
