"""Keys of tenants. Of a key only the SHA-256 is stored: it is random, so nothing slower is needed."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from lemo.domain.api_key import ApiKey, KeyWishes, checked
from lemo.domain.errors import NotFound
from lemo.domain.scope import SYSTEM, Scope
from lemo.stores.documents import KEY_USES, KEYS, TENANTS, Body, Documents
from lemo.stores.documents.audit import Audit
from lemo.stores.documents.bodies import moment_text

ID_LENGTH = 12
LEMO = "Lemo"
"""Who makes the key of the first start, in the audit log."""
USED_SECONDS = 60
"""How exactly the last use of a key is known."""


class NewKey(NamedTuple):
    """A key that was just made."""

    id: str
    key: str
    """The key itself, for the only time."""


class ApiKeys:
    """Makes, finds and revokes keys. Every call raises EngineUnavailable when the documents do not answer.

    `by` is who changes keys, for the audit log.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._audit = Audit(documents)

    def create(self, tenant_id: str, wishes: KeyWishes | None = None, by: str = LEMO) -> NewKey:
        """Makes a key of the tenant, an admin's by default; raises NotFound for an unknown tenant and InvalidInput."""
        if self._documents.get(TENANTS, SYSTEM, tenant_id) is None:
            raise NotFound(f"There is no tenant {tenant_id[:80]!r}.", "`lemo tenants list` shows those there are.")
        now = datetime.now(UTC)
        found = checked(wishes or KeyWishes(role="admin"), now)
        key = f"lemo_{secrets.token_urlsafe(24)}"
        body: Body = {"tenant_id": tenant_id, "created_at": moment_text(now), **found.model_dump(mode="json")}
        detail = found.model_dump(mode="json", exclude_defaults=True)
        with self._audit.noting(Scope(tenant_id), by, "key.create", key_id(key), **detail):
            self._documents.put(KEYS, SYSTEM, {_digest(key): body})
        return NewKey(key_id(key), key)

    def find(self, key: str) -> ApiKey | None:
        """What is kept of a key, or None for an unknown or revoked one."""
        digest = _digest(key)
        body = self._documents.get(KEYS, SYSTEM, digest)
        return None if body is None else _api_key(digest, body, None)

    def note_use(self, key: str) -> None:
        """Notes that a key is used now, at most once in `USED_SECONDS`."""
        digest, now = _digest(key), datetime.now(UTC)
        last = self._documents.get(KEY_USES, SYSTEM, digest)
        if last is None or datetime.fromisoformat(last["at"]) < now - timedelta(seconds=USED_SECONDS):
            # Beside the key, so that a use and a change do not undo each other.
            self._documents.put(KEY_USES, SYSTEM, {digest: {"at": moment_text(now)}})

    def list(self, tenant_id: str) -> list[ApiKey]:
        """The tenant's keys, those that have expired included, oldest first."""
        found = self._documents.find(KEYS, SYSTEM, {"tenant_id": tenant_id}, limit=10_000)
        used = self._documents.get_many(KEY_USES, SYSTEM, [digest for digest, _ in found])
        keys = [_api_key(digest, body, used.get(digest)) for digest, body in found]
        return sorted(keys, key=lambda each: each.created_at)

    def origins(self) -> frozenset[str]:
        """The origins that any key is limited to."""
        return frozenset(
            origin for _, body in self._documents.scan(KEYS, SYSTEM) for origin in body.get("origins") or ()
        )

    def revoke(self, tenant_id: str, key_id: str, by: str = LEMO) -> None:
        """Deletes a key of the tenant; raises NotFound."""
        digest, _ = self._one(tenant_id, key_id)
        with self._audit.noting(Scope(tenant_id), by, "key.revoke", key_id):
            self._documents.delete(KEYS, SYSTEM, [digest])
        self._documents.delete(KEY_USES, SYSTEM, [digest])

    def rotate(self, tenant_id: str, key_id: str, overlap: timedelta, by: str = LEMO) -> NewKey:
        """Makes a key like another one, which expires after the overlap at the latest; raises NotFound."""
        digest, body = self._one(tenant_id, key_id)
        old = _api_key(digest, body, None)
        wishes = KeyWishes(role=old.role, name=old.name, scenarios=old.scenarios, origins=old.origins)
        end = datetime.now(UTC) + overlap
        with self._audit.noting(Scope(tenant_id), by, "key.rotate", key_id) as line:
            made = self.create(tenant_id, wishes, by)
            line.detail["replaced_by"] = made.id
            if old.expires_at is None or end < old.expires_at:
                self._documents.put(KEYS, SYSTEM, {digest: {**body, "expires_at": moment_text(end)}})
        return made

    def _one(self, tenant_id: str, key_id: str) -> tuple[str, dict[str, Any]]:
        for digest, body in self._documents.find(KEYS, SYSTEM, {"tenant_id": tenant_id}, limit=10_000):
            if digest[:ID_LENGTH] == key_id:
                return digest, body
        raise NotFound(f"There is no key {key_id[:80]!r}.", "`lemo keys list` shows the ids of those there are.")


def _api_key(digest: str, body: Body, used: Body | None) -> ApiKey:
    known = {name: body[name] for name in ApiKey.model_fields if name in body}
    return ApiKey.model_validate({**known, "id": digest[:ID_LENGTH], "last_used_at": used and used["at"]})


def key_id(key: str) -> str:
    """The id of a key, by which people name it."""
    return _digest(key)[:ID_LENGTH]


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()
