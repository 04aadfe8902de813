"""What every document store does, over each of them."""

import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient

from lemo.domain.errors import InvalidInput
from lemo.domain.scope import SYSTEM, Scope
from lemo.stores.documents import ITEMS, KEYS, RUNS, SCENARIOS, Body, Documents, Kind
from lemo.stores.documents.bodies import moment_text
from lemo.stores.documents.catalogue import Items
from lemo.stores.documents.mongo import MongoDocuments
from lemo.stores.documents.sqlite import SqliteDocuments

ODD_IDS = [
    "a/b",
    "a b",
    "o'clock",
    '"quoted"',
    "物品/一",
    "%_*",
    "$where",
    "a.b",
    "1:a/1:b/c",
    "\x01\x1f\x7f",
    "物" * 256,
]
ids = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=256)
values: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ids,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ids, inner, max_size=3),
    max_leaves=6,
)
few = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module", params=["sqlite", "mongo"])
def open_documents(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Documents]]:
    """Opens one and the same store as often as it is called."""
    opened: list[Documents] = []
    name = f"lemo_test_{uuid.uuid4().hex[:12]}"

    def kept(documents: Documents) -> Documents:
        opened.append(documents)
        return documents

    if request.param == "sqlite":
        file: Path = tmp_path_factory.mktemp("documents") / "documents.sqlite"
        yield lambda: kept(SqliteDocuments(file))
    else:
        url: str = request.getfixturevalue("mongo_url")
        yield lambda: kept(MongoDocuments(url, name))
        client: MongoClient[Body] = MongoClient(url)
        client.drop_database(name)
        client.close()
    for documents in opened:
        documents.close()


@pytest.fixture(scope="module")
def documents(open_documents: Callable[[], Documents]) -> Documents:
    return open_documents()


def test_what_was_put_comes_back(documents: Documents, scope: Scope) -> None:
    bodies: dict[str, Body] = {
        id: {
            "title": f"标题 {id}",
            "attributes": {"price.usd": 1.5, "$ref": [1, [2, None]], "": {"": -0.0}, "n": 10**30},
        }
        for id in ODD_IDS
    }
    documents.put(ITEMS, scope, bodies)
    assert documents.get_many(ITEMS, scope, [*ODD_IDS, "missing"]) == bodies
    assert documents.get(ITEMS, scope, "a/b") == bodies["a/b"]
    assert documents.get(ITEMS, scope, "missing") is None
    assert documents.get_many(ITEMS, scope, []) == {}
    assert dict(documents.scan(ITEMS, scope)) == bodies


@few
@given(st.dictionaries(ids, st.dictionaries(ids, values, max_size=3), min_size=1, max_size=3))
def test_any_id_and_any_json_comes_back(documents: Documents, bodies: dict[str, Body]) -> None:
    scope = Scope(f"any-{uuid.uuid4().hex}", "s")
    documents.put(SCENARIOS, scope, bodies)
    assert documents.get_many(SCENARIOS, scope, list(bodies)) == bodies
    assert [id for id, _ in documents.scan(SCENARIOS, scope)] == sorted(bodies, key=str.encode)
    assert documents.delete(SCENARIOS, scope, list(bodies)) == len(bodies)


def test_put_replaces_the_whole_body(documents: Documents, scope: Scope) -> None:
    documents.put(ITEMS, scope, {"a": {"title": "old", "url": "u"}})
    documents.put(ITEMS, scope, {"a": {"title": "new"}})
    assert documents.get(ITEMS, scope, "a") == {"title": "new"}
    assert documents.count(ITEMS, scope) == 1


def test_scopes_are_told_once_each(documents: Documents, scope: Scope) -> None:
    other = Scope(scope.tenant_id, f"{scope.scenario_id} 2")
    documents.put(ITEMS, scope, {"a": {}, "b": {}})
    documents.put(ITEMS, other, {"a": {}})
    found = [each for each in documents.scopes(ITEMS) if each.tenant_id == scope.tenant_id]
    assert sorted(found, key=str) == sorted([scope, other], key=str)


def test_put_new_keeps_the_first(documents: Documents, scope: Scope) -> None:
    assert documents.put_new(SCENARIOS, scope, "a", {"n": 1}) is True
    assert documents.put_new(SCENARIOS, scope, "a", {"n": 2}) is False
    assert documents.get(SCENARIOS, scope, "a") == {"n": 1}


