"""Reads what the explorer shows, by the same services as the API's routes. The calls block."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from lemo.console.explorer.wishes import Wishes
from lemo.console.queries import Queries
from lemo.console.shown import ShownItem, items_of, shown_answer
from lemo.domain.ids import canonical_id
from lemo.domain.interaction import Interaction
from lemo.domain.recommendation import ExplainedItem
from lemo.domain.scenario import ActionRule
from lemo.domain.scope import Scope
from lemo.domain.time import from_milliseconds, milliseconds
from lemo.intake.changes import Changes
from lemo.models.registry import registered
from lemo.recommenders.profiles import UserProfile
from lemo.serving.trials import Trials, Variant
from lemo.serving.users import user_history, user_profile

HISTORY = 30
"""Interactions of a user that the explorer shows."""
OFFERED = 12
"""Users that are offered to pick from."""
VERSIONS = 30
"""Models, and versions of the pipeline, that are offered for comparison."""
TAKEN_SECONDS = 15.0
"""How long the page waits until the consumer has taken an event in."""


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
class ShownAnswer:
    """One answer."""

    items: list[ShownItem]
    model_version: str | None
    pipeline_version: int
    degraded: bool
    arm: str = ""
    """The experiment that the user takes part in, and its arm, which answered."""

    @property
    def ids(self) -> list[str]:
        """The ids of the items, in their order."""
        return [each.item_id for each in self.items]


@dataclass(frozen=True, slots=True)
class Versions:
    """What can be compared."""

    models: dict[str, bool]
    """Kept models, newest first, and whether each is in service."""
    pipelines: dict[int, str]
    """Versions of the pipeline, newest first, and why each was made. The first is in service."""


@dataclass(frozen=True, slots=True)
class Explained:
    """Why one item is in the answer or not, and the item itself."""

    shown: ShownItem
    explained: ExplainedItem


class ExplorerReads:
    """Reads for the explorer, and the events that its visitor sends. Safe for threads."""

    def __init__(self, queries: Queries, changes: Changes) -> None:
        self._queries = queries
        self._changes = changes

    @cached_property
    def _trials(self) -> Trials:
        return Trials(self._queries.stores, self._queries.serving.choices)

    def users(self, scope: Scope, containing: str) -> list[str]:
        """Users with the newest events first, whose id holds the text in any case."""
        return self._queries.stores.events.recent_users(scope, canonical_id(containing), OFFERED)

    def history(self, scope: Scope, user_id: str) -> list[ShownInteraction]:
        """The user's newest interactions, newest first."""
        stores = self._queries.stores
        found = user_history(stores, scope, user_id, HISTORY)
        items = items_of(stores, scope, [each.item_id for each in found])
        return [ShownInteraction(each, ShownItem(each.item_id, items.get(each.item_id))) for each in found]

    def profile(self, scope: Scope, user_id: str) -> UserProfile | None:
        """The user's tastes; None before the first profile run."""
        return user_profile(self._queries.stores, scope, user_id)

    def actions(self, scope: Scope) -> Mapping[str, ActionRule]:
        """What users may do in the scenario."""
        return self._queries.stores.scenarios.get(scope).actions

    def answer(self, scope: Scope, user_id: str, n: int, wishes: Wishes, variant: Variant) -> ShownAnswer:
        """The user's answer by wishes, as POST `.../recommendations`; raises as `Trials.recommend`."""
        stores = self._queries.stores
        types = stores.scenarios.get(scope).attribute_types
        answer = self._trials.recommend(scope, wishes.request(user_id, n), types, variant)
        items = shown_answer(stores, scope, answer)
        arm = f"{answer.experiment}: {answer.arm}" if answer.experiment else ""
        return ShownAnswer(items, answer.model_version, answer.pipeline_version, answer.degraded, arm)

    def explain(self, scope: Scope, user_id: str, n: int, wishes: Wishes, variant: Variant, item_id: str) -> Explained:
        """Why an item is in that answer, or why not."""
        stores = self._queries.stores
        types = stores.scenarios.get(scope).attribute_types
        answer = self._trials.recommend(scope, wishes.request(user_id, n, [item_id]), types, variant)
        found = (answer.explained or [])[0]
        return Explained(ShownItem(item_id, items_of(stores, scope, [item_id]).get(item_id)), found)

    def versions(self, scope: Scope) -> Versions:
        """The models and the versions of the pipeline that can be compared."""
        stores = self._queries.stores
        models = {each.version: each.champion for each in registered(stores, scope, VERSIONS) if each.kept}
        return Versions(models, {each.version: each.why for each in stores.pipelines.history(scope, VERSIONS)})

    def send(self, scope: Scope, user_id: str, item_id: str, action: str, value: float | None, by: str) -> int:
        """Sends an event of the user as a site does, through the ingest log; returns its moment in Unix ms."""
        moment = milliseconds(datetime.now(UTC))
        event: dict[str, Any] = {"user_id": user_id, "item_id": item_id, "action": action, "timestamp": moment}
        if value is not None:
            event["value"] = value
        self._changes.send(scope, self._queries.stores.scenarios.get(scope), event, by)
        return moment

    def taken(self, scope: Scope, user_id: str, item_id: str, moment_ms: int) -> bool:
        """Waits until the consumer has taken an event in, at most `TAKEN_SECONDS`; returns whether it has."""
        deadline = time.monotonic() + TAKEN_SECONDS
        while True:
            history = self._queries.stores.history.read(scope, user_id)
            if any(each.item_id == item_id and each.timestamp_ms == moment_ms for each in history):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
