"""Documents: JSON bodies by kind, scope and id, in SQLite or MongoDB behind one interface."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lemo.domain.scope import Scope

Body = dict[str, Any]
Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Kind:
    """A collection: its name, and the top-level fields of its bodies that `find` may filter and order by."""

    name: str
    fields: tuple[str, ...] = ()


TENANTS = Kind("tenants")
KEYS = Kind("keys", ("tenant_id",))
KEY_USES = Kind("key_uses")
ACCOUNTS = Kind("accounts", ("tenant_id",))
SCENARIOS = Kind("scenarios")
LEARNT_SCALES = Kind("learnt_scales")
"""Beside the scenarios, so that a job that learns and a person who edits do not undo each other's work."""
PIPELINES = Kind("pipelines", ("version",))
EXPERIMENT_CHANGES = Kind("experiment_changes", ("number", "name"))
ITEMS = Kind("items", ("is_active", "deleted", "published_at", "expires_at"))
PROFILES = Kind("profiles", ("last_event_at",))
MODELS = Kind("models", ("created_at", "kind"))
MODEL_CHANGES = Kind("model_changes", ("fence",))
RUNS = Kind("runs", ("entry", "scenario_id", "outcome", "queued_at"))
SCHEDULES = Kind("schedules", ("entry", "tenant_id"))
SCHEDULE_CHANGES = Kind("schedule_changes", ("entry", "tenant_id", "scenario_id", "changed_at"))
AUDIT = Kind("audit", ("at",))
REPLAYED_LETTERS = Kind("replayed_letters")
USER_CHANGES = Kind("user_changes")
"""The number of changes of users so far, and the secret that erased users are named by."""
ERASED_USERS = Kind("erased_users")
"""By a keyed hash of the user: what happened before which moment must not come back."""
MERGED_USERS = Kind("merged_users", ("into",))
"""By the guest: the user that took over."""
ERASURES = Kind("erasures", ("erased_at",))
"""Receipts of erasures."""
DELETED_SCENARIOS = Kind("deleted_scenarios")
"""Scenarios whose deletion has begun and has not ended."""
WRITE_PROBES = Kind("write_probes")
INSTALLATION = Kind("installation")
KINDS = (
    TENANTS,
    KEYS,
    KEY_USES,
    ACCOUNTS,
    SCENARIOS,
    LEARNT_SCALES,
    PIPELINES,
    EXPERIMENT_CHANGES,
    ITEMS,
    PROFILES,
    MODELS,
    MODEL_CHANGES,
    RUNS,
    SCHEDULES,
    SCHEDULE_CHANGES,
    AUDIT,
    REPLAYED_LETTERS,
    USER_CHANGES,
    ERASED_USERS,
    MERGED_USERS,
    ERASURES,
    DELETED_SCENARIOS,
    WRITE_PROBES,
    INSTALLATION,
)


class Documents(Protocol):
    """A store of JSON documents. Every call names the scope, so that no query can forget the tenant.

    Bodies are JSON values only; datetimes are ISO 8601 strings in UTC, so that they order as text.
    Every call raises EngineUnavailable when the engine does not answer.
    """

    def get(self, kind: Kind, scope: Scope, id: str) -> Body | None:
        """The body of one document, or None."""

    def get_many(self, kind: Kind, scope: Scope, ids: Sequence[str]) -> dict[str, Body]:
        """The bodies of those of `ids` that exist."""

    def get_versioned(self, kind: Kind, scope: Scope, ids: Sequence[str]) -> dict[str, tuple[int, Body]]:
        """The versions and bodies of those of `ids` that exist."""

    def put(self, kind: Kind, scope: Scope, bodies: Mapping[str, Body]) -> None:
        """Writes or replaces documents by id."""

    def put_new(self, kind: Kind, scope: Scope, id: str, body: Body) -> bool:
        """Writes the document unless its id is taken; False where it was."""

    def put_newer(self, kind: Kind, scope: Scope, bodies: Mapping[str, Body], versions: Mapping[str, int]) -> set[str]:
        """Writes each document whose version is at least the stored one; returns the ids written.

        A replay or a message out of order so never brings old data back.
        """

    def find(
        self,
        kind: Kind,
        scope: Scope,
        where: Mapping[str, Scalar] | None = None,
        order: str = "",
        limit: int = 100,
        offset: int = 0,
    ) -> list[tuple[str, Body]]:
        """Documents whose fields equal `where`, ordered by a field (`-field` descending), else by id."""

    def scopes(self, kind: Kind) -> list[Scope]:
        """The scopes that have documents of a kind, in no order."""

    def scan(self, kind: Kind, scope: Scope) -> Iterator[tuple[str, Body]]:
        """All documents of the scope by id, read in batches, so that any number fits into memory."""

    def fields(self, kind: Kind, scope: Scope) -> Iterator[tuple[str, int, tuple[Scalar, ...]]]:
        """Id, version and the kind's fields of all documents of the scope by id, in batches, without their bodies."""

    def ids(self, kind: Kind, scope: Scope, where: Mapping[str, Scalar]) -> list[str]:
        """The ids of all documents whose fields equal `where`, without reading their bodies; in no order."""

    def count(self, kind: Kind, scope: Scope, where: Mapping[str, Scalar] | None = None) -> int:
        """How many documents match."""

    def delete(self, kind: Kind, scope: Scope, ids: Sequence[str]) -> int:
        """Deletes by id; returns how many there were."""

    def scrub(self) -> str:
        """Makes the engine's files forget what was deleted, where they can.

        Returns what may remain, in words; empty for nothing.
        """

    def ping(self) -> str:
        """Asks the engine for a sign of life; returns its name and version."""

    def check_writes(self) -> None:
        """Writes a document and deletes it; raises EngineUnavailable where nothing can be written."""

    def close(self) -> None:
        """Lets go of connections."""
