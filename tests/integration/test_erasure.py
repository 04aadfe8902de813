"""A user is erased from every store: the files and keys are searched for the id, and nothing brings the user back."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from unicodedata import normalize

import clickhouse_connect
import pytest
from pydantic import SecretStr

from consumers import START, connected, consume, consumer_settings, publish, write_events
from lemo.domain.errors import Conflict, InvalidInput, NotFound
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.files.reading import Reading
from lemo.ingest.service import Consumer
from lemo.jobs.cleanup import clean
from lemo.jobs.precompute import precompute
from lemo.jobs.profiles import profile
from lemo.jobs.realtime import aggregate
from lemo.jobs.report import unattended
from lemo.jobs.similarity import compute_similarity
from lemo.jobs.training import train
from lemo.scheduling.scenario_deletion import delete_scenario, left_of
from lemo.settings import Settings
from lemo.stores.clickhouse.removal import USER_TABLES
from lemo.stores.connect import Stores
from lemo.stores.documents import PROFILES, user_changes
from lemo.streams import Message
from lemo.streams.messages import event_message
from lemo.streams.served_messages import served_messages
from lemo.users import erasure
from lemo.users.erasure import check_erasure, erase_user
from lemo.users.merge import merge_users
from servers import OwnEngine
from sites import model_of, publish_model, wait_for

NEEDLE = "erase-me-7f3a"
USER = f"{NEEDLE} / 用户"


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path, own_redis: OwnEngine, milvus_uri: str) -> Settings:
    """Stores of this test alone, so that their files can be searched."""
    base = consumer_settings(request, "redis", tmp_path, own_database=True)
    mine = {"redis_url": SecretStr(own_redis.url), "milvus_uri": milvus_uri, "embedding_dimensions": 8}
    return base.model_copy(update=mine)


@pytest.fixture
def stores(settings: Settings, scope: Scope) -> Iterator[Stores]:
    with connected(settings, scope) as stores:
        stores.events.migrate()
        yield stores


def event(user_id: str, item: int, second: int) -> Event:
    return Event(user_id=user_id, item_id=f"i{item}", action="like", timestamp=START + second * 1000)


def answers_to(scope: Scope, *users: str) -> list[Message]:
    """A message of what was served to the users a moment ago."""
    sent = {"items": [{"item_id": "i1"}]}
    about = {"kind": "recommendations", "at": time.time_ns() // 1_000_000, "took_us": 1}
    parts = [{**about, "user_id": user, "answer": {**sent, "request_id": f"r of {user}"}} for user in users]
    return list(served_messages(scope, 1, [json.dumps(part, ensure_ascii=False).encode() for part in parts]))


def count_answers(stores: Stores, scope: Scope, user: str) -> int:
    [table] = [table for table in USER_TABLES if table.name == "served_answers"]
    return stores.removal.count_user(table, scope, user, 2**42)


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
    served = json.dumps({"tenant_id": scope.tenant_id, "answers": [{"user_id": USER}]}, ensure_ascii=False).encode()
    publish(stores, settings.kafka_served_topic, [*answers_to(scope, "other1", USER), Message(served)])
    consume(settings, stores)
    stores.availability.rebuild(scope, stores.items.entries(scope))
    for job in (profile, train, compute_similarity, precompute, aggregate):
        job(stores, scope, unattended())


def files_with_needle(*folders: Path, besides: Sequence[Path] = ()) -> list[str]:
    found = []
    for folder in folders:
        for file in folder.rglob("*"):
            try:
                if file.is_file() and file.parent not in besides and NEEDLE.encode() in file.read_bytes():
                    found.append(file.name)
            except FileNotFoundError:  # deleted at this moment
                continue
    return found


def keys_with_needle(stores: Stores) -> list[str]:
    found = []
    for key in stores.redis.scan_iter(f"{stores.keys.prefix}*", count=1000):
        held = repr(stores.redis.xrange(key)) if stores.redis.type(key) == b"stream" else ""
        if NEEDLE in key.decode(errors="replace") + held:
            found.append(key.decode(errors="replace"))
    return found


def asked(settings: Settings, query: str) -> list[str]:
    """One column of ClickHouse's own tables, of this test's database."""
    client = clickhouse_connect.get_client(dsn=settings.clickhouse)
    rows = client.query(query, parameters={"database": settings.clickhouse_database}).result_rows
    client.close()
    return [str(value) for (value,) in rows]


def tables(settings: Settings) -> list[Path]:
    """The folders of ClickHouse's tables: parts, and the texts of deletions."""
    query = "SELECT arrayJoin(data_paths) FROM system.tables WHERE database = {database:String}"
    return [Path(path) for path in asked(settings, query)]


