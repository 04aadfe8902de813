"""Merges a user into another one: the guest who signed in becomes the customer."""

import uuid

import structlog
from pydantic import BaseModel

from lemo.domain.errors import Conflict, InvalidInput
from lemo.domain.ids import canonical_id
from lemo.domain.scope import Scope
from lemo.stores.clickhouse.removal import EVENTS, SESSIONS
from lemo.stores.connect import Stores
from lemo.stores.documents import PROFILES
from lemo.stores.objects.snapshots import SIMILARITY_STATE

log = structlog.get_logger(__name__)

ALL_TIME = 2**43
"""Unix ms behind every event."""


class Merged(BaseModel):
    """What a merge did."""

    into: str
    events: int
    """Events of the guest that now are the other user's; 0 where a repeated merge found nothing new."""
    scenarios: list[str]
    """Where the merge holds."""


def merge_users(
    stores: Stores, tenant_id: str, guest: str, into: str, scenario_id: str = "", by: str = "unknown"
) -> Merged:
    """Gives all that the guest did, does and did before but sent late to another user, in one scenario or in all.

    Guests of the guest go along. Doing it again changes nothing, and completes a merge that was cut short. Raises
    InvalidInput for a merge into oneself, Conflict where either was merged before, NotFound and EngineUnavailable.
    """
    guest, into = canonical_id(guest), canonical_id(into)
    if guest == into:
        raise InvalidInput("A user cannot be merged into itself.", "Name two different users.")
    place = Scope(tenant_id, scenario_id)
    if scenario_id:
        stores.scenarios.get(place)
        scopes = [place]
    else:
        scopes = [Scope(tenant_id, scenario.scenario_id) for scenario in stores.scenarios.list(tenant_id)]
    stores.events.migrate()  # where no consumer ever ran, there are no tables
    stores.user_changes.refresh()
    for scope in [place, *scopes]:
        merged = stores.user_changes.merged(scope)
        if into in merged:
            raise Conflict(
                "The user to merge into was itself merged into another one before.",
                "Merge into that one: merges do not form chains.",
            )
        if merged.get(guest, into) != into:
            raise Conflict("This user was merged into another one before.", "A user is merged once.")
    moving = {(place, guest)}
    for scope in {place.tenant, place, *scopes}:
        # A guest of all scenarios goes along in the one scenario that this merge is for.
        where = place if scope == place.tenant else scope
        moving |= {(where, each) for each in stores.user_changes.guests(scope, guest)}
    # Without the users' ids, so that an erasure leaves none of them here.
    stores.audit.note(place, by, "user.merge", scenario_id or "all scenarios")
    for where, each in sorted(moving):
        stores.user_changes.mark_merged(where, each, into)
    events = sum(
        _move(stores, scope, each, into)
        for scope in scopes
        for where, each in sorted(moving)
        if where in (place, scope)
    )
    log.info("users merged", tenant=tenant_id, events=events)
    return Merged(into=into, events=events, scenarios=[scope.scenario_id for scope in scopes])


def repeat_merge(stores: Stores, scope: Scope, user_id: str) -> None:
    """Merges a user again whose events were written while the merge was under way; nothing for any other user."""
    into = stores.user_changes.merged(scope).get(user_id)
    if into is not None:
        _move(stores, scope, user_id, into)


def _move(stores: Stores, scope: Scope, guest: str, into: str) -> int:
    """Moves what there is of the guest in one scenario; returns the number of events."""
    count = stores.removal.count_user(EVENTS, scope, guest, ALL_TIME)
    if count:
        # Readers count the marked hours from the events. Which user they are of changes, none goes or comes.
        epoch = uuid.uuid4().hex
        stores.aggregates.mark(epoch, [(scope, hour) for hour in stores.removal.hours(scope, guest)])
        stores.removal.copy_events(scope, guest, into)
        stores.removal.erase_user(EVENTS, scope, guest, ALL_TIME)
        # Those of the other user are made anew where the events came in again.
        stores.removal.erase_user(SESSIONS, scope, guest, ALL_TIME)
        stores.aggregates.refresh(epoch)
        stores.snapshots.delete_kind(scope, SIMILARITY_STATE)
    interactions = stores.history.move(scope, guest, into)
    seen = stores.seen.read_many(scope, [guest])[0]
    if seen:
        stores.seen.add_items(scope, {into: seen})
    if count or interactions or seen:
        stores.precomputed.outdate(scope, [into])
    stores.seen.delete(scope, [guest])
    stores.precomputed.delete(scope, guest)
    stores.documents.delete(PROFILES, scope, [guest])
    return count
