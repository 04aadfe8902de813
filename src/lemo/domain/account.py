"""Accounts of people in the console."""

import re
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from lemo.domain.errors import InvalidInput

AccountRole = Literal["admin", "operator", "viewer"]
"""`viewer` looks at everything of the tenant, `operator` also runs and changes, `admin` also sees the audit log."""
_RANKS: dict[AccountRole, int] = {"viewer": 0, "operator": 1, "admin": 2}
NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,62}")
LEAST_CHARACTERS, MOST_CHARACTERS = 12, 1_000


class Account(BaseModel):
    """An account as it is known: everything but the password's hash."""

    name: str
    tenant_id: str
    role: AccountRole
    created_at: datetime
    password_set_at: datetime
    """Sessions that began with an earlier password have ended."""


def includes(role: AccountRole, needed: AccountRole) -> bool:
    """Whether the role may do what another one may."""
    return _RANKS[role] >= _RANKS[needed]


def checked_account_name(name: str) -> str:
    """The name; raises InvalidInput for one that no account can have."""
    if not NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:80]!r} cannot name an account.",
            "Use 1 to 63 lower-case letters, digits, '.', '_', '@' or '-', starting with a letter or digit.",
        )
    return name


def checked_password(password: str) -> str:
    """The password; raises InvalidInput, without it, for one that is too short or too long."""
    if not LEAST_CHARACTERS <= len(password) <= MOST_CHARACTERS:
        raise InvalidInput(
            f"A password has {LEAST_CHARACTERS} to {MOST_CHARACTERS:,} characters; this one has {len(password):,}.",
            "Several words make a good one.",
        )
    return password
