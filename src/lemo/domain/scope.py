"""Where a piece of data belongs: one scenario of one tenant."""

import re
from dataclasses import dataclass

from lemo.domain.errors import InvalidInput

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """A (tenant, scenario) pair, the first argument of everything that reads or writes data.

    What belongs to a whole tenant (its scenarios, its runs) has an empty scenario; what belongs to
    the installation (the tenants, the keys) is in `SYSTEM`.
    """

    tenant_id: str
    scenario_id: str = ""

    def __str__(self) -> str:
        return f"{self.tenant_id}/{self.scenario_id}"

    @property
    def tenant(self) -> "Scope":
        """The scope of the whole tenant."""
        return Scope(self.tenant_id)


SYSTEM = Scope("")
DEFAULT_TENANT = "default"
"""The tenant of the first start; its administrators manage all tenants."""


def checked_name(kind: str, name: str) -> str:
    """Returns `name` if it can name a tenant or scenario (`kind` says which); raises InvalidInput otherwise."""
    if not NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:80]!r} cannot name a {kind}.",
            "Use 1 to 63 lower-case letters, digits, '-' or '_', starting with a letter or digit.",
        )
    return name
