"""Keys of tenants: what each may do, where, and until when."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from lemo.domain.errors import InvalidInput, NotAllowed, WrongCredential
from lemo.domain.time import Timestamp

Role = Literal["admin", "operator", "ingest", "track", "read"]
"""`read` asks for recommendations, `track` sends events too, `ingest` sends items and events and reads nothing,
`operator` does all of that and runs jobs, `admin` all."""
_INCLUDES: dict[Role, frozenset[Role]] = {
    "admin": frozenset(("admin", "operator", "ingest", "track", "read")),
    "operator": frozenset(("operator", "ingest", "track", "read")),
    "ingest": frozenset(("ingest", "track")),
    "track": frozenset(("track", "read")),
    "read": frozenset(("read",)),
}
LIMITABLE: tuple[Role, ...] = ("ingest", "track", "read")
"""Roles of keys that may be limited to scenarios: whoever runs jobs sees the whole tenant."""


class KeyWishes(BaseModel):
    """A key to make."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"role": "read", "name": "web shop", "scenarios": ["shop"]}},
    )

    role: Role
    name: Annotated[str, Field(max_length=200)] = ""
    """What it is for, for people."""
    scenarios: Annotated[list[str], Field(max_length=1_000)] | None = None
    """The only scenarios that it may be used for; null: all of the tenant, those to come included."""
    expires_at: Timestamp | None = None
    """From this moment on it is refused; null: never."""


class ApiKey(KeyWishes):
    """A key as it is kept: everything but the key."""

    model_config = ConfigDict(extra="forbid")

    id: str
    """The beginning of the key's SHA-256, by which people name it."""
    tenant_id: str
    created_at: datetime
    last_used_at: datetime | None = None
    """About when it was last used, to a minute."""

    def check(self, role: Role, scenario_id: str | None, now: datetime) -> None:
        """Raises WrongCredential for an expired key, and NotAllowed for what it may not do."""
        if self.expires_at is not None and now >= self.expires_at:
            raise WrongCredential(f"This key ({self.id}) has expired.", "Have an administrator make a new one.")
        if role not in _INCLUDES[self.role]:
            raise NotAllowed(
                f"A key with the role {self.role} may not do this; it takes the role {role}.",
                "`lemo keys create --role` makes one.",
            )
        if self.scenarios is not None and scenario_id is not None and scenario_id not in self.scenarios:
            raise NotAllowed(
                f"This key ({self.id}) may not be used for the scenario {scenario_id[:80]!r}.",
                "Have an administrator make one for it.",
            )


def checked(wishes: KeyWishes, now: datetime) -> KeyWishes:
    """The wishes; raises InvalidInput for those that contradict each other."""
    if wishes.scenarios is not None and wishes.role not in LIMITABLE:
        raise InvalidInput(
            f"A key with the role {wishes.role} cannot be limited to scenarios.", f"Roles: {', '.join(LIMITABLE)}."
        )
    if wishes.scenarios == []:
        raise InvalidInput("The key would be for no scenario.", "Leave `scenarios` out, or name some.")
    if wishes.expires_at is not None and wishes.expires_at <= now:
        raise InvalidInput("expires_at: the key would have expired already.", "Give a time that is to come.")
    return wishes
