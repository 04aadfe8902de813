"""What Redis has lost comes back by itself: a thread of each worker rebuilds it from the documents within seconds."""

import threading
import time

import structlog
from redis.exceptions import RedisError

from lemo.domain.errors import LemoError
from lemo.domain.scope import Scope
from lemo.serving.restore import restore
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.tasks.dispatch import request_embedding

log = structlog.get_logger()

LOOK_SECONDS = 3
RUN_LOW_SECONDS = 60
"""How often it is asked whether a list of newest items has run low, which costs reading it."""


def start_restoring(settings: Settings) -> None:
    """Looks for what is lost in a thread of the worker's main process for as long as it lives."""
    threading.Thread(target=_watch, args=(settings,), name="restoring", daemon=True).start()


def _watch(settings: Settings) -> None:
    stores = Stores(settings)
    low_at = 0.0
    while True:
        look_closely = time.monotonic() >= low_at
        try:
            restore_all(stores, look_closely)
        except (LemoError, RedisError) as error:
            log.warning("cannot look for what Redis has lost now", error=str(error))
        if look_closely:
            low_at = time.monotonic() + RUN_LOW_SECONDS
        time.sleep(LOOK_SECONDS)


def restore_all(stores: Stores, look_closely: bool = True) -> list[Scope]:
    """Rebuilds what may be shown where it was lost, where a catalogue has begun, and where newest items run low."""
    scopes = [
        Scope(tenant_id, scenario.scenario_id)
        for tenant_id in stores.tenants.list()
        for scenario in stores.scenarios.list(tenant_id)
    ]
    lost, due = stores.availability.lost(scopes), stores.availability.due(scopes)
    low = (
        [scope for scope in stores.availability.cut(scopes) if stores.availability.runs_low(scope)]
        if look_closely
        else []
    )
    restored = [scope for scope in dict.fromkeys([*lost, *due, *low]) if restore(stores, scope)]
    for scope in lost:
        if scope in restored:
            request_embedding(stores, scope)
    return restored
