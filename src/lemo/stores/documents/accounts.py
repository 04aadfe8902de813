"""Accounts of the console. Of a password only its Argon2 hash is stored."""

import secrets
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cached_property
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from lemo.domain.account import MOST_CHARACTERS, Account, AccountRole, checked_account_name, checked_password
from lemo.domain.errors import Conflict, NotFound
from lemo.domain.scope import SYSTEM, Scope
from lemo.stores.documents import ACCOUNTS, TENANTS, Body, Documents
from lemo.stores.documents.audit import Audit
from lemo.stores.documents.bodies import moment_text

_TURNS = BoundedSemaphore(2)
"""A hash takes 64 MiB and some 50 ms; more of them at once would take the memory of everything else."""


class Accounts:
    """Makes, finds and deletes accounts. Their names are unique in the installation.

    `by` is who changes them, for the audit log. Every call raises EngineUnavailable when the documents do not answer.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._audit = Audit(documents)
        self._hasher = PasswordHasher()

    def create(self, tenant_id: str, name: str, role: AccountRole, password: str, by: str) -> Account:
        """Makes an account; raises NotFound for an unknown tenant, Conflict for a taken name, and InvalidInput."""
        if self._documents.get(TENANTS, SYSTEM, tenant_id) is None:
            raise NotFound(f"There is no tenant {tenant_id[:80]!r}.", "`lemo tenants list` shows those there are.")
        now = moment_text(datetime.now(UTC))
        body: Body = {
            "tenant_id": tenant_id,
            "role": role,
            "created_at": now,
            "password_set_at": now,
            "hash": self._hash(checked_password(password)),
        }
        with self._audit.noting(Scope(tenant_id), by, "account.create", checked_account_name(name), role=role):
            if not self._documents.put_new(ACCOUNTS, SYSTEM, name, body):
                raise Conflict(f"There is an account {name!r} already.", "Choose another name; all tenants share them.")
        return _account(name, body)

    def set_password(self, tenant_id: str, name: str, password: str, by: str) -> None:
        """Gives an account of the tenant another password, which ends its sessions; raises NotFound, InvalidInput."""
        self.change(tenant_id, name, by, password=password)

    def change(
        self, tenant_id: str, name: str, by: str, *, role: AccountRole | None = None, password: str | None = None
    ) -> Account:
        """Gives an account of the tenant another role or password, or both at once; None leaves either as it is.

        Another password ends its sessions. Raises NotFound, InvalidInput.
        """
        body, scope = self._one(tenant_id, name), Scope(tenant_id)
        with ExitStack() as lines:
            if password is not None:
                body["hash"] = self._hash(checked_password(password))
                body["password_set_at"] = moment_text(datetime.now(UTC))
                lines.enter_context(self._audit.noting(scope, by, "account.password", name))
            if role is not None:
                was, body["role"] = body["role"], role
                lines.enter_context(self._audit.noting(scope, by, "account.role", name, role=role, was=was))
            self._documents.put(ACCOUNTS, SYSTEM, {name: body})
        return _account(name, body)

    def delete(self, tenant_id: str, name: str, by: str) -> None:
        """Deletes an account of the tenant, which ends its sessions; raises NotFound."""
        self._one(tenant_id, name)
        with self._audit.noting(Scope(tenant_id), by, "account.delete", name):
            self._documents.delete(ACCOUNTS, SYSTEM, [name])

    def list(self, tenant_id: str) -> list[Account]:
        """The tenant's accounts by name."""
        found = self._documents.find(ACCOUNTS, SYSTEM, {"tenant_id": tenant_id}, limit=10_000)
        return [_account(name, body) for name, body in found]

    def get(self, name: str) -> Account | None:
        """The account of this name, of whichever tenant."""
        body = self._documents.get(ACCOUNTS, SYSTEM, name)
        return None if body is None else _account(name, body)

    def exist(self, tenant_id: str | None = None) -> bool:
        """Whether there is any account, of the tenant if one is given."""
        where = None if tenant_id is None else {"tenant_id": tenant_id}
        return self._documents.count(ACCOUNTS, SYSTEM, where) > 0

    def authenticate(self, name: str, password: str) -> Account | None:
        """The account, if the password is its own. An unknown name takes as long as a wrong password."""
        body = self._documents.get(ACCOUNTS, SYSTEM, name)
        known = self._nobody if body is None else str(body["hash"])
        with _TURNS:
            try:
                self._hasher.verify(known, password[: MOST_CHARACTERS + 1])
            except VerifyMismatchError:
                return None
        if body is None:
            return None
        if self._hasher.check_needs_rehash(known):
            body = body | {"hash": self._hash(password)}
            self._documents.put(ACCOUNTS, SYSTEM, {name: body})
        return _account(name, body)

    @cached_property
    def _nobody(self) -> str:
        return self._hash(secrets.token_urlsafe())

    def _hash(self, password: str) -> str:
        with _TURNS:
            return self._hasher.hash(password)

    def _one(self, tenant_id: str, name: str) -> Body:
        body = self._documents.get(ACCOUNTS, SYSTEM, name)
        if body is None or body["tenant_id"] != tenant_id:
            raise NotFound(f"There is no account {name[:80]!r}.", "`lemo accounts list` shows those there are.")
        return body


def _account(name: str, body: Body) -> Account:
    return Account.model_validate(
        {field: body[field] for field in Account.model_fields if field in body} | {"name": name}
    )
