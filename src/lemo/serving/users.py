"""What is known of one user: history, tastes and precomputed recommendations, for people who look at a user."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ValidationError

from lemo.domain.errors import NotFound
from lemo.domain.interaction import Interaction
from lemo.domain.reasons import shortened
from lemo.domain.recommendation import RecommendedItem
from lemo.domain.scope import Scope
from lemo.domain.time import from_milliseconds
from lemo.recommenders.profiles import UserProfile
from lemo.serving.assembly import recommended_items
from lemo.serving.user_state import read_users
from lemo.stores.connect import Stores
from lemo.stores.documents import PROFILES

_AT_ONCE = 1_000
"""Users that are looked for at once."""


class UserInteraction(BaseModel):
    """One interaction of a user with an item."""

    item_id: str
    action: str
    value: float | None
    timestamp: datetime


class PrecomputedRecommendations(BaseModel):
    """The recommendations that the scheduled job stored for a user, best first.

    A request answers with them only while the same model serves and the history is the same.
    """

    model_version: str
    items: list[RecommendedItem]


class UserOverview(BaseModel):
    """What is known of one user."""

    user_id: str
    history: list[UserInteraction]
    """The newest interactions, newest first."""
    seen_items: int
    """How many items are never recommended to the user again."""
    profile: UserProfile | None
    """Tastes, as of the last profile run; null before the first one."""
    precomputed: PrecomputedRecommendations | None
    """Null where the job stored nothing for the user, or it has expired."""


def user_overview(stores: Stores, scope: Scope, user_id: str, limit: int) -> UserOverview:
    """The user's `limit` newest interactions and all that was derived from them.

    Raises NotFound for a user without events, and EngineUnavailable where an engine does not answer.
    """
    state = read_users(stores.redis, stores.history, stores.precomputed, stores.seen, scope, [user_id])[0]
    history = (state.history or _history_of_events(stores, scope, user_id, limit))[:limit]
    profile = user_profile(stores, scope, user_id)
    if not (history or profile or state.seen or state.precomputed):
        raise NotFound(
            f"There is no user {shortened(user_id)} in scenario {scope.scenario_id}.",
            "Check the id. A user is known once an event of the user was taken in.",
        )
    stored = state.precomputed
    return UserOverview(
        user_id=user_id,
        history=[
            UserInteraction(
                item_id=each.item_id,
                action=each.action,
                value=each.value,
                timestamp=from_milliseconds(each.timestamp_ms),
            )
            for each in history
        ],
        seen_items=len(state.seen),
        profile=profile,
        precomputed=stored
        and PrecomputedRecommendations(model_version=stored.version, items=recommended_items(stored.items)),
    )


def user_history(stores: Stores, scope: Scope, user_id: str, limit: int) -> Sequence[Interaction]:
    """The newest interactions, newest first, from Redis, else (emptied, or expired) from the events."""
    kept = stores.history.read(scope, user_id)[:limit]
    return kept or _history_of_events(stores, scope, user_id, limit)


def user_profile(stores: Stores, scope: Scope, user_id: str) -> UserProfile | None:
    """The stored profile; None before the first profile run, and where an older release stored it differently."""
    body = stores.documents.get(PROFILES, scope, user_id)
    if body is None:
        return None
    try:
        return UserProfile.model_validate(body)
    except ValidationError:
        return None


def unknown_users(stores: Stores, scope: Scope, user_ids: Sequence[str]) -> list[str]:
    """Those of some users of whom no event is known; raises EngineUnavailable."""
    unknown: list[str] = []
    for begin in range(0, len(user_ids), _AT_ONCE):
        batch = user_ids[begin : begin + _AT_ONCE]
        kept = zip(stores.history.counts(scope, batch), stores.seen.counts(scope, batch), strict=True)
        absent = [user for user, counts in zip(batch, kept, strict=True) if not any(counts)]
        # Histories expire in Redis, and a scenario whose first event is not taken in has no tables.
        if absent and stores.events.schema():
            known = stores.events.known_users(scope, absent)
            absent = [user for user in absent if user not in known]
        unknown += absent
    return unknown


def _history_of_events(stores: Stores, scope: Scope, user_id: str, limit: int) -> Sequence[Interaction]:
    return [Interaction.of(event) for event in stores.events.history(scope, user_id, limit)]
