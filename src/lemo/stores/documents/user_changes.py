"""Users that were erased or merged: what a replay, a late event or a restore has to know.

Each change moves one number. Whoever writes what users did reads it before and after, at the cost of one small read.
"""

import hashlib
import secrets
import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence

from lemo.domain.event_columns import EventColumns
from lemo.domain.ids import canonical_id, id_forms
from lemo.domain.interaction import Interaction
from lemo.domain.scope import SYSTEM, Scope
from lemo.stores.documents import ERASED_USERS, MERGED_USERS, USER_CHANGES, Documents

_REVISION, _SECRET = "revision", "secret"


class UserChanges:
    """Marks of erased users, and who took over whom. Safe for threads.

    A change is for one scenario, or, in a scope without one, for all scenarios of the tenant. An erased user is named
    by a hash with a secret of the installation, so that the mark does not tell who it was. What was read is cached
    until `refresh` finds a change. Calls raise EngineUnavailable when the documents do not answer.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._lock = threading.Lock()
        self._secret = b""
        self._revision = ""
        self._erased: dict[Scope, dict[str, int]] = {}
        self._merged: dict[Scope, dict[str, str]] = {}

    def refresh(self) -> str:
        """The name of the newest change; what was read before it is read anew when it is asked for."""
        body = self._documents.get(USER_CHANGES, SYSTEM, _REVISION)
        revision = "" if body is None else str(body["revision"])
        with self._lock:
            if revision != self._revision:
                self._revision = revision
                self._erased, self._merged = {}, {}
        return revision

    def announce(self) -> None:
        """Has every process read anew: something changed. Called after the change is written."""
        self._documents.put(USER_CHANGES, SYSTEM, {_REVISION: {"revision": uuid.uuid4().hex}})
        self.refresh()

    def digest(self, tenant_id: str, user_id: str) -> str:
        """The name of a user in marks and receipts: a keyed hash of the id's one form, 40 hexadecimal digits."""
        return self._digest(tenant_id, canonical_id(user_id))

    def digests(self, tenant_id: str, user_id: str) -> list[str]:
        """The names under which marks and receipts may know a user: older versions hashed ids as they came."""
        return [self._digest(tenant_id, form) for form in id_forms(user_id)]

    def _digest(self, tenant_id: str, user_id: str) -> str:
        if not self._secret:
            self._documents.put_new(USER_CHANGES, SYSTEM, _SECRET, {"secret": secrets.token_hex(32)})
            body = self._documents.get(USER_CHANGES, SYSTEM, _SECRET) or {}
            self._secret = bytes.fromhex(str(body["secret"]))
        text = f"{tenant_id}\x1f{user_id}".encode(errors="surrogatepass")
        return hashlib.blake2b(text, key=self._secret, digest_size=20).hexdigest()

    def mark_erased(self, scope: Scope, user_ids: Sequence[str], before_ms: int) -> None:
        """From now on, nothing that these users did before the moment (Unix ms) is taken in or restored."""
        names = [self.digest(scope.tenant_id, user_id) for user_id in user_ids]
        known = self._documents.get_many(ERASED_USERS, scope, names)
        moments = {name: max(before_ms, int(known.get(name, {}).get("before_ms", 0))) for name in names}
        self._documents.put(ERASED_USERS, scope, {name: {"before_ms": moment} for name, moment in moments.items()})
        self.announce()

    def mark_merged(self, scope: Scope, guest: str, into: str) -> None:
        """From now on, what the guest does counts as the other user's."""
        self._documents.put(MERGED_USERS, scope, {guest: {"into": into}})
        self.announce()

    def forget_merges(self, scope: Scope, guests: Sequence[str]) -> None:
        """The guests are users of their own again."""
        if self._documents.delete(MERGED_USERS, scope, guests):
            self.announce()

    def guests(self, scope: Scope, into: str) -> list[str]:
        """Those who were merged into the user, in exactly this scope, as their ids are stored."""
        return sorted(
            {guest for form in id_forms(into) for guest in self._documents.ids(MERGED_USERS, scope, {"into": form})}
        )

    def erased(self, scope: Scope) -> Mapping[str, int]:
        """The marks that hold for a scenario: hashes of users, and Unix ms before which nothing counts."""
        with self._lock:
            found = self._erased.get(scope)
        if found is None:
            revision, found = self._revision, {}
            for each in _and_tenant(scope):
                for name, body in self._documents.scan(ERASED_USERS, each):
                    found[name] = max(found.get(name, 0), int(body["before_ms"]))
            with self._lock:
                if revision == self._revision:  # else it may be older than what is known now
                    self._erased[scope] = found
        return found

    def merged(self, scope: Scope) -> Mapping[str, str]:
        """The merges that hold for a scenario: guests, and who took over."""
        with self._lock:
            found = self._merged.get(scope)
        if found is None:
            revision = self._revision
            found = {
                canonical_id(guest): canonical_id(str(body["into"]))
                for each in _and_tenant(scope)
                for guest, body in self._documents.scan(MERGED_USERS, each)
            }
            with self._lock:
                if revision == self._revision:
                    self._merged[scope] = found
        return found

    def erased_before(self, scope: Scope, user_id: str) -> int:
        """The moment (Unix ms) before which nothing of the user counts; 0 for one who was never erased."""
        erased = self.erased(scope)
        return max(erased.get(name, 0) for name in self.digests(scope.tenant_id, user_id)) if erased else 0

    def erased_since(self, scope: Scope, user_ids: Iterable[str], since_ms: int) -> set[str]:
        """Those of the users who were erased at or after a moment (Unix ms)."""
        erased = self.erased(scope)
        if max(erased.values(), default=0) < since_ms:
            return set()
        return {user_id for user_id in user_ids if self.erased_before(scope, user_id) >= since_ms}

    def kept(self, scope: Scope, histories: Mapping[str, Sequence[Interaction]]) -> dict[str, list[Interaction]]:
        """The histories without what must not come back; users of whom nothing is left are left out."""
        found = {}
        for user_id, history in histories.items():
            before = self.erased_before(scope, user_id)
            left = [each for each in history if each.timestamp_ms >= before]
            if left:
                found[user_id] = left
        return found

    def applied(self, events: EventColumns) -> EventColumns:
        """The events with guests' as those of the users they were merged into, without those of erased users."""
        scopes = {Scope(*pair) for pair in set(zip(events.tenant_id, events.scenario_id, strict=True))}
        if not any(self.erased(scope) or self.merged(scope) for scope in scopes):
            return events
        resolved: dict[tuple[str, str, str], tuple[str, int]] = {}
        users: list[str] = []
        chosen: list[bool] = []
        for who in zip(events.tenant_id, events.scenario_id, events.user_id, events.timestamp, strict=True):
            *user, moment = who
            known = resolved.get(who[:3])
            if known is None:
                known = resolved[who[:3]] = self._resolved(Scope(*user[:2]), who[2])
            users.append(known[0])
            chosen.append(moment >= known[1])
        changed = EventColumns(*events.lists())
        changed.user_id = users
        return changed if all(chosen) else changed.where(chosen)

    def _resolved(self, scope: Scope, user_id: str) -> tuple[str, int]:
        """Who the user is now, and before which moment nothing counts."""
        into = self.merged(scope).get(user_id, user_id)
        return into, max(self.erased_before(scope, user_id), self.erased_before(scope, into))


def _and_tenant(scope: Scope) -> list[Scope]:
    """The scope, and that of all scenarios of its tenant."""
    return [scope.tenant, scope] if scope.scenario_id else [scope]
