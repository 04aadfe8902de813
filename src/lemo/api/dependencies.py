"""What routes ask for: the services of the process, the scope of the caller, the body."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import anyio
from fastapi import Depends, Path, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from lemo.api.access import Access
from lemo.api.limits import COUNTED, Limits
from lemo.api.origins import origin_of
from lemo.api.problems import BrokenBody
from lemo.api.roles import needed_role
from lemo.domain.api_key import Role
from lemo.domain.errors import EngineUnavailable, InvalidInput, TooLarge
from lemo.domain.reasons import did_you_mean, reason, shortened
from lemo.domain.scenario import Scenario
from lemo.domain.scope import Scope
from lemo.intake.changes import Changes
from lemo.intake.publishing import Ingest
from lemo.serving.served_log import Served, ServedLog
from lemo.serving.service import RecommendationService
from lemo.stores.connect import Stores
from lemo.stores.documents.api_keys import key_id

Body = TypeVar("Body", bound=BaseModel)

ANSWERED_SCOPE = "lemo.scope"
"""Where a request's ASGI scope says which scenario it was about, once its key was checked."""
SMALL_BODY = 1_000_000
"""Bytes that each request may bring at any time; all that is more shares one room."""
BODIES_AT_ONCE = 8
"""How many bodies of the largest size this room holds."""
INGESTS_AT_ONCE = 16
"""Ingest requests worked on at once; the others wait outside the thread pool, which stays free for recommendations."""


@dataclass(frozen=True)
class Services:
    """What the routes work with, one of each per process."""

    stores: Stores
    served: RecommendationService
    access: Access
    limits: Limits
    ingest: Ingest
    ingest_turns: anyio.CapacityLimiter
    served_log: ServedLog
    room: "BodyRoom"

    @property
    def changes(self) -> Changes:
        """Changes of single items."""
        return Changes(self.stores, self.ingest)

    def log_served(self, served: Served) -> None:
        """Takes an answer into the log of what was served; never waits."""
        served.pipeline_version = self.served.pipeline_version(served.scope)
        self.served_log.add(served)

    def close(self) -> None:
        """Lets go of threads and connections."""
        self.limits.close()
        self.served_log.close()
        self.ingest.close()
        self.served.close()
        self.stores.close()


class BodyRoom:
    """Memory for large bodies on their way in, and until they are answered: many slow senders fill no more than this.

    Used in the event loop alone.
    """

    def __init__(self, size: int) -> None:
        self.free = size

    def take(self, size: int) -> None:
        """Takes room; raises EngineUnavailable where there is none."""
        if size > self.free:
            raise EngineUnavailable("Too many large bodies are being sent at once.", "Send it again, or in parts.")
        self.free -= size

    def give_back(self, size: int) -> None:
        """Gives room back."""
        self.free += size


@dataclass(frozen=True)
class Place:
    """The scenario that a request is about, and where its data belongs."""

    scope: Scope
    scenario: Scenario


def services_of(request: Request) -> Services:
    """The services of the application."""
    services = request.app.state.services
    assert isinstance(services, Services)  # noqa: S101 - set when the application is made
    return services


# Cheap dependencies are coroutines, which run in the event loop without a thread of their own.
async def _services(request: Request) -> Services:
    return services_of(request)


_bearer = HTTPBearer(auto_error=False, description="A key of the tenant: `lemo_...`.")
Api = Annotated[Services, Depends(_services)]
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def _role(request: Request) -> Role:
    return needed_role(request.method, request.scope["route"].path_format)


def _origin(request: Request) -> str:
    return origin_of(request.scope["headers"])


def _tenant(request: Request, services: Api, credentials: Credentials) -> str:
    tenant_id = services.access.tenant(
        credentials.credentials if credentials else None, _role(request), None, _origin(request)
    )
    _count(request, services, tenant_id)
    return tenant_id