def test_put_newer_never_goes_back(documents: Documents, scope: Scope) -> None:
    first = {"a": {"v": "a5"}, "b": {"v": "b5"}, "c": {"v": "c5"}}
    assert documents.put_newer(ITEMS, scope, first, {"a": 5, "b": 5, "c": 5}) == {"a", "b", "c"}
    second = {"a": {"v": "a4"}, "b": {"v": "b5 again"}, "c": {"v": "c6"}, "d": {"v": "d1"}}
    assert documents.put_newer(ITEMS, scope, second, {"a": 4, "b": 5, "c": 6, "d": 1}) == {"b", "c", "d"}
    assert documents.get_many(ITEMS, scope, ["a", "b", "c", "d"]) == {
        "a": {"v": "a5"},
        "b": {"v": "b5 again"},
        "c": {"v": "c6"},
        "d": {"v": "d1"},
    }
    assert documents.put_newer(ITEMS, scope, {}, {}) == set()
    assert documents.get_versioned(ITEMS, scope, ["b", "d", "e"]) == {
        "b": (5, {"v": "b5 again"}),
        "d": (1, {"v": "d1"}),
    }


def test_put_keeps_the_version(documents: Documents, scope: Scope) -> None:
    big = 1_800_000_000_000
    documents.put_newer(ITEMS, scope, {"a": {"v": "newest"}}, {"a": big})
    documents.put(ITEMS, scope, {"a": {"v": "edited"}})
    assert documents.put_newer(ITEMS, scope, {"a": {"v": "late"}}, {"a": big - 1}) == set()
    assert documents.get(ITEMS, scope, "a") == {"v": "edited"}


def test_a_replay_in_any_order_ends_in_the_same_state(documents: Documents, scope: Scope) -> None:
    """More documents than any batch of updates; the second pass is old news."""
    new = {f"item {n}": {"v": "new"} for n in range(130)}
    old = {id: {"v": "old"} for id in new}
    assert documents.put_newer(ITEMS, scope, old, dict.fromkeys(old, 1)) == set(old)
    assert documents.put_newer(ITEMS, scope, new, dict.fromkeys(new, 2)) == set(new)
    assert documents.put_newer(ITEMS, scope, old, dict.fromkeys(old, 1)) == set()
    assert dict(documents.scan(ITEMS, scope)) == new


