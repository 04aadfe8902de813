"""Reads what the pages show from the stores of one tenant. The calls block, so run them outside the event loop."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from threading import Lock
from typing import TypeVar

from lemo.domain.errors import EngineUnavailable, LemoError
from lemo.domain.interaction import Interaction
from lemo.domain.item import Item
from lemo.domain.recommendation import Answer
from lemo.domain.run import Run
from lemo.domain.scope import Scope
from lemo.domain.time import from_milliseconds
from lemo.recommenders.profiles import UserProfile
from lemo.scheduling.health import JobState, job_states
from lemo.scheduling.overview import ScheduleRow, schedule_overview
from lemo.serving.service import RecommendationService
from lemo.serving.users import user_history, user_profile
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.streams.lag import Lag, lag_of
from lemo.streams.topics import Topics
from lemo.threads import run_in_thread

HISTORY = 30
"""Interactions of a user that the explorer shows."""
USERS_OFFERED = 50

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class ScenarioCounts:
    """One scenario and its counts; a count is None while its engine is away."""

    scenario_id: str
    template: str
    items: int | None
    users: int | None
    events: int | None
    newest: datetime | None
    dead_letters: int | None


@dataclass(frozen=True, slots=True)
class Overview:
    """All of the overview but the state of the services; a part that could not be read holds its error."""

    scenarios: list[ScenarioCounts] | LemoError
    counting: LemoError | None
    """Why some counts are missing."""
    schedule: list[ScheduleRow] | LemoError
    runs: list[Run] | LemoError
    troubled: list[JobState] | LemoError
    """Jobs of the tenant that are overdue, or whose last run failed."""
    lag: Lag | LemoError
    """How far the consumers are behind, with the messages of all tenants."""


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

    def overview(self, tenant_id: str) -> Overview:
        """Everything about the tenant's scenarios, schedule and newest runs."""
        # At the same time: an engine that hangs takes its own part's time and no other's.
        scenarios = _begun(lambda: self._scenarios(tenant_id))
        schedule = _begun(lambda: schedule_overview(self.stores, tenant_id))
        runs = _begun(lambda: list(self.stores.runs.list(tenant_id, limit=20)))
        troubled = _begun(lambda: self._troubled(tenant_id))
        lag = _begun(self._lag)
        found = scenarios.result()
        return Overview(
            scenarios=found if isinstance(found, LemoError) else found[0],
            counting=None if isinstance(found, LemoError) else found[1],
            schedule=schedule.result(),
            runs=runs.result(),
            troubled=troubled.result(),
            lag=lag.result(),
        )

    def _lag(self) -> Lag:
        log = self.stores.log
        return lag_of(log, Topics(self.settings).read_of(log), self.settings.kafka_group)

    def _troubled(self, tenant_id: str) -> list[JobState]:
        return [state for state in job_states(self.stores, [tenant_id]) if state.overdue or state.failing]

    def _scenarios(self, tenant_id: str) -> tuple[list[ScenarioCounts], LemoError | None]:
        asked = _begun(lambda: self._dead_letters(tenant_id))
        counts = []
        events_away: LemoError | None = None
        for scenario in self.stores.scenarios.list(tenant_id):
            scope = Scope(tenant_id, scenario.scenario_id)
            # An engine that did not answer is not asked again for the next scenarios.
            users, events, newest = None, None, None
            if events_away is None:
                behaviour = attempt(partial(self._behaviour, scope))
                if isinstance(behaviour, LemoError):
                    events_away = behaviour
                else:
                    users, events, newest = behaviour
            counts.append(
                ScenarioCounts(
                    scenario_id=scenario.scenario_id,
                    template=scenario.template,
                    items=self.stores.items.count(scope),
                    users=users,
                    events=events,
                    newest=None if newest is None else from_milliseconds(newest),
                    dead_letters=None,
                )
            )
        dead = asked.result()
        if isinstance(dead, LemoError):
            return counts, dead
        return [replace(each, dead_letters=dead[each.scenario_id]) for each in counts], events_away

    def _behaviour(self, scope: Scope) -> tuple[int, int, int | None]:
        """Users, events, and Unix ms of the newest event."""
        events = self.stores.events
        return events.count_users(scope), events.count(scope), events.newest(scope)

    def _dead_letters(self, tenant_id: str) -> Counter[str]:
        """The tenant's waiting dead letters by scenario."""
        return Counter(letter.scenario_id for letter in self.stores.dead_letters.waiting_of(tenant_id))

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


def _begun(read: Callable[[], _Value]) -> Future[_Value | LemoError]:
    """Reads in a thread of its own."""
    return run_in_thread(lambda: attempt(read), "overview")


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