def _count(request: Request, services: Services, tenant_id: str) -> None:
    """Counts a request once; raises TooMuch."""
    if COUNTED not in request.scope:
        services.limits.take("requests", tenant_id)
        request.scope[COUNTED] = True


def _place(
    request: Request,
    services: Api,
    credentials: Credentials,
    scenario: Annotated[str, Path(description="Name of the scenario.", examples=["shop"])],
) -> Place:
    key = credentials.credentials if credentials else None
    tenant_id = services.access.tenant(key, _role(request), scenario, _origin(request))
    _count(request, services, tenant_id)
    found = services.access.scenario(tenant_id, scenario)
    place = Place(Scope(tenant_id, found.scenario_id), found)
    request.scope[ANSWERED_SCOPE] = place.scope
    return place


TenantId = Annotated[str, Depends(_tenant)]


async def _operator(tenant_id: TenantId, credentials: Credentials) -> str:
    key = credentials.credentials if credentials else ""
    return f"{tenant_id}, API (key {key_id(key)})"


Operator = Annotated[str, Depends(_operator)]
"""Who asks, for logs of changes, by the id of the key."""
Here = Annotated[Place, Depends(_place)]


class Nothing(BaseModel):
    """A body without fields."""

    model_config = ConfigDict(extra="forbid")


async def _body(request: Request) -> AsyncIterator[bytes]:
    """The body up to the limit. A longer one is read on for a while, so that the sender lives to read the answer."""
    services = services_of(request)
    limit = services.stores.settings.max_body_bytes
    body = bytearray()
    size = taken = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > 4 * limit:
                break
            if size > limit:
                body.clear()
                continue
            if size > SMALL_BODY:
                services.room.take(len(chunk))
                taken += len(chunk)
            body += chunk
        if size > limit:
            raise TooLarge(
                f"The body is larger than {limit:,} bytes.", "Send it in parts, or raise LEMO_MAX_BODY_BYTES."
            )
        yield bytes(body)
    finally:
        services.room.give_back(taken)


RawBody = Annotated[bytes, Depends(_body)]


async def _turn(services: Api) -> AsyncIterator[None]:
    async with services.ingest_turns:
        yield


IngestTurn = Annotated[None, Depends(_turn)]

Count = Annotated[int, Query(ge=1, le=200, description="How many items, 1 to 200.", examples=[10])]


def json_of(body: bytes) -> Any:
    """The JSON of a body; raises BrokenBody. NaN is let through, for the entry that holds it to be refused alone."""
    try:
        return from_json(body, allow_inf_nan=True)
    except ValueError as error:
        raise BrokenBody(f"The body is not JSON: {str(error)[:200]}.", "Send `application/json` in UTF-8.") from error


def model_of(body: bytes, model: type[Body]) -> Body:
    """The body as such a model; raises BrokenBody and InvalidInput."""
    try:
        return model.model_validate(json_of(body))
    except ValidationError as error:
        unknown = [str(fault["loc"][-1]) for fault in error.errors() if fault["type"] == "extra_forbidden"]
        raise InvalidInput(reason(error), _fields(model.model_fields, unknown) if unknown else "") from error


def no_body(body: bytes) -> None:
    """Raises InvalidInput where fields are sent to a route that takes none."""
    if body:
        model_of(body, Nothing)


def _fields(known: Iterable[str], unknown: Sequence[str]) -> str:
    names = list(known)
    return f"{did_you_mean(unknown[0], names)}It takes {', '.join(names) or 'no fields'}."


def list_of(body: bytes, name: str) -> list[Any]:
    """The list in a body `{name: [...]}`; raises BrokenBody and InvalidInput."""
    content = json_of(body)
    if not isinstance(content, dict) or not isinstance(content.get(name), list):
        raise InvalidInput(f'The body must be an object with the list "{name}".', f'Send {{"{name}": [...]}}.')
    unknown = [field for field in content if field != name]
    if unknown:
        raise InvalidInput(f"The body has no field {shortened(unknown[0])}.", _fields([name], unknown))
    found: list[Any] = content[name]
    return found
