"""Tenants, scenarios and items: typed repositories over the document store."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lemo.domain.availability import Entry
from lemo.domain.errors import Conflict, NotFound
from lemo.domain.ids import canonical_id
from lemo.domain.item import NOTHING, Item
from lemo.domain.rating import Scale
from lemo.domain.scenario import Scenario, edited
from lemo.domain.scope import SYSTEM, Scope, checked_name
from lemo.domain.time import milliseconds
from lemo.stores.documents import DELETED_SCENARIOS, ITEMS, LEARNT_SCALES, SCENARIOS, TENANTS, Body, Documents, Scalar
from lemo.stores.documents.bodies import body_of, moment_text

RECOMMENDABLE: dict[str, Scalar] = {"is_active": True, "deleted": False}


class Tenants:
    """Tenants."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def create(self, tenant_id: str) -> None:
        """Makes a tenant; raises InvalidInput for a bad name and Conflict if it exists."""
        body = {"created_at": moment_text(datetime.now(UTC))}
        if not self._documents.put_new(TENANTS, SYSTEM, checked_name("tenant", tenant_id), body):
            raise Conflict(f"The tenant {tenant_id!r} exists already.", "Choose another name, or use it as it is.")

    def exists(self, tenant_id: str) -> bool:
        """Whether there is such a tenant."""
        return self._documents.get(TENANTS, SYSTEM, tenant_id) is not None

    def delete(self, tenant_id: str) -> None:
        """Deletes the tenant's own document."""
        self._documents.delete(TENANTS, SYSTEM, [tenant_id])

    def list(self) -> list[str]:
        """The ids of all tenants, sorted."""
        return [tenant_id for tenant_id, _ in self._documents.scan(TENANTS, SYSTEM)]