def replaced(settings: Settings) -> list[Path]:
    """The folders of parts that ClickHouse has replaced, and deletes some minutes later."""
    query = "SELECT path FROM system.parts WHERE database = {database:String} AND NOT active"
    return [Path(path) for path in asked(settings, query)]


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
    line = stores.audit.list(scope.tenant_id, 1)[0]
    assert (line.action, line.subject, line.by) == ("user.erase", f"receipt {receipt.receipt_id}", "test")
    removed = {part.store: part.removed for part in receipt.stores}
    assert removed == {
        "ClickHouse: events": 5,
        "ClickHouse: served_answers": 1,
        "ClickHouse: event_sessions": 5,
        "Redis: history": 5,
        "Redis: seen items": 5,
        "Redis: precomputed recommendations": 1,
        "documents: profile": 1,
        "snapshots: state of the similarity job": 1,
        "log: events": 8,
        "log: answers": 2,
        "log: dead letters": 4,
        "files of Redis": 0,
        "files of the documents": 0,
        "snapshots: models": 0,
    }
    assert receipt.clean
    assert receipt.verified_at is not None
    assert NEEDLE not in receipt.model_dump_json()
    assert keys_with_needle(stores) == []
    assert files_with_needle(home) == []
    parts = replaced(settings)
    assert files_with_needle(*clickhouse, besides=parts) == []
    assert any("old_parts_lifetime" in part.remains for part in receipt.stores) == bool(parts)
    # The file of Redis keeps only the bytes of deleted entries of the log, as the receipt says.
    wait_for(lambda: not stores.redis.info("persistence")["aof_rewrite_in_progress"])
    assert any("LEMO_STREAM_MAX_LENGTH" in part.remains for part in receipt.stores)
    for key in stores.redis.scan_iter("*:log:*", count=10_000):
        stores.redis.xtrim(key, maxlen=0, approximate=False)
    stores.key_removal.rewrite_file()
    wait_for(lambda: files_with_needle(redis) == [])
    # Others are as they were, and what is counted is what is there.
    assert count_answers(stores, scope, "other1") == 1
    assert stores.events.count_users(scope) == 6
    assert sum(day.events for day in stores.aggregates.counts(scope, "day")) == stores.events.count(scope) == 60


@pytest.fixture
def shared(request: pytest.FixtureRequest, tmp_path: Path, scope: Scope, milvus_uri: str) -> Iterator[Stores]:
    """An installation on the shared engines."""
    settings = consumer_settings(request, "redis", tmp_path).model_copy(update={"milvus_uri": milvus_uri})
    with connected(settings, scope) as stores:
        stores.events.migrate()
        yield stores


def taken(stores: Stores, scope: Scope, *events: Event) -> None:
    publish(stores, stores.settings.kafka_event_topic, [event_message(scope, each) for each in events])
    consume(stores.settings, stores)


def held(stores: Stores, scope: Scope, user_id: str) -> tuple[int, int, int]:
    """The user's events, interactions in the history and seen items."""
    events = len(stores.events.history(scope, user_id, 100))
    return events, len(stores.history.read(scope, user_id)), len(stores.seen.read_many(scope, [user_id])[0])


def test_the_past_of_an_erased_user_does_not_come_back(shared: Stores, scope: Scope) -> None:
    stores, old = shared, [event(USER, n, n) for n in range(3)]
    answers = answers_to(scope, USER, "other")
    publish(stores, stores.settings.kafka_served_topic, answers)
    taken(stores, scope, *old, event("other", 1, 1))
    assert count_answers(stores, scope, USER) == 1
    receipt = erase_user(stores, scope.tenant_id, USER, "test", scope.scenario_id)
    publish(stores, stores.settings.kafka_served_topic, answers)
    taken(stores, scope, *old, event(USER, 7, 99), event("other", 2, 2))
    assert (count_answers(stores, scope, USER), count_answers(stores, scope, "other") > 0) == (0, True)
    assert held(stores, scope, USER) == (0, 0, 0)
    assert held(stores, scope, "other") == (2, 2, 2)
    later = receipt.erased_before + timedelta(seconds=1)
    taken(stores, scope, old[0].model_copy(update={"timestamp": later, "event_id": "new"}))
    assert held(stores, scope, USER) == (1, 1, 1)
    checked = check_erasure(stores, scope.tenant_id, receipt.receipt_id, USER)
    assert checked.clean, checked
    assert checked.verified_at > receipt.verified_at  # type: ignore[operator]
    with pytest.raises(InvalidInput, match="another user"):
        check_erasure(stores, scope.tenant_id, receipt.receipt_id, "other")
    with pytest.raises(NotFound):
        check_erasure(stores, "nobody", receipt.receipt_id, USER)


