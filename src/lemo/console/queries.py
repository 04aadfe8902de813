"""Reads what the pages show from the stores of one tenant. The calls block, so run them outside the event loop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import TypeVar

from lemo.domain.errors import EngineUnavailable, LemoError
from lemo.domain.interaction import Interaction
from lemo.domain.item import Item
from lemo.domain.recommendation import Answer
from lemo.domain.scope import Scope
from lemo.domain.time import from_milliseconds
from lemo.recommenders.profiles import UserProfile
from lemo.serving.service import RecommendationService
from lemo.serving.users import user_history, user_profile
from lemo.settings import Settings
from lemo.stores.connect import Stores

HISTORY = 30
"""Interactions of a user that the explorer shows."""
USERS_OFFERED = 50

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class ShownItem:
    """An item as the explorer lists it. `item` is None where the documents do not have it."""

    item_id: str
    item: Item | None
    score: float | None = None
    share: float = 0.0
    """The score within the list, from 0 (last) to 1 (first)."""
    why: str = ""

    @property
    def title(self) -> str:
        """What to call the item."""
        return (self.item.title if self.item else "") or self.item_id


@dataclass(frozen=True, slots=True)
class ShownInteraction:
    """One interaction of the user, with its item."""

    interaction: Interaction
    shown: ShownItem

    @property
    def moment(self) -> datetime:
        """When it happened."""
        return from_milliseconds(self.interaction.timestamp_ms)


@dataclass(frozen=True, slots=True)
class Exploration:
    """What the explorer shows of one user."""

    history: list[ShownInteraction] | LemoError
    profile: UserProfile | LemoError | None
    """None before the first profile run."""
    items: list[ShownItem]
    model_version: str | None
    degraded: bool


class Queries:
    """Reads for the pages, over the same stores and the same serving code as the API. Safe for threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stores = Stores(settings, interactive=True)
        self._serving: RecommendationService | None = None
        self._lock = Lock()

    @property
    def serving(self) -> RecommendationService:
        """What answers recommendations; made when first asked for."""
        with self._lock:
            if self._serving is None:
                self._serving = RecommendationService(self.stores)
            return self._serving

    def close(self) -> None:
        """Stops serving and lets go of connections."""
        if self._serving is not None:
            self._serving.close()
        self.stores.close()

    def scenario_names(self, tenant_id: str) -> list[str]:
        """The tenant's scenarios by name; raises LemoError."""
        return sorted(scenario.scenario_id for scenario in self.stores.scenarios.list(tenant_id))

    def recent_users(self, scope: Scope, containing: str = "") -> list[str]:
        """Users with the newest events first, those whose id contains the text; raises LemoError."""
        return self.stores.events.recent_users(scope, containing, USERS_OFFERED)

    def explore(self, scope: Scope, user_id: str, n: int) -> Exploration:
        """History, tastes and recommendations of a user; raises LemoError when there is no answer at all."""
        self.stores.scenarios.get(scope)
        answer = self.serving.recommend(scope, user_id, n)
        history = attempt(lambda: user_history(self.stores, scope, user_id, HISTORY))
        in_history = [] if isinstance(history, LemoError) else [each.item_id for each in history]
        items = self._items(scope, [*in_history, *_named(answer)])
        return Exploration(
            history=history
            if isinstance(history, LemoError)
            else [ShownInteraction(each, ShownItem(each.item_id, items.get(each.item_id))) for each in history],
            profile=attempt(lambda: user_profile(self.stores, scope, user_id)),
            items=_shown(answer, items),
            model_version=answer.model_version,
            degraded=answer.degraded,
        )

    def similar(self, scope: Scope, item_id: str, n: int) -> tuple[ShownItem, list[ShownItem], bool]:
        """An item, those most like it, and whether these are only popular ones; raises LemoError."""
        answer = self.serving.similar(scope, item_id, n)
        items = self._items(scope, [item_id, *_named(answer)])
        return ShownItem(item_id, items.get(item_id)), _shown(answer, items), answer.degraded

    def _items(self, scope: Scope, ids: Sequence[str]) -> dict[str, Item]:
        """Where the documents are away, pages show ids instead of titles."""
        found = attempt(lambda: self.stores.items.get_many(scope, list(dict.fromkeys(ids))))
        return {} if isinstance(found, LemoError) else found


def attempt(read: Callable[[], _Value]) -> _Value | LemoError:
    """The value, or the LemoError."""
    try:
        return read()
    except LemoError as error:
        return error
    except OSError as error:
        return EngineUnavailable(f"The system refused: {error}.", "lemo doctor")


def _named(answer: Answer) -> list[str]:
    """Every item that the answer speaks of, those in the reasons included."""
    return [each.item_id for each in answer.items] + [each.because for each in answer.items if each.because]


def _shown(answer: Answer, items: dict[str, Item]) -> list[ShownItem]:
    scores = [each.score for each in answer.items]
    low, high = (min(scores), max(scores)) if scores else (0.0, 0.0)
    titles = {item_id: item.title for item_id, item in items.items()}

    return [
        ShownItem(
            each.item_id,
            items.get(each.item_id),
            score=each.score,
            share=(each.score - low) / (high - low) if high > low else 1.0,
            why=each.reason_by_title(titles),
        )
        for each in answer.items
    ]
