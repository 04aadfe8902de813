"""Accounts over each document store: passwords, tenants, and lines in the audit log."""

from pathlib import Path

import pytest
from argon2 import PasswordHasher

from lemo.domain.errors import Conflict, InvalidInput, NotFound
from lemo.domain.scope import SYSTEM
from lemo.stores.documents import ACCOUNTS, Documents
from lemo.stores.documents.accounts import Accounts
from lemo.stores.documents.audit import Audit
from lemo.stores.documents.catalogue import Tenants
from lemo.stores.documents.sqlite import SqliteDocuments

PASSWORD, OTHER = "correct horse battery", "staple 电池 horse battery"


def test_an_account_lives_and_leaves_its_lines(documents: Documents) -> None:
    accounts = Accounts(documents)
    Tenants(documents).create("acme")
    Tenants(documents).create("other")
    assert not accounts.exist()
    made = accounts.create("acme", "ann@acme.example", "operator", PASSWORD, "me")
    assert (accounts.exist(), accounts.exist("acme"), accounts.exist("other")) == (True, True, False)
    assert accounts.get("ann@acme.example") == made
    assert accounts.list("acme") == [made]
    assert accounts.list("other") == []
    assert accounts.authenticate("ann@acme.example", PASSWORD) == made
    assert accounts.authenticate("ann@acme.example", PASSWORD + " ") is None
    assert accounts.authenticate("bob", PASSWORD) is None
    stored = documents.get(ACCOUNTS, SYSTEM, "ann@acme.example")
    assert stored is not None
    assert stored["hash"].startswith("$argon2id$")
    with pytest.raises(Conflict):
        accounts.create("other", "ann@acme.example", "admin", OTHER, "me")
    with pytest.raises(NotFound):
        accounts.delete("other", made.name, "me")
    with pytest.raises(NotFound):
        accounts.set_password("other", made.name, OTHER, "me")
    accounts.set_password("acme", made.name, OTHER, "you")
    changed = accounts.authenticate(made.name, OTHER)
    assert changed is not None
    assert changed.password_set_at > made.password_set_at
    assert accounts.authenticate(made.name, PASSWORD) is None
    with pytest.raises(NotFound):
        accounts.change("other", made.name, "me", role="admin")
    assert accounts.change("acme", made.name, "me", role="viewer") == changed.model_copy(update={"role": "viewer"})
    assert accounts.authenticate(made.name, OTHER) == accounts.get(made.name)
    accounts.delete("acme", made.name, "me")
    assert accounts.authenticate(made.name, OTHER) is None
    lines = Audit(documents).list("acme", 10)
    assert [(line.action, line.by) for line in lines] == [
        ("account.delete", "me"),
        ("account.role", "me"),
        ("account.password", "you"),
        ("account.create", "me"),
    ]
    assert Audit(documents).list("other", 10) == []


def test_an_old_hash_is_replaced_at_the_next_login(tmp_path: Path) -> None:
    documents = SqliteDocuments(tmp_path / "documents.sqlite")
    accounts = Accounts(documents)
    Tenants(documents).create("acme")
    made = accounts.create("acme", "ann", "viewer", PASSWORD, "me")
    weak = PasswordHasher(time_cost=1, memory_cost=1_024).hash(PASSWORD)
    body = documents.get(ACCOUNTS, SYSTEM, "ann") or {}
    documents.put(ACCOUNTS, SYSTEM, {"ann": body | {"hash": weak}})
    assert accounts.authenticate("ann", PASSWORD) == made
    assert (documents.get(ACCOUNTS, SYSTEM, "ann") or {})["hash"] != weak
    assert accounts.authenticate("ann", PASSWORD) == made
    documents.close()


@pytest.mark.parametrize(
    ("name", "password"), [("Ann", PASSWORD), ("", PASSWORD), ("a b", PASSWORD), ("ann", "short"), ("ann", "x" * 1_001)]
)
def test_wrong_names_and_passwords_are_refused_and_not_shown(tmp_path: Path, name: str, password: str) -> None:
    documents = SqliteDocuments(tmp_path / "documents.sqlite")
    Tenants(documents).create("acme")
    with pytest.raises(InvalidInput) as refused:
        Accounts(documents).create("acme", name, "admin", password, "me")
    assert password not in str(refused.value)
    assert not Accounts(documents).exist()
    documents.close()