def test_concurrent_writers_leave_the_newest(open_documents: Callable[[], Documents], scope: Scope) -> None:
    """Several connections race for the same new documents; the newest version must win, whoever comes last."""
    names = [f"item {n}" for n in range(8)]
    versions = list(range(12))
    failures: list[BaseException] = []
    start = threading.Barrier(4)

    def write(documents: Documents, mine: list[int]) -> None:
        try:
            start.wait(timeout=30)
            for version in mine:
                documents.put_newer(
                    ITEMS, scope, {name: {"version": version} for name in names}, dict.fromkeys(names, version)
                )
        except BaseException as error:
            failures.append(error)
            raise

    stores = [open_documents(), open_documents()]
    orders = [versions, versions[::-1], versions[::2], [11, 3, 7, 0]]
    threads = [threading.Thread(target=write, args=(stores[n % 2], orders[n])) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert failures == []
    assert stores[0].get_many(ITEMS, scope, names) == {name: {"version": 11} for name in names}


def test_only_one_of_many_makes_a_new_document(open_documents: Callable[[], Documents], scope: Scope) -> None:
    made: list[int] = []
    start = threading.Barrier(4)
    documents = open_documents()

    def make(number: int) -> None:
        start.wait(timeout=30)
        if documents.put_new(SCENARIOS, scope, "one", {"by": number}):
            made.append(number)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(made) == 1
    assert documents.get(SCENARIOS, scope, "one") == {"by": made[0]}


def test_tenants_and_scenarios_do_not_see_each_other(documents: Documents) -> None:
    """Names that run into each other when glued together carelessly."""
    unique = uuid.uuid4().hex[:8]
    scopes = [
        Scope(unique, "a"),
        Scope(f"{unique}a", ""),
        Scope(unique, ""),
        Scope(f"{unique}/a", ""),
        Scope(unique, "a/x"),
        Scope(f"{unique}x", "a"),
    ]
    for number, scope in enumerate(scopes):
        documents.put_newer(ITEMS, scope, {"x": {"n": number}, "a/x": {"n": -number}}, {"x": number, "a/x": 1})
    for number, scope in enumerate(scopes):
        assert dict(documents.scan(ITEMS, scope)) == {"x": {"n": number}, "a/x": {"n": -number}}
        assert documents.count(ITEMS, scope) == 2
        assert len(documents.find(ITEMS, scope)) == 2
    assert documents.delete(ITEMS, scopes[0], ["x", "a/x"]) == 2
    assert documents.get(ITEMS, scopes[0], "x") is None
    assert all(documents.count(ITEMS, scope) == 2 for scope in scopes[1:])


def test_kinds_are_apart(documents: Documents, scope: Scope) -> None:
    documents.put(ITEMS, scope, {"a": {"kind": "item"}})
    documents.put(SCENARIOS, scope, {"a": {"kind": "scenario"}})
    assert documents.get(ITEMS, scope, "a") == {"kind": "item"}
    assert documents.get(SCENARIOS, scope, "a") == {"kind": "scenario"}


def test_the_installation_has_a_scope_of_its_own(documents: Documents) -> None:
    key = uuid.uuid4().hex
    documents.put(KEYS, SYSTEM, {key: {"tenant_id": key}})
    assert documents.find(KEYS, SYSTEM, {"tenant_id": key}) == [(key, {"tenant_id": key})]
    documents.delete(KEYS, SYSTEM, [key])


def test_find_filters_orders_and_pages(documents: Documents, scope: Scope) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    runs: dict[str, Body] = {
        f"run {n}": {
            "entry": "train" if n % 2 else "clean",
            "scenario_id": "s",
            "outcome": "ok",
            # every third second shared, to see that the id decides between equals
            "queued_at": moment_text(start + timedelta(microseconds=n // 3)),
        }
        for n in range(10)
    }
    documents.put(RUNS, scope, runs)
    newest = documents.find(RUNS, scope, order="-queued_at", limit=4)
    assert [id for id, _ in newest] == ["run 9", "run 6", "run 7", "run 8"]
    assert [id for id, _ in documents.find(RUNS, scope, order="queued_at", limit=3)] == ["run 0", "run 1", "run 2"]
    page = documents.find(RUNS, scope, {"entry": "train", "outcome": "ok"}, order="queued_at", limit=2, offset=1)
    assert page == [("run 3", runs["run 3"]), ("run 5", runs["run 5"])]
    assert [id for id, _ in documents.find(RUNS, scope, limit=2)] == ["run 0", "run 1"]
    assert documents.find(RUNS, scope, limit=0) == []
    assert documents.find(RUNS, scope, {"entry": "' OR 1=1 --"}) == []
    assert documents.count(RUNS, scope, {"entry": "train"}) == 5


def test_fields_are_those_of_every_document(
    documents: Documents, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lemo.stores.documents.sqlite.FIELDS_BATCH", 3)
    monkeypatch.setattr("lemo.stores.documents.mongo.FIELDS_BATCH", 3)
    moment = moment_text(datetime(2026, 1, 1, tzinfo=UTC))
    bodies: dict[str, Body] = {id: {"is_active": True, "published_at": moment, "other": 1} for id in ODD_IDS}
    bodies["off"] = {"is_active": False, "deleted": True, "expires_at": None}
    documents.put_newer(ITEMS, scope, bodies, {id: at for at, id in enumerate(bodies)})
    documents.put(ITEMS, Scope(scope.tenant_id, "another"), {"foreign": {"is_active": True}})
    found = {id: (version, fields) for id, version, fields in documents.fields(ITEMS, scope)}
    assert found == {id: (at, (True, None, moment, None)) for at, id in enumerate(ODD_IDS)} | {
        "off": (len(ODD_IDS), (False, True, None, None))
    }


def test_find_by_null_true_and_false(documents: Documents, scope: Scope) -> None:
    documents.put(
        ITEMS,
        scope,
        {
            "none": {"is_active": None, "deleted": False},
            "missing": {"deleted": False},
            "true": {"is_active": True, "deleted": False},
            "gone": {"is_active": True, "deleted": True},
        },
    )
    assert [id for id, _ in documents.find(ITEMS, scope, {"is_active": None})] == ["missing", "none"]
    assert [id for id, _ in documents.find(ITEMS, scope, {"is_active": True, "deleted": False})] == ["true"]
    assert documents.count(ITEMS, scope, {"is_active": True}) == 2
    assert len(documents.ids(ITEMS, scope, {"is_active": True})) == 2
    assert documents.ids(ITEMS, scope, {"is_active": False}) == []
    assert documents.count(ITEMS, scope, {"is_active": False}) == 0


def test_only_listed_kinds_and_fields(documents: Documents, scope: Scope) -> None:
    with pytest.raises(LookupError, match="has no field 'title'"):
        documents.find(ITEMS, scope, {"title": "x"})
    with pytest.raises(LookupError, match="has no field"):
        documents.find(ITEMS, scope, order="-id; DROP TABLE items")
    with pytest.raises(LookupError, match="unknown kind"):
        documents.count(Kind("items; --"), scope)


def test_delete_counts_what_was_there(documents: Documents, scope: Scope) -> None:
    documents.put(ITEMS, scope, {"a": {}, "b": {}, "c": {}})
    assert documents.delete(ITEMS, scope, ["a", "b", "missing"]) == 2
    assert documents.delete(ITEMS, scope, []) == 0
    assert [id for id, _ in documents.scan(ITEMS, scope)] == ["c"]


def test_a_scrub_leaves_what_was_not_deleted(documents: Documents, scope: Scope) -> None:
    documents.put(SCENARIOS, scope, {"kept": {"a": 1}, "gone": {"a": 2}})
    documents.delete(SCENARIOS, scope, ["gone"])
    remains = documents.scrub()
    assert ("MongoDB" in remains) == isinstance(documents, MongoDocuments)
    assert documents.ids(SCENARIOS, scope, {}) == ["kept"]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), "\ud800", {1}], ids=["nan", "inf", "surrogate", "set"])
def test_what_is_no_json_is_refused_and_nothing_is_written(documents: Documents, scope: Scope, bad: object) -> None:
    with pytest.raises(InvalidInput, match="cannot be stored"):
        documents.put_newer(ITEMS, scope, {"good": {}, "bad": {"x": bad}}, {"good": 1, "bad": 1})
    assert documents.count(ITEMS, scope) == 0


def test_an_id_that_is_no_unicode(documents: Documents, scope: Scope) -> None:
    with pytest.raises(InvalidInput):
        documents.get(ITEMS, scope, "\ud800")
    with pytest.raises(InvalidInput):
        documents.put(ITEMS, scope, {"\ud800": {}})


def test_another_connection_sees_what_was_written(open_documents: Callable[[], Documents], scope: Scope) -> None:
    first, second = open_documents(), open_documents()
    first.put(ITEMS, scope, {"a": {"n": 1}})
    assert second.get(ITEMS, scope, "a") == {"n": 1}
    first.close()
    assert first.get(ITEMS, scope, "a") == {"n": 1}, "a closed store opens again"


def test_ping_names_the_engine(documents: Documents) -> None:
    assert documents.ping().split()[0] in ("SQLite", "MongoDB")


def test_items_that_were_stored_under_another_form_of_their_id_move_to_the_one_form(
    documents: Documents, scope: Scope
) -> None:
    items = Items(documents)
    old, both = "cafe\u0301", "Jose\u0301"
    for id, version in ((old, 1), (both, 1), ("josé-newer", 1)):
        documents.put_newer(ITEMS, scope, {id: {"item_id": id, "title": f"old {id}"}}, {id: version})
    documents.put_newer(ITEMS, scope, {"José": {"item_id": "José", "title": "newer"}}, {"José": 2})
    assert items.rename(scope) == {old: "café", both: "José"}
    assert {item.item_id: item.title for item in items.scan(scope)} == {
        "café": f"old {old}",
        "José": "newer",
        "josé-newer": "old josé-newer",
    }
    assert documents.get_versioned(ITEMS, scope, ["café"])["café"][0] == 1
    assert items.rename(scope) == {}
