"""How a command starts: it opens the stores, reads the tenant of the key, and checks that the engines answer."""

from contextlib import closing
from typing import TYPE_CHECKING, Literal

from lemo.domain.errors import EngineUnavailable, LemoError

if TYPE_CHECKING:
    from lemo.domain.scenario import Scenario
    from lemo.domain.scope import Scope
    from lemo.settings import Settings
    from lemo.stores.connect import Stores

Engine = Literal["redis", "events", "log"]


def connected() -> "tuple[Stores, str]":
    """Stores that answer within seconds or say why not, and the tenant of the command line's key."""
    from lemo.settings import Settings
    from lemo.stores.bootstrap import credential
    from lemo.stores.connect import Stores

    settings = Settings()
    return Stores(settings, interactive=True), credential(settings)


def open_scenario(name: str, *engines: "Engine") -> "tuple[Stores, Scope]":
    """Stores, and the scope of a scenario of the key's tenant; raises NotFound, and as `check_engines`."""
    from lemo.domain.scope import Scope

    stores, tenant_id = connected()
    scope = Scope(tenant_id, name)
    stores.scenarios.get(scope)
    if engines:
        check_engines(stores.settings, *engines)
    return stores, scope


def known_scenario(name: str) -> "tuple[Settings, Scope, Scenario]":
    """The settings and a scenario of the key's tenant, for commands whose own work may wait longer; raises NotFound."""
    stores, scope = open_scenario(name)
    with closing(stores):
        return stores.settings, scope, stores.scenarios.get(scope)


def check_engines(settings: "Settings", *names: Engine) -> None:
    """Raises EngineUnavailable within seconds where one of these stores does not answer.

    For commands whose own work may take minutes: an engine that goes away later is waited for.
    """
    from lemo.stores.connect import Stores
    from lemo.stores.redis.client import ping_redis

    with closing(Stores(settings, interactive=True)) as stores:
        for name in names:
            if name == "redis":
                ping_redis(stores.redis)
            else:
                getattr(stores, name).ping()


def is_kept(settings: "Settings", service: str) -> bool:
    """Whether a supervisor on this home folder keeps the service running."""
    from lemo.embedded import supervisor

    return any(state.name == service for state in supervisor.status(settings))


def hint_of(error: LemoError) -> str:
    """What to do about an error; how to start the engines of this machine where nothing was started."""
    if not isinstance(error, EngineUnavailable):
        return error.hint
    from lemo.embedded import supervisor
    from lemo.settings import Settings

    settings = Settings()
    own = not (settings.redis_url and settings.clickhouse_url and settings.milvus_uri)
    if own and supervisor.running(settings) is None:
        return f"Nothing runs on {settings.state}: start it with `lemo up --detach`, then do this again."
    return error.hint
