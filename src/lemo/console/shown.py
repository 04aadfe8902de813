"""Items as pages show them: with their titles, and what an answer says of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from lemo.console.queries import attempt
from lemo.domain.errors import LemoError
from lemo.domain.item import Item
from lemo.domain.recommendation import Answer, ChosenAnswer, ChosenItem, RecommendedItem
from lemo.domain.scope import Scope
from lemo.stores.connect import Stores


@dataclass(frozen=True, slots=True)
class ShownItem:
    """An item of a list. `item` is None where the documents do not have it, or do not answer."""

    item_id: str
    item: Item | None
    score: float | None = None
    share: float = 0.0
    """The score within the list, from 0 (last) to 1 (first)."""
    reason: str = ""
    """Why it is there, in the words of the API with titles in place of ids."""
    explored: bool = False

    @property
    def title(self) -> str:
        """What to call the item."""
        return (self.item.title if self.item else "") or self.item_id


def items_of(stores: Stores, scope: Scope, ids: Iterable[str]) -> Mapping[str, Item]:
    """The items of these ids. Where the documents are away there are none, and pages show ids instead of titles."""
    found = attempt(lambda: stores.items.get_many(scope, list(dict.fromkeys(ids))))
    return {} if isinstance(found, LemoError) else found


def shown_answer(stores: Stores, scope: Scope, answer: Answer | ChosenAnswer) -> list[ShownItem]:
    """The items of an answer with their titles."""
    because = [id for each in answer.items for id in _because(each)]
    items = items_of(stores, scope, [*(each.item_id for each in answer.items), *because])
    titles = {item_id: item.title for item_id, item in items.items()}
    share = _shares([each.score for each in answer.items])
    return [
        ShownItem(
            each.item_id,
            items.get(each.item_id),
            score=each.score,
            share=share(each.score),
            reason=_by_title(each, titles),
            explored=each.explored,
        )
        for each in answer.items
    ]


def _because(item: RecommendedItem | ChosenItem) -> Sequence[str]:
    because = item.because
    return because if isinstance(because, list) else [because] if because else []


def _by_title(item: RecommendedItem | ChosenItem, titles: Mapping[str, str]) -> str:
    first = next(iter(_because(item)), "")
    title = titles.get(first, "")
    return f'because of "{title}"' if title else item.reason


def _shares(scores: Sequence[float]) -> Callable[[float], float]:
    low, high = (min(scores), max(scores)) if scores else (0.0, 0.0)
    return lambda score: (score - low) / (high - low) if high > low else 1.0


def unavailable(item: Item, now: datetime | None = None) -> str:
    """Why the item is in no answer now: `off`, `unpublished`, `expired`, or empty where it may be."""
    moment = now or datetime.now(UTC)
    if item.visible_at(moment):
        return ""
    if not item.recommendable:
        return "off"
    return "unpublished" if item.published_at and item.published_at > moment else "expired"


def address(path: str, **parameters: str | int | float | None) -> str:
    """The address of a page with the parameters that say something."""
    named = {name: str(value) for name, value in parameters.items() if value not in (None, "")}
    return path + ("?" + urlencode(named) if named else "")
