"""Erases users from all stores, with a receipt, and keeps them from coming back."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

import structlog

from lemo.domain.errors import Conflict, InvalidInput
from lemo.domain.ids import canonical_id, id_forms
from lemo.domain.scope import Scope
from lemo.domain.time import from_milliseconds, milliseconds
from lemo.stores.clickhouse.removal import USER_TABLES
from lemo.stores.connect import Stores
from lemo.stores.documents import PROFILES
from lemo.stores.documents.erasures import ErasedFrom, ErasureReceipt, Erasures
from lemo.users.merge import repeat_merge
from lemo.users.steps import SHARED_STEPS, STEPS, Step, Target

log = structlog.get_logger(__name__)

MODELS = (
    "Models hold no ids of users. What they learnt from the user's events goes with the next training in service, and"
    " with older versions as they are dropped (LEMO_SNAPSHOTS_KEPT)."
)


def erase_user(stores: Stores, tenant_id: str, user_id: str, by: str, scenario_id: str = "") -> ErasureReceipt:
    """Erases a user, and guests who were merged into the user, from one scenario or from all of the tenant.

    First a mark is written: from then on the consumer and every job leave out what the user did before. So an erasure
    that was cut short, or met a write under way, is completed by repeating it, or by the next cleanup. Raises NotFound
    for an unknown scenario, Conflict for a user who was merged into another one, and EngineUnavailable.
    """
    user_id = canonical_id(user_id)
    scopes = _scopes(stores, tenant_id, scenario_id)
    place = Scope(tenant_id, scenario_id)
    stores.events.migrate()  # where no consumer ever ran, there are no tables
    stores.user_changes.refresh()
    if any(user_id in stores.user_changes.merged(scope) for scope in {place, *scopes}):
        raise Conflict(
            "This user was merged into another one, whose history holds what it did.", "Erase that other user."
        )
    # Merges of a user of all scenarios hold in one scenario too, and stay where only that one is erased.
    merges = {place, *scopes}
    guests = {guest for scope in {place.tenant, *merges} for guest in stores.user_changes.guests(scope, user_id)}
    # Stores that no migration brought to the one form of ids may hold another one.
    users = list(dict.fromkeys(form for each in (user_id, *sorted(guests)) for form in id_forms(each)))
    now = datetime.now(UTC)
    # A sender's clock may be ahead of ours.
    newest = max((stores.removal.newest(scope, each) for scope in scopes for each in users), default=0)
    before_ms = max(milliseconds(now), newest + 1)
    receipt = ErasureReceipt(
        receipt_id=uuid.uuid4().hex,
        user_hash=stores.user_changes.digest(tenant_id, user_id),
        scenario_id=scenario_id,
        erased_at=now,
        erased_before=from_milliseconds(before_ms),
        erased_by=by,
    )
    # Without the user's id, of which nothing may stay.
    stores.audit.note(place, by, "user.erase", f"receipt {receipt.receipt_id}")
    stores.user_changes.mark_erased(place, users, before_ms)
    Erasures(stores.documents).put(tenant_id, receipt)
    for each in users:
        for step, target in _work(scopes, place, each, before_ms):
            done = step.erase(stores, target)
            receipt.stores.append(
                ErasedFrom(
                    store=step.store,
                    scenario_id=target.scope.scenario_id,
                    removed=done.removed,
                    remains=done.remains,
                    until=done.until,
                )
            )
    for scope in merges:
        stores.user_changes.forget_merges(scope, stores.user_changes.guests(scope, user_id))
    stores.documents.scrub()  # of the merges
    receipt.stores = _summed(receipt.stores)
    receipt.stores.append(ErasedFrom(store="snapshots: models", removed=0, remains=MODELS))
    log.info("user erased", tenant=tenant_id, receipt=receipt.receipt_id)
    return _verified(stores, tenant_id, user_id, receipt, before_ms)


def check_erasure(stores: Stores, tenant_id: str, receipt_id: str, user_id: str) -> ErasureReceipt:
    """Searches all stores for the user of a receipt again; returns it with what was found now.

    Raises NotFound, and InvalidInput where the receipt is for another user.
    """
    receipt = Erasures(stores.documents).get(tenant_id, receipt_id)
    if receipt.user_hash not in stores.user_changes.digests(tenant_id, user_id):
        raise InvalidInput(
            "This receipt is for another user.", "Give the id exactly as it was erased: a receipt keeps only its hash."
        )
    return _verified(stores, tenant_id, user_id, receipt, milliseconds(receipt.erased_before))


def sweep(stores: Stores, scope: Scope) -> int:
    """Erases from a scenario what came back of erased users: by a backup of one engine, or a write that was under way.

    Returns how many users those were. The ids of all users are hashed and compared with the marks.
    """
    stores.user_changes.refresh()
    marks = stores.user_changes.erased(scope)
    if not marks:
        return 0
    first: dict[str, int] = {}
    for table in USER_TABLES:
        for user_id, moment in stores.removal.first_moments(table, scope, max(marks.values())).items():
            first[user_id] = min(moment, first.get(user_id, moment))
    for user_id, _, (last_event_at,) in stores.documents.fields(PROFILES, scope):
        moment = milliseconds(datetime.fromisoformat(str(last_event_at))) if last_event_at else 0
        first[user_id] = min(moment, first.get(user_id, moment))
    for user_id in set(stores.history.users(scope)):
        before = stores.user_changes.erased_before(scope, user_id)
        if before and stores.history.count_before(scope, user_id, before):
            first[user_id] = 0
    found = {
        user_id: before
        for user_id, moment in first.items()
        if moment < (before := stores.user_changes.erased_before(scope, user_id))
    }
    for user_id, before in found.items():
        _erase_again(stores, scope, user_id, before)
    return len(found)


def repeat_changes(stores: Stores, acts: Iterable[tuple[str, str, str, int]]) -> None:
    """Erases and merges again whose acts these are: they were written while that was under way.

    Of each act the tenant, the scenario, the user and the Unix ms.
    """
    first: dict[tuple[Scope, str], int] = {}
    for tenant_id, scenario_id, user_id, moment in acts:
        user = Scope(tenant_id, scenario_id), user_id
        first[user] = min(moment, first.get(user, moment))
    for (scope, user_id), moment in first.items():
        before = stores.user_changes.erased_before(scope, user_id)
        if moment < before:
            _erase_again(stores, scope, user_id, before)
        repeat_merge(stores, scope, user_id)


def _erase_again(stores: Stores, scope: Scope, user_id: str, before_ms: int) -> None:
    for step in STEPS:
        step.erase(stores, Target(scope, user_id, before_ms))
    log.info("an erased user had come back and was erased again", scope=str(scope))


def _scopes(stores: Stores, tenant_id: str, scenario_id: str) -> list[Scope]:
    if scenario_id:
        stores.scenarios.get(Scope(tenant_id, scenario_id))
        return [Scope(tenant_id, scenario_id)]
    return [Scope(tenant_id, scenario.scenario_id) for scenario in stores.scenarios.list(tenant_id)]


def _work(scopes: Sequence[Scope], place: Scope, user_id: str, before_ms: int) -> Iterator[tuple[Step, Target]]:
    for scope in scopes:
        yield from ((step, Target(scope, user_id, before_ms)) for step in STEPS)
    yield from ((step, Target(place, user_id, before_ms)) for step in SHARED_STEPS)


def _summed(parts: Sequence[ErasedFrom]) -> list[ErasedFrom]:
    """One entry for each store and scenario, of all the ids that the user had."""
    found: dict[tuple[str, str], ErasedFrom] = {}
    for part in parts:
        known = found.setdefault((part.store, part.scenario_id), part.model_copy(update={"removed": 0, "remains": ""}))
        known.removed += part.removed
        known.remains = known.remains or part.remains
        known.until = max((each for each in (known.until, part.until) if each), default=None)
    return list(found.values())


def _verified(stores: Stores, tenant_id: str, user_id: str, receipt: ErasureReceipt, before_ms: int) -> ErasureReceipt:
    place = Scope(tenant_id, receipt.scenario_id)
    known = [scope.scenario_id for scope in _scopes(stores, tenant_id, "")]
    by_name = {step.store: step for step in (*STEPS, *SHARED_STEPS)}
    for part in receipt.stores:
        step = by_name.get(part.store)
        if step is None:
            continue
        if part.scenario_id and part.scenario_id not in known:
            part.found = 0  # a scenario that was deleted since
        else:
            scope = Scope(tenant_id, part.scenario_id) if step in STEPS else place
            counts = [step.count(stores, Target(scope, form, before_ms)) for form in id_forms(user_id)]
            part.found = None if None in counts else sum(filter(None, counts))
    receipt.verified_at = datetime.now(UTC)
    receipt.clean = not any(part.found for part in receipt.stores)
    Erasures(stores.documents).put(tenant_id, receipt)
    return receipt
