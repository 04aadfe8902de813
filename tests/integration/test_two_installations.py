"""Two installations on one Redis: under names of their own they never meet, under one name the second is refused."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis import Redis

from command_lines import run_command
from lemo.diagnostics.dependencies import Dependency
from lemo.diagnostics.doctor import examine, states
from lemo.diagnostics.log_probes import probe_consumer
from lemo.domain.errors import Conflict
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.installation import claim, own_id, owner_of
from lemo.stores.redis.lease import Lease
from lemo.stores.redis.precomputed import PrecomputedRecommendations
from lemo.streams import Message
from servers import OwnEngine
from sites import wait_for

SHOP = Scope("default", "shop")
EVENTS = "user-behaviors"


def installation(folder: Path, redis_url: str, name: str) -> Stores:
    stores = Stores(Settings(home=folder / name, redis_url=redis_url, installation=name))
    stores.tenants.create("default")
    stores.scenarios.create("default", scenario_from_template("shop", "ecommerce"))
    return stores


@pytest.fixture
def two(tmp_path: Path, own_redis: OwnEngine) -> Iterator[tuple[Stores, Stores]]:
    """Installations with the same tenant, scenario, users and items."""
    made = [installation(tmp_path, own_redis.url, name) for name in ("lemo", "other")]
    yield made[0], made[1]
    for stores in made:
        stores.close()


def variables(stores: Stores) -> dict[str, str]:
    settings = stores.settings
    return {
        **os.environ,
        "LEMO_HOME": str(settings.home),
        "LEMO_INSTALLATION": settings.installation,
        "LEMO_REDIS_URL": settings.redis(0).removesuffix("/0"),
        "LEMO_WORKER_METRICS_PORT": "0",
        "LEMO_WORKER_CONCURRENCY": "1",
    }


def lemo(stores: Stores, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return run_command(arguments, {**variables(stores), "COLUMNS": "300"})


def use_all(stores: Stores, item_id: str) -> None:
    """Something in every store on Redis."""
    stores.history.add([(SHOP, Event(user_id="u", item_id=item_id, action="view", timestamp=time.time()))])
    item = Item(item_id=item_id, published_at=datetime(2026, 1, 1, tzinfo=UTC))
    off = Item(item_id=f"{item_id}-off", is_active=False)
    stores.availability.add(SHOP, [item, off], [1, 1])
    stores.precomputed.write_many(SHOP, {"u": PrecomputedRecommendations(version=item_id, cache_key="b", items=[])})
    stores.embedding_queue.add(SHOP, [item_id])
    publisher = stores.log.publisher()
    publisher.publish(stores.settings.kafka_event_topic, [Message(item_id.encode())])
    publisher.close()


def test_installations_of_different_names_share_nothing_in_redis(two: tuple[Stores, Stores]) -> None:
    for stores, item_id in zip(two, ("a", "b"), strict=True):
        claim(stores)
        use_all(stores, item_id)
    for stores, item_id in zip(two, ("a", "b"), strict=True):
        settings = stores.settings
        assert [touch.item_id for touch in stores.history.read(SHOP, "u")] == [item_id]
        assert stores.availability.latest(SHOP, 10) == [item_id]
        assert stores.availability.inactive(SHOP) == {f"{item_id}-off"}
        answer = stores.precomputed.read(SHOP, "u")
        assert answer is not None
        assert answer.version == item_id
        assert stores.embedding_queue.begin(SHOP) == [item_id]
        assert stores.log.lag([settings.kafka_event_topic], settings.kafka_group) == {settings.kafka_event_topic: 1}
        reader = stores.log.reader([settings.kafka_event_topic], settings.kafka_group, "a")
        assert [record.value for record in reader.poll(10, 2)] == [item_id.encode()]
        reader.close()
    one, other = two
    with Lease(one.redis, "an-entry", SHOP, keys=one.keys) as first:
        assert first.acquire()
        with Lease(other.redis, "an-entry", SHOP, keys=other.keys) as second:
            assert second.acquire()


def test_each_worker_and_beat_touches_the_names_of_its_own_installation_alone(
    two: tuple[Stores, Stores], tmp_path: Path
) -> None:
    one, other = two
    processes = []
    with (tmp_path / "log").open("wb") as log:
        for name in ("worker", "beat"):
            command = [sys.executable, "-m", "lemo.cli.main", name]
            processes.append(subprocess.Popen(command, env=variables(other), stdout=log, stderr=log))
    try:
        # Its worker would take the first one's task, find no such run, and drop it.
        theirs = one.runs.create("default", "cleanup-expired-cache-daily", "shop", "manual")
        ours = other.runs.create("default", "cleanup-expired-cache-daily", "shop", "manual")
        for stores, run in ((one, theirs), (other, ours)):
            send = "import sys; from lemo.scheduling.dispatch import send; "
            send += "from lemo.tasks.perform import worker_stores as stores; "
            send += "send(stores().runs.get('default', sys.argv[1]), 'default')"
            subprocess.run([sys.executable, "-c", send, run.run_id], env=variables(stores), check=True, timeout=60)
        wait_for(lambda: other.runs.get("default", ours.run_id).attempts > 0, 60)
        wait_for(lambda: bool(other.redis.zcard("other:redbeat::schedule")), 60)
        assert one.runs.get("default", theirs.run_id).outcome == "queued"
        with Redis.from_url(one.settings.redis(1)) as broker:
            assert broker.llen("lemo:default") == 1
        found = states(examine(one.settings), [Dependency.worker, Dependency.beat])
        assert {finding.state for finding in found.values()} == {"missing"}, "another's services are not ours"
        found = states(examine(other.settings), [Dependency.worker, Dependency.beat])
        assert {finding.state for finding in found.values()} == {"ok"}
        for database in range(3):
            with Redis.from_url(one.settings.redis(database)) as redis:
                names = {key.decode() for key in redis.scan_iter(count=1000)}
            assert {name for name in names if not name.startswith(("lemo:", "other:"))} == set()
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_a_consumer_of_another_installation_is_not_counted(two: tuple[Stores, Stores]) -> None:
    one, other = two
    use_all(other, "b")
    reader = other.log.reader([other.settings.kafka_event_topic], other.settings.kafka_group, "a")
    reader.poll(10, 0.1)
    assert probe_consumer(other.settings).state == "ok"
    assert probe_consumer(one.settings).state != "ok"
    reader.close()


@pytest.mark.parametrize(
    "service",
    ["api", *(pytest.param(name, marks=pytest.mark.long) for name in ("worker", "beat", "consumer", "console"))],
)
def test_a_second_installation_of_the_same_name_is_refused(tmp_path: Path, own_redis: OwnEngine, service: str) -> None:
    first, second = (Stores(Settings(home=tmp_path / name, redis_url=own_redis.url)) for name in "ab")
    claim(first)
    with pytest.raises(Conflict, match="belongs to another installation") as refused:
        claim(second)
    assert str(first.settings.state) in refused.value.message
    assert "LEMO_INSTALLATION=" in refused.value.hint
    ended = lemo(second, service)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "LEMO_INSTALLATION=other" in ended.stderr + ended.stdout
    finding = states(examine(second.settings), [Dependency.cache])[Dependency.cache]
    assert (finding.state, "another installation" in finding.detail) == ("missing", True)
    assert states(examine(first.settings), [Dependency.cache])[Dependency.cache].state == "ok"

    assert lemo(second, "installation").returncode == 1
    assert lemo(second, "installation", "--take-over").returncode == 0
    claim(second)
    with pytest.raises(Conflict):
        claim(first)
    first.close()
    second.close()


def test_a_name_is_claimed_again_after_redis_was_emptied_and_machines_of_a_cluster_share_it(
    tmp_path: Path, own_redis: OwnEngine
) -> None:
    settings = Settings(home=tmp_path, redis_url=own_redis.url)
    machines = [Stores(settings), Stores(settings)]
    for stores in machines:
        claim(stores)
        stores.redis.flushdb()
        claim(stores)
    owner = owner_of(machines[0].redis, machines[0].keys)
    assert owner is not None
    assert {owner.id} == {own_id(stores.documents) for stores in machines}
    for stores in machines:
        stores.close()


def test_names_left_at_their_defaults_are_those_of_the_installation(tmp_path: Path) -> None:
    other = Settings(home=tmp_path, installation="other", snapshots_url="s3://models/lemo")
    assert (other.mongo_database, other.clickhouse_database) == ("other", "other")
    assert other.kafka_item_ingest_topics == ["other-items-ingest", "other-vlog-items", "other-news-items"]
    assert (other.kafka_event_topic, other.kafka_group) == ("other-user-behaviors", "other-lemo-recommender-group")
    assert other.snapshots == "s3://models/lemo/other"
    given = Settings(home=tmp_path, installation="other", kafka_event_topic="mine", mongo_database="theirs")
    assert (given.kafka_event_topic, given.mongo_database) == ("mine", "theirs")
    assert Settings(home=tmp_path).kafka_event_topic == EVENTS