class Scenarios:
    """Scenarios of tenants."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def create(self, tenant_id: str, scenario: Scenario) -> None:
        """Stores a new scenario; raises InvalidInput for a bad name and Conflict if the name is taken."""
        name = checked_name("scenario", scenario.scenario_id)
        deletion = self._documents.get(DELETED_SCENARIOS, Scope(tenant_id), name)
        if deletion is not None and (deletion["ended_at"] is None or deletion.get("sweeping")):
            raise Conflict(
                f"The scenario {name!r} is being deleted.",
                f"It takes a worker minutes, or now: `lemo scenarios delete {name}`.",
            )
        if not self._documents.put_new(SCENARIOS, Scope(tenant_id), name, body_of(scenario)):
            raise Conflict(
                f"The scenario {name!r} exists already.",
                "Choose another name, or use it as it is (`lemo scenarios list` shows it).",
            )

    def get(self, scope: Scope) -> Scenario:
        """The scenario; raises NotFound with a list of those that exist."""
        body = self._documents.get(SCENARIOS, scope.tenant, scope.scenario_id)
        if body is None:
            names = [scenario.scenario_id for scenario in self.list(scope.tenant_id)]
            raise NotFound(
                f"There is no scenario {scope.scenario_id[:80]!r}.",
                f"{_known('scenarios', names)} `lemo scenarios create NAME --template"
                " vlog|news|ecommerce|music|education|custom` makes one.",
            )
        learnt = self._documents.get(LEARNT_SCALES, scope.tenant, scope.scenario_id)
        return _scenario(body, learnt or {})

    def list(self, tenant_id: str) -> list[Scenario]:
        """All scenarios of the tenant by name."""
        learnt = dict(self._documents.scan(LEARNT_SCALES, Scope(tenant_id)))
        return [
            _scenario(body, learnt.get(name, {})) for name, body in self._documents.scan(SCENARIOS, Scope(tenant_id))
        ]

    def check_deletable(self, scope: Scope) -> None:
        """Raises NotFound unless there is such a scenario, or a deletion of it that has not ended."""
        if not self.exists(scope):
            known = self._documents.get(DELETED_SCENARIOS, scope.tenant, scope.scenario_id)
            if known is None or known["ended_at"] is not None:
                self.get(scope)

    def begin_deletion(self, scope: Scope, by: str) -> None:
        """Deletes the scenario's document, and notes that its data has to follow; raises NotFound for an unknown one.

        Doing it again changes nothing until the deletion has ended.
        """
        self.check_deletable(scope)
        body = {"started_at": moment_text(datetime.now(UTC)), "by": by, "ended_at": None}
        self._documents.put(DELETED_SCENARIOS, scope.tenant, {scope.scenario_id: body})
        for kind in (SCENARIOS, LEARNT_SCALES):
            self._documents.delete(kind, scope.tenant, [scope.scenario_id])

    def end_deletion(self, scope: Scope) -> None:
        """Notes that all data was removed; `forget_deletion` follows once nobody can write any more."""
        body = self._documents.get(DELETED_SCENARIOS, scope.tenant, scope.scenario_id)
        if body is not None:
            body["ended_at"] = moment_text(datetime.now(UTC))
            self._documents.put(DELETED_SCENARIOS, scope.tenant, {scope.scenario_id: body})

    def sweep_deletion(self, scope: Scope) -> bool:
        """Whether the scenario is still gone, in which case none of its name can be made until `forget_deletion`."""
        body = self._documents.get(DELETED_SCENARIOS, scope.tenant, scope.scenario_id)
        if body is not None:
            self._documents.put(DELETED_SCENARIOS, scope.tenant, {scope.scenario_id: {**body, "sweeping": True}})
        return not self.exists(scope)

    def forget_deletion(self, scope: Scope) -> None:
        """The deletion is over and done with."""
        self._documents.delete(DELETED_SCENARIOS, scope.tenant, [scope.scenario_id])

    def deletions(self, tenant_id: str) -> Iterator[tuple[Scope, datetime, bool]]:
        """Deletions that are not forgotten: when each began or, last, ended, and whether it has ended."""
        for name, body in self._documents.scan(DELETED_SCENARIOS, Scope(tenant_id)):
            moment = datetime.fromisoformat(str(body["ended_at"] or body["started_at"]))
            yield Scope(tenant_id, name), moment, body["ended_at"] is not None

    def exists(self, scope: Scope) -> bool:
        """Whether there is such a scenario."""
        return self._documents.get(SCENARIOS, scope.tenant, scope.scenario_id) is not None

    def edit(self, scope: Scope, changes: Any) -> tuple[Scenario, Scenario]:
        """Merges changes into the scenario (`edited`); it before and after. Raises NotFound and InvalidInput."""
        before = self.get(scope)
        after = edited(before, changes)
        body = body_of(after)
        for rule in body["actions"].values():
            del rule["learnt"]
        self._documents.put(SCENARIOS, scope.tenant, {scope.scenario_id: body})
        return before, after

    def learn(self, scope: Scope, scales: Mapping[str, Scale]) -> None:
        """Keeps the scales of actions whose rule says `auto`; those of other actions stay."""
        known = self._documents.get(LEARNT_SCALES, scope.tenant, scope.scenario_id) or {}
        body = known | {action: list(scale) for action, scale in scales.items()}
        if body != known:
            self._documents.put(LEARNT_SCALES, scope.tenant, {scope.scenario_id: body})


@dataclass(frozen=True, slots=True)
class Upserted:
    """What writes of items did."""

    items: list[Item]
    """The items that were written, each as it is now."""
    arrived_ms: list[int]
    """When the last write of each arrived, in Unix milliseconds."""
    accepted: list[bool]
    """Of each write whether it was applied."""


class Items:
    """Items of scenarios. Deleted ones stay as tombstones, so that an older message cannot bring them back."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def upsert(self, scope: Scope, items: Sequence[Item], arrived_ms: Sequence[int]) -> Upserted:
        """Applies writes of items, in their order, that are at least as new as what is stored (`Item.then`).

        `arrived_ms` holds, item by item, the Unix milliseconds at which the log took the item. An item's version is
        its `updated_at`, else its arrival. An `updated_at` after the arrival counts as the arrival: a sender whose
        clock is ahead would otherwise shut out every later write. All of it is read from the message, so a replay of
        the whole log decides each write as the first run did. Of equal versions, the later one wins. A write that is
        older than what is stored is refused as a whole.
        """
        ids = list({item.item_id for item in items})
        stored = self._documents.get_versioned(ITEMS, scope, ids)
        versions = {id: version for id, (version, _) in stored.items()}
        current = {id: _item(body) for id, (_, body) in stored.items()}
        arrivals: dict[str, int] = {}
        applied = []
        for item, arrived in zip(items, arrived_ms, strict=True):
            version = item_version(item, arrived)
            newer = version >= versions.get(item.item_id, version)
            applied.append(newer)
            if newer:
                current[item.item_id] = current.get(item.item_id, NOTHING).then(item)
                versions[item.item_id] = version
                arrivals[item.item_id] = arrived
        bodies = {id: body_of(current[id]) for id in arrivals}
        written = self._documents.put_newer(ITEMS, scope, bodies, {id: versions[id] for id in bodies})
        return Upserted(
            [current[id] for id in arrivals if id in written],
            [arrived for id, arrived in arrivals.items() if id in written],
            [newer and item.item_id in written for newer, item in zip(applied, items, strict=True)],
        )

    def rename(self, scope: Scope) -> dict[str, str]:
        """Moves items that were stored before ids had one form to that; the new ids of the old ones.

        Doing it again changes nothing, and completes what was cut short. Where both exist, the newer one stays.
        """
        known = (item_id for item_id, _, _ in self._documents.fields(ITEMS, scope))
        renamed = {old: new for old in known if (new := canonical_id(old)) != old and new}
        for old, (version, body) in self._documents.get_versioned(ITEMS, scope, list(renamed)).items():
            new = renamed[old]
            self._documents.put_newer(ITEMS, scope, {new: {**body, "item_id": new}}, {new: version})
            self._documents.delete(ITEMS, scope, [old])
        return renamed

    def get_many(self, scope: Scope, ids: Sequence[str]) -> dict[str, Item]:
        """Those of `ids` that exist, tombstones included."""
        return {id: _item(body) for id, body in self._documents.get_many(ITEMS, scope, ids).items()}

    def categories(self, scope: Scope, ids: Sequence[str]) -> dict[str, set[str]]:
        """The categories of those of `ids` that exist, without reading the items as such."""
        found = self._documents.get_many(ITEMS, scope, ids)
        return {id: set(body.get("categories") or ()) for id, body in found.items()}

    def scan(self, scope: Scope) -> Iterator[Item]:
        """All items by id, tombstones included."""
        return (_item(body) for _, body in self._documents.scan(ITEMS, scope))

    def entries(self, scope: Scope) -> Iterator[Entry]:
        """What of each item decides whether it may be shown, tombstones included, without reading the items."""
        for item_id, version, (active, deleted, published, expires) in self._documents.fields(ITEMS, scope):
            published_ms, expires_ms = _milliseconds(published), _milliseconds(expires)
            new_at = version if published_ms is None else published_ms
            yield Entry(item_id, bool(active) and not deleted, new_at, published_ms, expires_ms)

    def unknown(self, scope: Scope, ids: Collection[str]) -> list[str]:
        """Those of `ids` that the catalogue does not hold, sorted; none while it holds nothing."""
        known = {entry.item_id for entry in self.entries(scope)}
        return sorted(set(ids) - known) if known else []

    def count(self, scope: Scope) -> int:
        """How many items are switched on: active and not deleted."""
        return self._documents.count(ITEMS, scope, RECOMMENDABLE)

    def showable(self, scope: Scope, within: timedelta) -> tuple[list[str], list[str]]:
        """The ids of items that may be shown now, or will be by their publication within some time; and the others."""
        now = datetime.now(UTC)
        at, until = milliseconds(now), milliseconds(now + within)
        found: tuple[list[str], list[str]] = ([], [])
        for entry in self.entries(scope):
            found[0 if entry.visible_at(max(at, min(entry.published_at or at, until))) else 1].append(entry.item_id)
        return found


def item_version(item: Item, arrived_ms: int) -> int:
    """The version of an item that arrived at `arrived_ms` (Unix milliseconds): see `Items.upsert`."""
    return arrived_ms if item.updated_at is None else min(milliseconds(item.updated_at), arrived_ms)


def _scenario(body: Body, learnt: Body) -> Scenario:
    scenario = Scenario.model_validate(body)
    for action, rule in scenario.actions.items():
        if rule.scale == "auto" and action in learnt:
            scenario.actions[action] = rule.model_copy(update={"learnt": tuple(learnt[action])})
    return scenario


def _item(body: Body) -> Item:
    return Item.model_validate(body)


def _milliseconds(text: Scalar) -> int | None:
    return None if text is None else milliseconds(datetime.fromisoformat(str(text)))


def _known(what: str, names: Sequence[str]) -> str:
    """`There are these scenarios: a, b.`, cut where the list is long."""
    if not names:
        return f"There are no {what} yet."
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"There are these {what}: {', '.join(names[:20])}{more}."
