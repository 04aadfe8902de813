"""Keys of tenants: what each may do, where, and until when."""

from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

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
"""Roles of keys that may be limited to scenarios or origins: whoever runs jobs sees the whole tenant."""
SAME_ORIGIN = "same-origin"
"""Stands for the origin of a page that came from the API's own address."""
_PORTS = {"http": 80, "https": 443}


def checked_origin(text: str) -> str:
    """An origin as browsers write it (`https://shop.example`, no slash at the end); raises ValueError."""
    url = urlsplit(text.strip().lower())
    if url.scheme not in _PORTS or not url.hostname or url.path not in ("", "/") or url.query or url.fragment:
        raise ValueError("must be an origin, such as https://shop.example")
    if url.username is not None or not url.hostname.isascii():
        raise ValueError("must be an origin, such as https://shop.example; a name in other letters as xn--...")
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{url.scheme}://{host}" + (f":{url.port}" if url.port not in (None, _PORTS[url.scheme]) else "")


Origin = Annotated[str, Field(max_length=300), AfterValidator(checked_origin)]


class KeyWishes(BaseModel):
    """A key to make."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"role": "read", "name": "web shop", "scenarios": ["shop"], "origins": ["https://shop.example"]}
        },
    )

    role: Role
    name: Annotated[str, Field(max_length=200)] = ""
    """What it is for, for people."""
    scenarios: Annotated[list[str], Field(max_length=1_000)] | None = None
    """The only scenarios that it may be used for; null: all of the tenant, those to come included."""
    origins: Annotated[list[Origin], Field(max_length=100)] | None = None
    """The only web sites whose pages may use it, as `https://shop.example`; null: whoever has it."""
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

    def check(self, role: Role, scenario_id: str | None, now: datetime, origin: str = "") -> None:
        """Raises WrongCredential for an expired key, and NotAllowed for what it may not do.

        `origin` is that of the page that asks, `SAME_ORIGIN`, or empty where no browser says one.
        """
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
        if self.origins is not None and origin not in (*self.origins, SAME_ORIGIN):
            raise NotAllowed(
                f"This key ({self.id}) is for the pages of certain web sites; this request comes from"
                f" {repr(origin[:80]) if origin else 'none'}.",
                "Use it on these pages, or have an administrator make one with `--origin`.",
            )


def checked(wishes: KeyWishes, now: datetime) -> KeyWishes:
    """The wishes; raises InvalidInput for those that contradict each other."""
    for name in ("scenarios", "origins"):
        limit = getattr(wishes, name)
        if limit is not None and wishes.role not in LIMITABLE:
            raise InvalidInput(
                f"A key with the role {wishes.role} cannot be limited to {name}.", f"Roles: {', '.join(LIMITABLE)}."
            )
        if limit == []:
            raise InvalidInput(
                f"The key could be used nowhere: `{name}` is empty.", f"Leave `{name}` out, or name some."
            )
    if wishes.expires_at is not None and wishes.expires_at <= now:
        raise InvalidInput("expires_at: the key would have expired already.", "Give a time that is to come.")
    return wishes
