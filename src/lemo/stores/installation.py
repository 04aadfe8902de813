"""Whose engines these are: an installation's id, kept in its documents and written to the Redis that it uses.

Two installations of one name on one Redis would take each other's tasks and mix histories. The second one to come
finds the first one's id, and refuses to start.
"""

import socket
import uuid
from urllib.parse import urlsplit

import structlog
from pydantic import BaseModel, ValidationError
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from lemo.domain.errors import Conflict, EngineUnavailable
from lemo.domain.scope import SYSTEM
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.documents import INSTALLATION, Documents
from lemo.stores.redis.client import Keys, translate_errors
from lemo.stores.state_version import check_state

log = structlog.get_logger()

_ONE = "id"


class Owner(BaseModel):
    """The installation that an engine belongs to, and where it was when it took it."""

    id: str
    place: str
    """`host:home folder`."""


def known_id(documents: Documents) -> str | None:
    """The installation's id, if it has ever been started."""
    body = documents.get(INSTALLATION, SYSTEM, _ONE)
    return None if body is None else str(body["id"])


def own_id(documents: Documents) -> str:
    """The installation's id, made at first use. Machines that share their documents share it."""
    documents.put_new(INSTALLATION, SYSTEM, _ONE, {"id": uuid.uuid4().hex})
    return known_id(documents) or ""


def owner_of(redis: Redis, keys: Keys) -> Owner | None:
    """The installation that has this name in this Redis; None where it was emptied, or nobody came yet."""
    with translate_errors():
        raw = redis.get(keys("installation"))
    try:
        return Owner.model_validate_json(raw) if raw is not None else None
    except ValidationError:
        return Owner(id="", place="what cannot be read")


def claim(stores: Stores, take_over: bool = False) -> None:
    """Takes the installation's name in Redis, unless it has it already.

    Raises Conflict where another installation has it and is not to be replaced, and EngineUnavailable.
    """
    settings, keys = stores.settings, stores.keys
    mine = Owner(id=own_id(stores.documents), place=f"{socket.gethostname()}:{settings.state}")
    with _brief(settings.redis(0)) as redis:
        with translate_errors():
            redis.set(keys("installation"), mine.model_dump_json(), nx=not take_over)
        owner = owner_of(redis, keys)
    if owner is not None and owner.id != mine.id:
        raise Conflict(*refusal(settings, owner))


def claim_at_start(settings: Settings) -> None:
    """Claims as a service starts. An engine that is away is no reason not to start.

    Raises Conflict where another installation has the name, or a newer program wrote the state.
    """
    stores = Stores(settings)
    try:
        check_state(stores.documents)
        claim(stores)
    except EngineUnavailable as error:
        log.warning("could not ask the engines whose they are", error=str(error))
    finally:
        stores.close()


def refusal(settings: Settings, owner: Owner) -> tuple[str, str]:
    """What is wrong where another installation owns the Redis, and what to do."""
    parts = urlsplit(settings.redis(0))
    where = f"{parts.hostname}:{parts.port or 6379}"
    return (
        f"The Redis at {where} belongs to another installation of the name {settings.installation!r} ({owner.place}): "
        "the two would take each other's tasks and mix their users' histories.",
        "Give this one a name of its own (LEMO_INSTALLATION=other) or another Redis (LEMO_REDIS_URL); "
        "if the other one is gone for good: lemo installation --take-over",
    )


def _brief(url: str) -> Redis:
    """A client that gives up at once: a service that starts must not wait for an engine."""
    return Redis.from_url(url, socket_timeout=3, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0))
