"""Whoever looks at a page."""

from dataclasses import dataclass, field
from datetime import datetime

from lemo.console.language import Language
from lemo.domain.account import AccountRole, includes


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whoever looks at a page."""

    tenant_id: str
    role: AccountRole
    account: str = ""
    """The account that logged in, if one did."""
    key_id: str = ""
    """The key that logged in, if one did."""
    person: str = ""
    """The name of the person whom an identity provider has identified, if one did."""
    since: datetime | None = None
    """When the account's password was set that logged in."""
    until: float = 0
    """Unix time at which the session ends."""
    language: Language = field(default="en", compare=False)
    """The language of his page, for what is said outside of it."""

    @property
    def logged_in(self) -> bool:
        """Whether there is a session, which may be ended."""
        return bool(self.account or self.key_id or self.person)

    @property
    def by(self) -> str:
        """Who this is in logs of changes."""
        if self.account:
            return f"{self.tenant_id}, console (account {self.account})"
        if self.person:
            return f"{self.tenant_id}, console (OpenID Connect: {self.person})"
        return f"{self.tenant_id}, console" + (f" (key {self.key_id})" if self.key_id else "")

    def may(self, role: AccountRole) -> bool:
        """Whether the visitor's role includes this one."""
        return includes(self.role, role)
