"""An installation is moved to other engines, and what both hold and answer is compared."""

import stat
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from consumers import consume
from lemo.domain.errors import InvalidInput
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.moving.move import compare, move
from lemo.moving.target import target_settings, write_env
from lemo.settings import Settings
from lemo.stores.bootstrap import ensure_admin
from lemo.stores.connect import Stores
from lemo.streams.messages import event_message, item_message
from lemo.streams.topics import Topics
from servers import OwnEngine, own_embedded
from sites import ITEMS, add_scenario, model_of, publish_model

NOW = 1_700_000_000


@pytest.fixture
def other_engines(tmp_path: Path) -> Iterator[list[OwnEngine]]:
    engines = [own_embedded(name, tmp_path / f"other-{name}") for name in ("redis", "clickhouse")]
    for engine in engines:
        engine.start()
    yield engines
    for engine in engines:
        engine.stop()


def event(number: int) -> Event:
    user_id, item_id = f"u{number % 30}", ITEMS[number % len(ITEMS)]
    return Event(user_id=user_id, item_id=item_id, action="like", timestamp=NOW + number * 60)


@pytest.mark.long
def test_what_is_moved_is_the_same_and_a_difference_is_told(
    own_redis: OwnEngine, other_engines: list[OwnEngine], clickhouse_url: str, mongo_url: str, tmp_path: Path
) -> None:
    settings = Settings(
        home=tmp_path / "home",
        installation=f"m{uuid.uuid4().hex[:12]}",
        redis_url=SecretStr(own_redis.url),
        clickhouse_url=SecretStr(clickhouse_url),
    )
    target = target_settings(settings, [mongo_url, *(engine.url for engine in other_engines)], tmp_path / "there")
    with closing(Stores(settings)) as here:
        ensure_admin(settings)
        here.events.migrate()
        scope, key = add_scenario(here)
        topics = Topics(settings)
        with closing(here.log.publisher()) as publisher:
            items = [item_message(scope, Item(item_id=each)) for each in ITEMS]
            publisher.publish(settings.kafka_item_ingest_topics[0], items)
            publisher.publish(topics.events, [event_message(scope, event(number)) for number in range(200)])
        consume(settings, here)
        publish_model(here, scope, "1", model_of())
        compared = {each.what: each for each in move(here, target)}
        where = f"{scope.tenant_id}/{scope.scenario_id}"
        assert {each.what: each.different for each in compared.values() if each.different} == {}
        assert compared["documents: items"].there == len(ITEMS)
        assert (compared[f"{where}: events"].there, compared[f"{where}: lists"].there) == (200, 30)
        assert compared[f"{where}: hours"].there >= 3
        with closing(Stores(target)) as there:
            assert there.api_keys.find(key) is not None
            assert there.snapshots.current(scope, "model") == "1"
            late = NOW + 100 * 3600
            here.events.insert([(scope, event(6_000))])
            here.aggregates.mark("test", [(scope, late // 3600 * 3600)])
            told = {each.what: each.different for each in compare(here, there) if each.different}
            assert (told[f"{where}: events"], told[f"{where}: hours"]) == (1, 1)
    file = write_env(target)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert f"LEMO_MONGO_URL={mongo_url}\n" in file.read_text()


def test_urls_say_what_they_are_for(tmp_path: Path) -> None:
    needed = ["mongodb://m/lemo", "redis://r", "http://c:8123"]
    found = target_settings(Settings(), [*needed, "kafka://k:9092,l:9092", "s3://bucket/models"], tmp_path)
    assert found.kafka_bootstrap_servers == "k:9092,l:9092"
    assert (found.snapshots, found.redis(0), found.state) == ("s3://bucket/models", "redis://r/0", tmp_path)
    for urls, said in (
        (needed[:2], "need an engine each"),
        ([*needed, "redis://other"], "two engines"),
        ([*needed, "ftp://x"], "no URL of the kind"),
    ):
        with pytest.raises(InvalidInput, match=said):
            target_settings(Settings(), urls, tmp_path)
