"""A user is erased from every store: the files and keys are searched for the id, and nothing brings the user back."""

import json
from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
import pytest
from pydantic import SecretStr

from consumers import START, connected, consume, consumer_settings, publish
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.jobs.precompute import precompute
from lemo.jobs.profiles import profile
from lemo.jobs.report import unattended
from lemo.jobs.similarity import compute_similarity
from lemo.jobs.training import train
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.streams import Message
from lemo.streams.messages import event_message
from lemo.users.erasure import erase_user
from servers import OwnEngine
from sites import wait_for

NEEDLE = "erase-me-7f3a"
USER = f"{NEEDLE} / 用户"


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path, own_redis: OwnEngine, milvus_uri: str) -> Settings:
    """Stores of this test alone, so that their files can be searched."""
    base = consumer_settings(request, "redis", tmp_path)
    mine = {"redis_url": SecretStr(own_redis.url), "milvus_uri": milvus_uri, "embedding_dimensions": 8}
    return base.model_copy(update=mine)


@pytest.fixture
def stores(settings: Settings, scope: Scope) -> Iterator[Stores]:
    with connected(settings, scope) as stores:
        stores.events.migrate()
        yield stores


def event(user_id: str, item: int, second: int) -> Event:
    return Event(user_id=user_id, item_id=f"i{item}", action="like", timestamp=START + second * 1000)


def fill(settings: Settings, stores: Stores, scope: Scope) -> None:
    """Data of the user, and of others, in every store."""
    stores.items.upsert(scope, [Item(item_id=f"i{n}", categories=["c"]) for n in range(8)], [1] * 8)
    events = [event(USER, n, 3600 * n) for n in range(5)]
    events += [event(f"other{n % 6}", n % 8, 1800 * n) for n in range(60)]
    letter = json.dumps({**json.loads(event_message(scope, events[0]).value), "action": "no-such-action"}).encode()
    messages = [event_message(scope, each) for each in events]
    broken = Message(json.dumps({"tenant_id": scope.tenant_id, "user_id": USER}, ensure_ascii=False)[:-1].encode())
    publish(stores, settings.kafka_event_topic, [*messages, Message(letter), broken])
    publish(stores, f"{settings.kafka_event_topic}-{scope.tenant_id}", [Message(f'"{USER}'.encode())])
    consume(settings, stores)
    stores.availability.rebuild(scope, stores.items.entries(scope))
    for job in (profile, train, compute_similarity, precompute):
        job(stores, scope, unattended())


def files_with_needle(*folders: Path) -> list[str]:
    found = []
    for folder in folders:
        for file in folder.rglob("*"):
            try:
                if file.is_file() and NEEDLE.encode() in file.read_bytes():
                    found.append(file.name)
            except FileNotFoundError:  # deleted at this moment
                continue
    return found


def keys_with_needle(stores: Stores) -> list[str]:
    found = []
    for key in stores.redis.scan_iter(count=1000):
        held = repr(stores.redis.xrange(key)) if stores.redis.type(key) == b"stream" else ""
        if NEEDLE in key.decode(errors="replace") + held:
            found.append(key.decode(errors="replace"))
    return found


def tables(settings: Settings) -> list[Path]:
    """The folders of ClickHouse's tables. Replaced parts are to go from the disk at once, not after eight minutes."""
    client = clickhouse_connect.get_client(dsn=settings.clickhouse)
    database = settings.clickhouse_database
    client.command(f"ALTER TABLE {database}.events MODIFY SETTING old_parts_lifetime = 0")
    query = "SELECT arrayJoin(data_paths) FROM system.tables WHERE database = {database:String}"
    paths = [Path(path) for (path,) in client.query(query, parameters={"database": database}).result_rows]
    client.close()
    return paths


def test_an_erased_user_is_found_nowhere(
    settings: Settings, stores: Stores, scope: Scope, own_redis: OwnEngine, tmp_path: Path
) -> None:
    fill(settings, stores, scope)
    clickhouse, redis = tables(settings), tmp_path / "redis"
    home, snapshots = settings.state, settings.state / "snapshots"
    assert all(files_with_needle(*folders) for folders in ([home], [snapshots], clickhouse, [redis]))
    kinds = {key.split(":")[1] for key in keys_with_needle(stores)}
    assert kinds == {"history", "seen", "recommended", "log"}

    receipt = erase_user(stores, scope.tenant_id, USER, "test")
    removed = {part.store: part.removed for part in receipt.stores}
    assert removed == {
        "ClickHouse: events": 5,
        "Redis: history": 5,
        "Redis: seen items": 5,
        "Redis: precomputed recommendations": 1,
        "documents: profile": 1,
        "snapshots: state of the similarity job": 1,
        "log: events": 8,
        "log: dead letters": 3,
        "files of Redis": 0,
        "files of the documents": 0,
        "snapshots: models": 0,
    }
    assert receipt.clean
    assert receipt.verified_at is not None
    assert NEEDLE not in receipt.model_dump_json()
    assert keys_with_needle(stores) == []
    assert files_with_needle(home) == []
    wait_for(lambda: files_with_needle(*clickhouse) == [], 60)
    # The file of Redis keeps only the bytes of deleted entries of the log, as the receipt says.
    wait_for(lambda: not stores.redis.info("persistence")["aof_rewrite_in_progress"])
    assert any("LEMO_STREAM_MAX_LENGTH" in part.remains for part in receipt.stores)
    for key in stores.redis.scan_iter("*:log:*"):
        stores.redis.xtrim(key, maxlen=0, approximate=False)
    stores.key_removal.rewrite_file()
    wait_for(lambda: files_with_needle(redis) == [])
    # Others are as they were, and what is counted is what is there.
    assert stores.events.count_users(scope) == 6
    assert sum(day.events for day in stores.aggregates.counts(scope, "day")) == stores.events.count(scope) == 60