def test_an_erased_id_is_known_in_every_form_of_unicode(
    shared: Stores, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark is an older version's, of the id as it came then; the events come again as they were."""
    stores = shared
    composed, decomposed = (normalize(form, f"{NEEDLE} Zoé") for form in ("NFC", "NFD"))
    with monkeypatch.context() as patch:
        for module in (user_changes, erasure):
            patch.setattr(module, "canonical_id", lambda user_id: user_id)
            patch.setattr(module, "id_forms", lambda user_id: [user_id])
        receipt = erase_user(stores, scope.tenant_id, decomposed, "test")
    tenant, changes = scope.tenant_id, stores.user_changes
    assert changes.digest(tenant, decomposed) == changes.digest(tenant, composed) != receipt.user_hash
    sent = [json.loads(event_message(scope, event("x", n, n)).value) | {"user_id": decomposed} for n in range(3)]
    form = "".join(f"{each['user_id']},{each['item_id']},like,{START // 1000 + n}\n" for n, each in enumerate(sent))
    Path("events.csv").write_text(f"user_id,item_id,action,timestamp\n{form}", encoding="utf-8")
    publish(stores, stores.settings.kafka_event_topic, [Message(json.dumps(each).encode()) for each in sent])
    taken(
        stores,
        scope,
        event(composed, 4, 4),
        event("other", 1, 1),
        *Reading(Path("events.csv"), Event, lambda each: each),
    )
    assert held(stores, scope, composed) == held(stores, scope, decomposed) == (0, 0, 0)
    assert held(stores, scope, "other") == (1, 1, 1)
    for user in (composed, decomposed):
        assert check_erasure(stores, scope.tenant_id, receipt.receipt_id, user).clean
    # What an older version has left under the id as it came.
    stores.history.add([(scope, event("x", 3, 1).model_copy(update={"user_id": decomposed}))])
    assert not check_erasure(stores, scope.tenant_id, receipt.receipt_id, composed).clean
    clean(stores, scope, unattended())
    assert held(stores, scope, decomposed)[1] == 0
    merge_users(stores, scope.tenant_id, decomposed, "other")
    assert stores.user_changes.merged(scope) == {composed: "other"}
    with pytest.raises(Conflict, match="merged into another"):
        erase_user(stores, scope.tenant_id, decomposed, "test")


def test_what_a_backup_brings_back_is_found_by_the_check_and_gone_after_the_next_cleanup(
    shared: Stores, scope: Scope
) -> None:
    stores, old = shared, [event(USER, n, n) for n in range(3)]
    write_events(stores, scope, [event("other", 1, 1)])
    receipt = erase_user(stores, scope.tenant_id, USER, "test")
    assert receipt.clean
    stores.events.insert([(scope, each) for each in old])
    stores.history.add([(scope, each) for each in old])
    stores.documents.put(PROFILES, scope, {USER: {"user_id": USER, "last_event_at": "2023-11-14T22:13:20+00:00"}})
    found = check_erasure(stores, scope.tenant_id, receipt.receipt_id, USER)
    assert not found.clean
    assert {part.store: part.found for part in found.stores if part.found} == {
        "ClickHouse: events": 3,
        "Redis: history": 3,
        "documents: profile": 1,
    }
    done = clean(stores, scope, unattended())
    assert done.detail["erased_users"] == 1
    assert held(stores, scope, USER)[:2] == (0, 0)
    assert check_erasure(stores, scope.tenant_id, receipt.receipt_id, USER).clean
    assert stores.events.count(scope) == 1


@pytest.mark.parametrize(
    "change", ["erase", pytest.param("merge", marks=pytest.mark.long), pytest.param("delete", marks=pytest.mark.long)]
)
def test_what_changes_while_a_batch_is_being_written_is_done_again(
    shared: Stores, scope: Scope, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The batch was read before the change, and its events are written when the change has ended."""
    stores = shared
    changed: list[object] = []

    def late(consumer: Consumer, batch: object) -> None:
        if not changed:
            changed.append(batch)
            if change == "erase":
                erase_user(stores, scope.tenant_id, USER, "test")
            elif change == "merge":
                merge_users(stores, scope.tenant_id, USER, "customer")
            else:
                delete_scenario(stores, scope, "test")
        write(consumer, batch)  # type: ignore[arg-type]

    write = Consumer._write
    monkeypatch.setattr(Consumer, "_write", late)
    publish(stores, stores.settings.kafka_event_topic, [event_message(scope, event(USER, n, n)) for n in range(3)])
    consume(stores.settings, stores)
    assert changed
    assert held(stores, scope, USER) == (0, 0, 0)
    assert held(stores, scope, "customer") == ((3, 3, 3) if change == "merge" else (0, 0, 0))
    if change == "delete":
        assert not any(left_of(stores, scope).values())


@pytest.mark.long
def test_erasure_merge_and_deletion_on_kafka_and_mongodb(
    request: pytest.FixtureRequest, tmp_path: Path, scope: Scope, milvus_uri: str, mongo_url: str
) -> None:
    settings = consumer_settings(request, "kafka", tmp_path)
    own = {
        "milvus_uri": milvus_uri,
        "mongo_url": SecretStr(mongo_url),
        "mongo_database": f"lemo_{settings.installation}",
    }
    with connected(settings.model_copy(update=own), scope) as stores:
        old = [event(USER, n, n) for n in range(3)]
        taken(stores, scope, *old, event("other", 1, 1))
        profile(stores, scope, unattended())
        receipt = erase_user(stores, scope.tenant_id, USER, "test")
        parts = {part.store: part for part in receipt.stores}
        assert (receipt.clean, parts["documents: profile"].removed) == (True, 1)
        letters = parts["log: dead letters"]
        assert (letters.found, "by age" in letters.remains, letters.until is not None) == (None, True, True)
        taken(stores, scope, *old, event("guest", 1, 1))
        assert held(stores, scope, USER) == (0, 0, 0)
        merge_users(stores, scope.tenant_id, "guest", "other")
        taken(stores, scope, event("guest", 2, 5))
        assert held(stores, scope, "other") == (3, 2, 2)
        assert delete_scenario(stores, scope, "test")["ClickHouse: events"] >= 3
        assert not any(left_of(stores, scope).values())


@pytest.mark.parametrize(
    ("job", "read"), [(profile, "histories"), (precompute, "active_users"), (compute_similarity, "taken_in")]
)
def test_a_job_that_had_read_the_user_before_brings_nothing_back(
    shared: Stores, scope: Scope, monkeypatch: pytest.MonkeyPatch, job: Callable[..., object], read: str
) -> None:
    stores = shared
    write_events(stores, scope, [event(user, n, n) for user in (USER, "other") for n in range(3)])
    publish_model(stores, scope, "1", model_of())
    receipts = []
    reading = getattr(stores.events, read)

    def read_then_erase(*args: object, **more: object) -> object:
        found = reading(*args, **more)
        receipts.append(erase_user(stores, scope.tenant_id, USER, "test"))
        return found

    monkeypatch.setattr(stores.events, read, read_then_erase)
    job(stores, scope, unattended())
    (receipt,) = receipts
    assert receipt.clean
    assert check_erasure(stores, scope.tenant_id, receipt.receipt_id, USER).clean
    assert keys_with_needle(stores) == []


def test_erasure_takes_guests_along_and_refuses_a_merged_user(shared: Stores, scope: Scope) -> None:
    stores = shared
    taken(stores, scope, event("guest", 1, 1), event("customer", 2, 2))
    merge_users(stores, scope.tenant_id, "guest", "customer")
    with pytest.raises(Conflict, match="was merged"):
        erase_user(stores, scope.tenant_id, "guest", "test")
    receipt = erase_user(stores, scope.tenant_id, "customer", "test")
    assert receipt.clean
    taken(stores, scope, event("guest", 1, 1), event("customer", 2, 2), event("guest", 3, 3))
    assert stores.events.count(scope) == 0
    assert stores.user_changes.merged(scope) == {}
