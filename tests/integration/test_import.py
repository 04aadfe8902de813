"""`lemo import`, `scenarios` and `stats` against a real log, consumer and stores."""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import polars
import pytest
import typer
from confluent_kafka import Producer
from typer.testing import CliRunner, Result

from lemo.cli import imports, jobs, mappings, runs, scenarios
from lemo.cli.recommend import recommend
from lemo.cli.stats import stats
from lemo.domain.errors import Conflict, InvalidInput, NotFound, WrongCredential
from lemo.domain.scope import Scope
from lemo.ingest.service import Consumer
from lemo.settings import Settings
from lemo.stores.bootstrap import ensure_admin
from lemo.stores.connect import Stores
from servers import new_database

app = typer.Typer()
app.add_typer(imports.app, name="import")
app.add_typer(scenarios.app, name="scenarios")
app.add_typer(runs.app, name="runs")
app.add_typer(jobs.app, name="jobs")
app.add_typer(mappings.app, name="mappings")
app.command("stats")(stats)
app.command("recommend")(recommend)


def lemo(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def told(*arguments: object, exit_code: int = 0) -> Any:
    result = lemo(*arguments, "--format", "json")
    assert result.exit_code == exit_code, result.output
    # The consumer's thread logs to the same standard output as the command in this process.
    return json.loads(next(line for line in result.stdout.splitlines() if line.startswith(("{", "["))))


@pytest.fixture(params=["redis", "kafka"])
def settings(
    request: pytest.FixtureRequest, clickhouse_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """An installation of its own on shared engines, named by the environment as on a real machine."""
    mine = uuid.uuid4().hex[:12]
    for name, value in {
        "HOME": tmp_path / "home",
        "REDIS_URL": request.getfixturevalue("valkey_url"),
        "CLICKHOUSE_URL": clickhouse_url,
        "CLICKHOUSE_DATABASE": new_database("import"),
        "KAFKA_BOOTSTRAP_SERVERS": request.getfixturevalue("kafka_servers") if request.param == "kafka" else "",
        "KAFKA_ITEM_INGEST_TOPICS": f"items-{mine},vlog-items,news-items",
        "KAFKA_EVENT_TOPIC": f"events-{mine}",
        "KAFKA_DEAD_LETTER_TOPIC": f"dead-{mine}",
        "KAFKA_ITEM_RESULTS_TOPIC": f"results-{mine}",
        "KAFKA_GROUP": f"group-{mine}",
    }.items():
        monkeypatch.setenv(f"LEMO_{name}", str(value))
    settings = Settings()
    ensure_admin(settings)
    yield settings
    stores = Stores(settings)
    for topic in (f"items-{mine}", f"events-{mine}", f"dead-{mine}"):
        stores.redis.delete(f"lemo:log:{topic}")
    stores.close()


@contextmanager
def consumer(settings: Settings) -> Iterator[None]:
    """A consumer in a thread of the test."""
    stop, stores = threading.Event(), Stores(settings)
    asked: list[Scope] = []
    thread = threading.Thread(target=Consumer(stores, "a", asked.append, stop).run, name="consumer")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        stores.close()
        assert not thread.is_alive()


FORMS = ["csv", *(pytest.param(form, marks=pytest.mark.long) for form in ("jsonl", "parquet"))]
"""Forms of files whose reading has tests of its own."""
redis_alone = pytest.mark.parametrize("settings", ["redis"], indirect=True)

ITEMS = "item_id,title,tags\n" + "".join(f"i{n},标题 {n},a|b\n" for n in range(500)) + ",no id,\n"
EVENTS = "user_id,item_id,action,timestamp,value\n" + "".join(
    f"u{n % 40},i{n % 500},order,{1_700_000_000 + n},\n" for n in range(3_000)
)
BAD_EVENTS = "u,i1,dance,1700000000,\nu,i1,order,soon,\nu,i1,order,1700000000,nan\n"


def test_files_become_data(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text(ITEMS)
    (tmp_path / "events.csv").write_text(EVENTS + BAD_EVENTS)
    lemo("scenarios", "create", "shop", "--template", "ecommerce")
    with consumer(settings):
        items = told("import", "items", "items.csv", "--scenario", "shop")
        events = told("import", "events", "events.csv", "--scenario", "shop")
        first = told("stats", "--scenario", "shop")
        again = told("import", "events", tmp_path / "events.csv", "--scenario", "shop")
        second = told("stats", "-s", "shop")
    assert (items["read"], items["published"], items["rejected"], items["taken"]) == (501, 500, 1, True)
    assert items["reasons"] == [{"file": "items.csv", "line": 502, "reason": "item_id: is missing"}]
    assert items["files"][0]["rejects_file"] == "items.csv.rejects.jsonl"
    assert (events["read"], events["published"], events["rejected"]) == (3_003, 3_000, 3)
    assert [reason["line"] for reason in events["reasons"]] == [3_002, 3_003, 3_004]
    assert "action: 'dance' is not an action of this scenario; it knows impression" in events["reasons"][0]["reason"]
    assert (first["items"], first["users"], first["events"], first["dead_letters"]) == (500, 40, 3_000, 0)
    assert first["newest_event_at"] == "2023-11-14T23:03:19+00:00"
    assert again["published"] == 3_000
    assert second == first
    assert [(each["known_before"], each["new_users"]) for each in (items, events, again)] == [
        (0, 0),
        (0, 40),
        (3_000, 0),
    ]
    with_rejects = (tmp_path / "events.csv.rejects.jsonl").read_text().splitlines()
    assert [json.loads(line)["line"] for line in with_rejects] == [3_002, 3_003, 3_004]


@pytest.mark.parametrize("settings", ["kafka"], indirect=True)
def test_an_import_does_not_wait_for_what_a_transaction_took_back(
    settings: Settings, tmp_path: Path, kafka_servers: str
) -> None:
    # One user's events stand in one partition; in the others nothing comes behind the marks.
    (tmp_path / "events.csv").write_text("user_id,item_id,action,timestamp\nu,i,order,1700000000\n")
    lemo("scenarios", "create", "shop", "--template", "ecommerce")
    with closing(Stores(settings)) as stores:
        stores.log.create_topics([settings.kafka_event_topic])
    producer = Producer({"bootstrap.servers": kafka_servers, "transactional.id": settings.kafka_event_topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    for number in range(40):
        producer.produce(settings.kafka_event_topic, b"taken back", str(number).encode())
    producer.flush(30)
    producer.abort_transaction(30)
    with consumer(settings):
        assert told("import", "events", "events.csv", "--scenario", "shop")["taken"] is True


@redis_alone
def test_without_waiting_the_log_keeps_it(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(EVENTS)
    (tmp_path / "b.jsonl").write_text('{"user_id": "u", "item_id": "i", "action": "order", "timestamp": 1e9}\n{}\n')
    lemo("scenarios", "create", "shop", "--template", "ecommerce")
    summary = told("import", "events", "a.csv", "b.jsonl", "-s", "shop", "--no-wait")
    assert (summary["published"], summary["rejected"], summary["taken"]) == (3_001, 1, None)
    assert [one["published"] for one in summary["files"]] == [3_000, 1]
    stores = Stores(settings)
    assert stores.log.lag([settings.kafka_event_topic], settings.kafka_group) == {settings.kafka_event_topic: 3_001}
    stores.close()


@redis_alone
def test_without_a_consumer_nobody_waits_for_one(settings: Settings, tmp_path: Path) -> None:
    started = time.monotonic()
    (tmp_path / "events.csv").write_text(EVENTS)
    lemo("scenarios", "create", "shop", "--template", "ecommerce")
    result = lemo("import", "events", "events.csv", "-s", "shop", "--format", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["taken"] is False
    assert "3,000 messages wait" in result.stderr
    assert "lemo up --detach" in result.stderr
    assert time.monotonic() - started < 30, "it once waited for a minute"


@redis_alone
def test_nothing_good_is_a_failure(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item_id,title\n,x\n")
    lemo("scenarios", "create", "shop", "--template", "ecommerce")
    assert told("import", "items", "items.csv", "-s", "shop", exit_code=1)["rejected"] == 1
    table = lemo("import", "items", "items.csv", "-s", "shop")
    assert table.exit_code == 1
    assert "item_id: is missing" in table.stdout
    (tmp_path / "names.csv").write_text("item_id,title\n")
    assert "no rows" in told("import", "items", "names.csv", "-s", "shop", exit_code=1)["problems"][0]


@redis_alone
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["items", "events"])
def test_an_import_of_which_most_rows_are_rejected_fails_and_says_so(
    settings: Settings, tmp_path: Path, form: str, kind: str
) -> None:
    good: dict[str, Any] = {"user_id": "u", "item_id": "i", "action": "order", "timestamp": 1_700_000_000}
    bad = good | {"action": "dance"} if kind == "events" else good | {"item_id": ""}
    written(tmp_path / f"mostly.{form}", [good] * 2 + [bad] * 3)
    written(tmp_path / f"half.{form}", [good] * 3 + [bad] * 3)
    lemo("scenarios", "create", "shop", "--template", "ecommerce")
    told("import", kind, f"half.{form}", "-s", "shop", "--no-wait")
    result = lemo("import", kind, f"half.{form}", f"mostly.{form}", "-s", "shop", "--no-wait")
    assert result.exit_code == 1
    assert f"Most rows of mostly.{form} were rejected: 3 of 5." in " ".join(result.stderr.split())


@redis_alone
@pytest.mark.parametrize("form", FORMS)
def test_numbers_that_several_events_share_are_refused_as_event_ids_before_anything_is_sent(
    settings: Settings, tmp_path: Path, form: str
) -> None:
    rows = [
        {
            "user_id": f"u{n % 10}",
            "item_id": f"i{n}",
            "action": "order",
            "timestamp": 1.7e9,
            "event_id": f"order-{n % 10}",
        }
        for n in range(30)
    ]
    written(tmp_path / f"orders.{form}", rows)
    lemo("scenarios", "create", "shop", "--template", "ecommerce")
    with pytest.raises(InvalidInput, match=r"20 of the first 30 rows .*'order-0'") as caught:
        lemo("import", "events", f"orders.{form}", "-s", "shop")
    assert "--leave-out event_id" in caught.value.hint
    with closing(Stores(settings)) as stores:
        assert stores.log.read_all(settings.kafka_event_topic, 10) == []
    with consumer(settings):
        for _ in range(2):
            taken = told("import", "events", f"orders.{form}", "-s", "shop", "--leave-out", "event_id")
            assert (taken["published"], taken["repeated"], taken["rejected"]) == (30, 0, 0)
            assert told("stats", "-s", "shop")["events"] == 30
    with pytest.raises(InvalidInput, match="no column 'evnt_id'"):
        lemo("import", "events", f"orders.{form}", "-s", "shop", "--leave-out", "evnt_id")
    with pytest.raises(InvalidInput, match="user_id cannot be left out"):
        lemo("import", "events", f"orders.{form}", "-s", "shop", "--leave-out", "user_id")


@redis_alone
def test_rows_that_count_once_are_told_and_an_id_of_another_event_is_a_bad_row(
    settings: Settings, tmp_path: Path
) -> None:
    head = "user_id,item_id,action,timestamp,event_id\n"
    first = head + "".join(f"u,i{n},order,1700000000,{n}\n" for n in range(40))
    (tmp_path / "a.csv").write_text(first + "u,i1,order,1700000000,1\nu,i1,order,1700000000,2\n")
    (tmp_path / "b.csv").write_text(
        head + "u,i3,order,1700000000,3\nv,i3,order,1700000000,4\n" + "w,i,order,1700000000,\n" * 3
    )
    lemo("scenarios", "create", "shop", "--template", "ecommerce")
    with consumer(settings):
        taken = told("import", "events", "a.csv", "b.csv", "-s", "shop")
        stats = told("stats", "-s", "shop")
    assert (taken["read"], taken["published"], taken["repeated"], taken["rejected"]) == (47, 45, 4, 2)
    assert [each["repeated"] for each in taken["files"]] == [1, 3]
    assert [(each["file"], each["line"]) for each in taken["reasons"]] == [("a.csv", 43), ("b.csv", 3)]
    assert "event_id: '2' is that of an earlier event with other contents" in taken["reasons"][0]["reason"]
    assert stats["events"] == taken["published"] - taken["repeated"] == 41
    table = lemo("import", "events", "a.csv", "-s", "shop", "--no-wait")
    assert "Of these rows 1 repeat" in " ".join(table.stderr.split())


def written(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes rows in the form that the name says."""
    frame = polars.DataFrame(rows)
    getattr(frame, {".csv": "write_csv", ".jsonl": "write_ndjson", ".parquet": "write_parquet"}[path.suffix])(path)


RATINGS = "userId,movieId,rating,timestamp\n" + "".join(f"{n % 9},{n},4.5,{1_700_000_000 + n}\n" for n in range(60))


@redis_alone
def test_files_as_people_have_them(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text(RATINGS + "1,2,4,2500000000\n1,2,4,soon\n1,NaN,4,1400000000\n")
    lemo("scenarios", "create", "shop", "--template", "ecommerce")
    dry = lemo("import", "events", "ratings.csv", "-s", "shop", "--dry-run")
    assert dry.exit_code == 0
    assert "column userId" in dry.stdout
    assert "always rate" in dry.stdout
    (preview,) = told("import", "events", "ratings.csv", "-s", "shop", "--dry-run")
    assert preview["rows"][0]["user_id"] == "0"
    assert {(each["field"], each["from"], each["how"]) for each in preview["columns"]} == {
        ("user_id", "column userId", "guessed"),
        ("item_id", "column movieId", "guessed"),
        ("value", "column rating", "guessed"),
        ("timestamp", "column timestamp", "named so"),
        ("action", "always rate", "guessed"),
    }
    assert sorted(preview["rejected"].values()) == [1, 1]
    with closing(Stores(settings)) as stores:
        stores.log.create_topics([settings.kafka_event_topic])
        assert stores.log.read_all(settings.kafka_event_topic, 10) == []
    assert [path.name for path in tmp_path.glob("*.rejects.jsonl")] == []
    (tmp_path / "events.csv").write_text("who;what;when\nu; i ;31.12.2019 23:59\nu;j;01.02.2019 08:00\n")
    columns = ("--map", "user_id=who", "--map", "item_id=what", "--map", "timestamp=when")
    with consumer(settings):
        taken = told("import", "events", "ratings.csv", "-s", "shop")
        mapped = told("import", "events", "events.csv", "-s", "shop", *columns, "--action", "view")
        stats = told("stats", "-s", "shop")
    assert (taken["published"], taken["rejected"], taken["actions"]) == (61, 2, {"rate": 61})
    assert sorted(taken["rejected_by_reason"].values()) == [1, 1]
    assert taken["outliers"] == ["1 event is 10 years before the rest (2014-05-13)."]
    assert taken["null_ids"] == {"NaN": 1}
    assert (mapped["published"], mapped["last_event_at"]) == (2, "2019-12-31T23:59:00+00:00")
    assert stats["events"] == 63
    table = lemo("import", "events", "ratings.csv", "-s", "shop", "--no-wait")
    said = " ".join(table.stderr.split())
    assert "user_id = userId" in said
    assert "action = always rate" in said
    assert "1 rows have the id 'NaN'" in said


@redis_alone
def test_a_scenario_from_files(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("product_id,name,price\n1,x,9.5\n")
    (tmp_path / "events.csv").write_text("user,product_id,event,ts\nu,1,addtocart,1700000000\nu,1,wish,1700000000\n")
    result = lemo("scenarios", "create", "shop", "--from", "items.csv", "events.csv")
    assert result.exit_code == 0
    assert "wish is a new action" in result.stderr
    (created,) = told("scenarios", "list")
    assert (created["template"], created["attribute_types"]) == ("ecommerce", {"price": "number"})
    assert created["actions"]["wish"]["weight"] == 1
    taken = told("import", "events", "events.csv", "-s", "shop", "--no-wait")
    assert (taken["published"], taken["actions"]) == (2, {"cart": 1, "wish": 1})
    assert lemo("scenarios", "create", "other").exit_code == 2


@redis_alone
def test_options_that_say_nothing_are_told(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user_id,item_id,action,timestamp\nu,i,view,01/02/2019\n")
    lemo("scenarios", "create", "shop", "--template", "ecommerce")
    for arguments, said in (
        (("--map", "user_id"), "maps nothing"),
        (("--date-order", "ymd"), "no order of day and month"),
        (("--encoding", "klingon"), "no encoding"),
        ((), "day and month, or month and day"),
    ):
        with pytest.raises(InvalidInput, match=said):
            lemo("import", "events", "events.csv", "-s", "shop", *arguments)
    for order, month in (("dmy", 2), ("mdy", 1)):
        (preview,) = told("import", "events", "events.csv", "-s", "shop", "--dry-run", "--date-order", order)
        assert preview["rows"][0]["timestamp"].startswith(f"2019-{month:02}-")


@redis_alone
def test_a_command_that_finds_nothing_to_work_on_fails_and_says_so(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no scenario to run it for"):
        lemo("jobs", "run", "train-model-daily")
    lemo("scenarios", "create", "shop", "--template", "ecommerce")
    with closing(Stores(settings)) as stores:
        stores.events.migrate()
    with pytest.raises(NotFound, match="No user of scenario shop"):
        lemo("recommend", "--scenario", "shop", "--all", "--out", "all.jsonl")
    assert not (tmp_path / "all.jsonl").exists()


@redis_alone
def test_a_file_that_is_none_is_told_before_anything_is_sent(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text("item_id\na\n")
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\r\n")
    lemo("scenarios", "create", "shop", "--template", "ecommerce")
    with pytest.raises(InvalidInput, match="a PNG picture"):
        lemo("import", "items", "good.csv", "picture.csv", "-s", "shop")
    stores = Stores(settings)
    assert stores.log.read_all(settings.kafka_item_ingest_topics[0], 10) == []
    stores.close()


@redis_alone
def test_scenarios_and_who_may(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told("scenarios", "list") == []
    created = told("scenarios", "create", "shop", "--template", "ecommerce")
    assert created["actions"]["order"]["weight"] == 5.0
    assert [scenario["scenario_id"] for scenario in told("scenarios", "list")] == ["shop"]
    assert "shop" in lemo("scenarios", "list").stdout
    with pytest.raises(Conflict):
        lemo("scenarios", "create", "shop", "--template", "news")
    with pytest.raises(InvalidInput, match="cannot name a scenario"):
        lemo("scenarios", "create", "My Shop", "--template", "news")
    assert lemo("scenarios", "create", "x", "--template", "shoes").exit_code == 2
    with pytest.raises(NotFound, match="nowhere"):
        lemo("stats", "--scenario", "nowhere")
    with pytest.raises(NotFound, match="nowhere"):
        lemo("runs", "list", "--scenario", "nowhere")
    assert told("runs", "list", "--scenario", "shop") == []
    monkeypatch.setenv("LEMO_KEY", "lemo_wrong")
    with pytest.raises(WrongCredential):
        lemo("scenarios", "list")


@redis_alone
def test_a_mapping_is_kept_in_the_scenario_and_used_again(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("kunde,ware,art,date\nu,i,4,13.2.2019\n")
    (tmp_path / "b.csv").write_text("kunde,ware,art,date\nu,j,1,1.2.2019\n")
    lemo("scenarios", "create", "shop", "--template", "ecommerce")
    columns = ("--map", "user_id=kunde", "--map", "item_id=ware", "--map", "action=art")
    words = ("--word", "4=purchase", "--word", "1=view")
    first = lemo("import", "events", "a.csv", "-s", "shop", "--no-wait", *columns, *words, "--mapping", "till")
    assert first.exit_code == 0, first.output
    assert "Kept the mapping till" in " ".join(first.stderr.split())
    # Of 1.2.2019 alone nobody could tell the month: it is kept that the day comes first.
    (row,) = told("import", "events", "b.csv", "-s", "shop", "--mapping", "till", "--dry-run")[0]["rows"]
    assert (row["user_id"], row["item_id"], row["action"]) == ("u", "j", "view")
    assert row["timestamp"] == "2019-02-01T00:00:00Z"
    assert told("import", "events", "b.csv", "-s", "shop", "--no-wait", "--mapping", "till")["published"] == 1
    assert [each["mapping"] for each in told("mappings", "list", "-s", "shop")] == ["till"]
    assert told("mappings", "show", "till", "-s", "shop")["words"] == {"1": "view", "4": "purchase"}
    with pytest.raises(InvalidInput, match="is one of events"):
        lemo("import", "items", "b.csv", "-s", "shop", "--mapping", "till")
    with pytest.raises(InvalidInput, match="is not an action of this scenario"):
        lemo("import", "events", "a.csv", "-s", "shop", *columns, "--word", "4=buys")
    assert lemo("mappings", "remove", "till", "-s", "shop").exit_code == 0
    assert told("mappings", "list", "-s", "shop") == []
    with pytest.raises(NotFound, match="no mapping 'till'"):
        lemo("mappings", "remove", "till", "-s", "shop")
