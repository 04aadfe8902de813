"""A small site for tests of serving: stores in an empty folder, a shared Redis, a scenario, a model, a running API."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy import sparse

from lemo.api.app import create_app
from lemo.api.server import listen, server_of
from lemo.domain.errors import EngineUnavailable
from lemo.domain.event import Event
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.recommenders.data.timeline import Timeline
from lemo.recommenders.hybrid.hybrid import HybridRecommender
from lemo.recommenders.interfaces import Source
from lemo.recommenders.sources.item_knn import ItemKnn
from lemo.recommenders.sources.popularity import Popularity
from lemo.settings import Settings
from lemo.stores.connect import Stores
from recommender_worlds import mixture

ITEMS = [f"item/{number}" for number in range(40)]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def settings_of(home: Path, redis_url: str) -> Settings:
    """Settings with a home and topics of their own."""
    own = uuid.uuid4().hex[:12]
    return Settings(
        home=home,
        redis_url=redis_url,
        kafka_item_ingest_topics=[f"items-{own}"],
        kafka_event_topic=f"events-{own}",
        kafka_served_topic=f"served-{own}",
    )


def add_scenario(stores: Stores) -> tuple[Scope, str]:
    """A new tenant with one scenario, and a key of the tenant."""
    scope = Scope(f"tenant-{uuid.uuid4().hex[:12]}", f"scenario-{uuid.uuid4().hex[:12]}")
    stores.tenants.create(scope.tenant_id)
    stores.scenarios.create(scope.tenant_id, scenario_from_template(scope.scenario_id, "vlog"))
    return scope, stores.api_keys.create(scope.tenant_id).key


def model_of(item_ids: Sequence[str] = ITEMS, favourite: int = 0) -> HybridRecommender:
    """A model: a taste for an item speaks for the three after it, and popularity falls away from the favourite."""
    count = len(item_ids)
    rows = np.repeat(np.arange(count), 3)
    columns = (rows - np.tile([1, 2, 3], count)) % count
    near = sparse.csr_matrix((np.tile([0.9, 0.6, 0.3], count).astype(np.float32), (rows, columns)), (count, count))
    popularity = np.roll(np.arange(count, 0, -1, dtype=np.float64), favourite)
    rules = scenario_from_template("any", "vlog").actions
    config = mixture(share=0.8)
    sources: list[Source] = [ItemKnn(config.sources[0], near), Popularity(config.sources[1], popularity)]
    return HybridRecommender(list(item_ids), sources, config, rules, Timeline())


def begin_catalogue(stores: Stores, scope: Scope) -> None:
    """What a worker does for a new scenario: Redis holds all there is of its catalogue, which is nothing."""
    if stores.availability.built_at(scope) is None:
        stores.availability.rebuild(scope, [])


def publish_model(stores: Stores, scope: Scope, version: str, model: HybridRecommender) -> None:
    """Makes the model the one that serves."""
    with suppress(EngineUnavailable):  # tests of a Redis that is away
        begin_catalogue(stores, scope)
    arrays, manifest = model.to_arrays()
    stores.snapshots.publish(scope, "model", version, arrays, manifest)
    stores.snapshots.point(scope, "model", version, time.time_ns())


def touch(stores: Stores, scope: Scope, user_id: str, *item_ids: str, action: str = "like") -> None:
    """The user acts on the items, one second after the other."""
    stores.history.add(
        [
            (scope, Event(user_id=user_id, item_id=item, action=action, timestamp=NOW.timestamp() + second))
            for second, item in enumerate(item_ids)
        ]
    )


def wait_for(condition: Callable[[], bool], seconds: float = 15) -> None:
    """Returns as soon as the condition holds; fails when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {seconds:.0f} s"
        threading.Event().wait(0.02)


@contextmanager
def running_api(stores: Stores) -> Iterator[str]:
    """The address of the real API in a thread of this process, which closes the stores when it ends."""
    listener = listen("127.0.0.1", 0)
    server = server_of(create_app(stores))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        wait_for(lambda: server.started or not thread.is_alive())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
