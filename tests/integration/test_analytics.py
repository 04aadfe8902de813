"""Every number of analytics equals a plain count over the raw rows: after replays, late events, stray request ids."""

import csv
import io
import json
import os
import subprocess
import sys
import uuid
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import clickhouse_connect
import httpx
import pytest
from hypothesis import Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr

from consumers import environment_of
from lemo.analytics.metrics import goal_of
from lemo.analytics.report import Part, report
from lemo.domain.api_key import KeyWishes
from lemo.domain.errors import InvalidInput
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.settings import Settings
from lemo.stores.clickhouse.served import ServedRow
from lemo.stores.clickhouse.traffic import Grouping
from lemo.stores.connect import Stores
from sites import running_api

SINCE = datetime(2026, 3, 7, 17, 30, tzinfo=UTC)
"""In New York the clock is put forward within the period, on 8 March."""
UNTIL = SINCE + timedelta(days=3)
BEFORE = SINCE - timedelta(days=3)
ITEMS = [f"i{number}" for number in range(6)]
ZONES = ["UTC", "Asia/Shanghai", "Asia/Kolkata", "America/New_York"]
BY: list[Grouping | None] = [None, "hour", "day", "placement", "position", "kind", "model", "pipeline"]


@pytest.fixture(scope="module")
def settings(redis_url: str, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        home=tmp_path_factory.mktemp("home"),
        installation=f"test{uuid.uuid4().hex[:12]}",
        redis_url=SecretStr(redis_url),
        clickhouse_url=SecretStr(clickhouse_url),
        clickhouse_database=f"analytics_{uuid.uuid4().hex[:12]}",
    )


@pytest.fixture(scope="module")
def stores(settings: Settings, clickhouse_url: str) -> Iterator[Stores]:
    """Stores whose tables keep every row that is written: the engine merges nothing, so readers have to."""
    settings.state.mkdir(parents=True, exist_ok=True)
    opened = Stores(settings, interactive=True)
    opened.events.migrate()
    with clickhouse_connect.get_client(dsn=clickhouse_url) as client:
        for table in ("events", "served_answers"):
            client.command(f"SYSTEM STOP MERGES {settings.clickhouse_database}.{table}")
    yield opened
    opened.close()


def new_scope(stores: Stores, template: Any = "ecommerce", items: int = 0) -> Scope:
    scope = Scope(f"tenant-{uuid.uuid4().hex[:12]}", "shop")
    stores.tenants.create(scope.tenant_id)
    stores.scenarios.create(scope.tenant_id, scenario_from_template(scope.scenario_id, template))
    stores.items.upsert(scope, [Item(item_id=each) for each in ITEMS[:items]], [1] * items)
    return scope


def answer(scope: Scope, request_id: str, at: datetime, items: list[str], **fields: Any) -> ServedRow:
    return ServedRow(
        **{
            "tenant_id": scope.tenant_id,
            "scenario_id": scope.scenario_id,
            "at": milliseconds(at),
            "request_id": request_id,
            "kind": "recommendations",
            "user_id": "u",
            "session": [],
            "of_items": [],
            "placement": "",
            "item_ids": items,
            "sources": [""] * len(items),
            "explored": [False] * len(items),
            "propensities": [None] * len(items),
            "model_version": "",
            "pipeline_version": None,
            "experiment": "",
            "arm": "",
            "degraded": False,
            "took_us": 1_000,
            "share": 1.0,
            **fields,
        }
    )


moments = st.integers(0, 6 * 24 * 60 + 600).map(
    lambda minutes: BEFORE - timedelta(hours=5) + timedelta(minutes=minutes)
)
answers = st.lists(
    st.fixed_dictionaries(
        {
            "at": moments,
            "items": st.lists(st.sampled_from(ITEMS), unique=True, max_size=5),
            "kind": st.sampled_from(["recommendations", "similar"]),
            "user_id": st.sampled_from(["", "u", "用户"]),
            "placement": st.sampled_from(["", "home", "cart"]),
            "model_version": st.sampled_from(["", "7"]),
            "pipeline_version": st.sampled_from([None, 1, 2]),
            "degraded": st.booleans(),
            "took_us": st.integers(0, 90_000),
            "share": st.sampled_from([1.0, 0.5]),
        }
    ),
    min_size=8,
    max_size=25,
)
events = st.lists(
    st.builds(
        Event,
        event_id=st.integers(0, 45).map(str),  # few, so that ids come again with other contents
        user_id=st.sampled_from(["u", "用户", "v"]),
        item_id=st.sampled_from(ITEMS),
        action=st.sampled_from(["impression", "click", "cart", "purchase", "purchase", "like"]),
        timestamp=moments,
        value=st.sampled_from([None, 3, 40]),
        request_id=st.integers(-2, 14).map(lambda number: f"r{number}" if number >= 0 else ""),
    ),
    min_size=30,
    max_size=80,
)


def ratio(of: float, per: float) -> float | None:
    return of / per if per else None


def quantile(level: float, values: list[int]) -> float | None:
    return sorted(values)[int(level * len(values))] / 1000 if values else None


def follow_up(row: ServedRow, happened: list[Event], until: datetime, items: list[str]) -> dict[str, Any]:
    """What followed from an answer, of some of its items."""
    mine = [
        each
        for each in happened
        if each.request_id == row.request_id and each.item_id in items and each.timestamp < until
    ]

    def with_action(*actions: str) -> int:
        return len({each.item_id for each in mine if each.action in actions})

    return {
        "seen": with_action("impression"),
        "clicked": with_action("click"),
        "carted": with_action("cart"),
        "converted": with_action("purchase", "order"),
        "worth": sum(each.value or 0 for each in mine if each.action in ("purchase", "order")),
    }


def attributed(parts: list[tuple[ServedRow, list[str], dict[str, Any]]], catalogue: int) -> dict[str, float | None]:
    """The numbers of answers, each with those of its items that count and what followed from them."""
    requests = len(parts)
    users = len({row.user_id for row, *_ in parts} - {""})
    items = sum(len(shown) for _, shown, _ in parts)
    different = len({item for _, shown, _ in parts for item in shown})
    explored = sum(row.explored[list(row.item_ids).index(item)] for row, shown, _ in parts for item in shown)
    total = {
        name: sum(after[name] for *_, after in parts) for name in ("seen", "clicked", "carted", "converted", "worth")
    }
    clicked = sum(after["clicked"] > 0 for *_, after in parts)
    empty = sum(not shown for _, shown, _ in parts)
    degraded = sum(row.degraded for row, *_ in parts)
    given_out = sum(1 / row.share for row, *_ in parts)
    took = [row.took_us for row, *_ in parts]
    return {
        "requests": requests,
        "logged_share": ratio(requests, given_out),
        "answers_given": given_out,
        "users": users,
        "items": items,
        "items_shown": different,
        "catalogue_items": catalogue,
        "coverage": ratio(different, catalogue),
        "impressions": total["seen"],
        "clicks": total["clicked"],
        "ctr": ratio(total["clicked"], total["seen"]),
        "requests_clicked": clicked,
        "requests_clicked_share": ratio(clicked, requests),
        "carts": total["carted"],
        "cart_rate": ratio(total["carted"], total["clicked"]),
        "conversions": total["converted"],
        "conversion_rate": ratio(total["converted"], total["clicked"]),
        "value": total["worth"],
        "value_per_user": ratio(total["worth"], users),
        "value_per_1000_requests": ratio(1000 * total["worth"], requests),
        "empty_answers": empty,
        "empty_share": ratio(empty, requests),
        "degraded_answers": degraded,
        "degraded_share": ratio(degraded, requests),
        "explored_items": explored,
        "explored_share": ratio(explored, items),
        "latency_p50_ms": quantile(0.5, took),
        "latency_p99_ms": quantile(0.99, took),
    }


def direct(happened: list[Event]) -> dict[str, float | None]:
    def count(*actions: str) -> int:
        return sum(each.action in actions for each in happened)

    users = len({each.user_id for each in happened})
    value = sum(each.value or 0 for each in happened if each.action in ("purchase", "order"))
    return {
        "events": len(happened),
        "users": users,
        "impressions": count("impression"),
        "clicks": count("click"),
        "ctr": ratio(count("click"), count("impression")),
        "carts": count("cart"),
        "cart_rate": ratio(count("cart"), count("click")),
        "conversions": count("purchase", "order"),
        "conversion_rate": ratio(count("purchase", "order"), count("click")),
        "value": value,
        "value_per_user": ratio(value, users),
    }


def start_of(moment: datetime, by: str, zone: str) -> datetime:
    local = moment.astimezone(ZoneInfo(zone))
    hour = local.replace(minute=0, second=0, microsecond=0)
    return hour if by == "hour" else hour.replace(hour=0)


def key_of(row: ServedRow, by: str, zone: str) -> Any:
    if by in ("hour", "day"):
        return start_of(datetime.fromtimestamp(row.at / 1000, UTC), by, zone)
    version = "" if row.pipeline_version is None else str(row.pipeline_version)
    return {"placement": row.placement, "kind": row.kind, "model": row.model_version, "pipeline": version}[by]


def grouped(rows: list[ServedRow], happened: list[Event], period: tuple[datetime, datetime], by: Any, zone: str) -> Any:
    found = defaultdict(list)
    since, until = (milliseconds(moment) for moment in period)
    for row in rows:
        if not since <= row.at < until:
            continue
        if by == "position":
            for place, item in enumerate(row.item_ids, 1):
                found[str(place)].append((row, [item], follow_up(row, happened, period[1], [item])))
        else:
            every = list(row.item_ids)
            found[by and key_of(row, by, zone)].append((row, every, follow_up(row, happened, period[1], every)))
    return found


def change(now: dict[str, float | None], then: dict[str, float | None]) -> dict[str, float | None]:
    return {
        name: (value - before) / before if value is not None and (before := then[name]) else None
        for name, value in now.items()
    }


def check(part: Part, totals: Any, before: Any, groups: dict[Any, Any], groups_before: dict[Any, Any] | None) -> None:
    assert part.totals.values == pytest.approx(totals)
    assert part.totals.change == pytest.approx(change(totals, before))
    assert part.definitions.keys() == totals.keys()
    assert [row.group for row in part.groups] == sorted(groups)
    for row in part.groups:
        assert row.values == pytest.approx(groups[row.group])
        if groups_before is not None:
            there = row.group in groups_before
            changes = change(groups[row.group], groups_before[row.group]) if there else None
            assert row.change == (changes and pytest.approx(changes))


@pytest.mark.parametrize("by", BY)
@given(
    served=answers, happened=events, explored=st.integers(0, 2), zone=st.sampled_from(ZONES), items=st.integers(0, 6)
)
@hypothesis_settings(
    max_examples=3,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking would ask the engine for minutes
)
def test_every_number_equals_a_count_over_the_raw_rows(
    stores: Stores,
    by: Grouping | None,
    served: list[dict[str, Any]],
    happened: list[Event],
    explored: int,
    zone: str,
    items: int,
) -> None:
    scope, other = new_scope(stores, items=items), new_scope(stores)
    rows = [
        answer(
            scope,
            f"r{number}",
            each.pop("at"),
            (shown := each.pop("items")),
            explored=[place < explored for place in range(len(shown))],
            **each,
        )
        for number, each in enumerate(dict(each) for each in served)
    ]
    half = len(happened) // 2
    stores.events.insert([(scope, each) for each in happened[:half]])
    stores.served.insert(rows[3:])
    stores.events.insert([(scope, each) for each in happened[half:]])  # later ones, some with ids that are there
    stores.events.insert([(scope, each) for each in happened])  # a replay
    stores.served.insert(rows[:5])
    stores.served.insert(rows)
    stores.events.insert([(other, each) for each in happened])
    stores.served.insert([row._replace(tenant_id=other.tenant_id) for row in rows[:3]])

    once = list({each.event_id: each for each in reversed(happened)}.values())
    now, then = (SINCE, UNTIL), (BEFORE, SINCE)
    found = report(stores, scope, SINCE, UNTIL, by, zone)
    assert (found.compared_since, found.goal) == (BEFORE, ["purchase", "order"])

    def numbers(period: tuple[datetime, datetime], by: Any) -> dict[Any, Any]:
        groups = grouped(rows, once, period, by, zone)
        return {key: attributed(parts, items) for key, parts in groups.items()}

    def total(period: tuple[datetime, datetime]) -> dict[str, float | None]:
        found = numbers(period, None)
        return found[None] if found else attributed([], items)

    grouped_now = {} if by is None else numbers(now, by)
    # Hours and days are compared with those before them, which another test checks.
    grouped_then = None if by in (None, "hour", "day") else numbers(then, by)
    check(found.attributed, total(now), total(then), grouped_now, grouped_then)

    def within(period: tuple[datetime, datetime]) -> list[Event]:
        return [each for each in once if period[0] <= each.timestamp < period[1]]

    by_time = defaultdict(list)
    for each in within(now) if by in ("hour", "day") else ():
        by_time[start_of(each.timestamp, str(by), zone)].append(each)
    check(
        found.direct,
        direct(within(now)),
        direct(within(then)),
        {start: direct(those) for start, those in by_time.items()},
        None,
    )


def test_an_hour_and_a_day_are_compared_with_the_one_before(stores: Stores) -> None:
    scope = new_scope(stores)
    zone = ZoneInfo("America/New_York")
    days = [datetime(2026, 3, day, 12, tzinfo=zone) for day in (7, 8, 8, 9, 11)]  # the 8th has 23 hours
    stores.served.insert([answer(scope, f"r{number}", at, ["i0"]) for number, at in enumerate(days)])
    found = report(stores, scope, days[0] - timedelta(hours=12), days[-1] + timedelta(hours=12), "day", zone.key)
    assert [
        (row.group, row.values["requests"], row.change and row.change["requests"]) for row in found.attributed.groups
    ] == [
        (datetime(2026, 3, 7, tzinfo=zone), 1, None),
        (datetime(2026, 3, 8, tzinfo=zone), 2, 1.0),
        (datetime(2026, 3, 9, tzinfo=zone), 1, -0.5),
        (datetime(2026, 3, 11, tzinfo=zone), 1, None),
    ]


def test_the_goal_is_a_purchase_else_the_positive_actions_of_the_scenario(stores: Stores) -> None:
    assert goal_of(scenario_from_template("s", "custom")).keys() == {"purchase"}
    news = scenario_from_template("s", "news")
    assert goal_of(news).keys() == {"like", "share", "read", "comment", "favorite"}
    scope = new_scope(stores, "vlog")
    stores.scenarios.edit(scope, {"actions": {"play": {"min_value": 30}}})
    stores.served.insert([answer(scope, "r", SINCE, ["a", "b", "c", "d", "e"])])
    plays = [("a", "play", 29.9), ("b", "play", 30), ("c", "play", None), ("d", "rate", 5), ("e", "view", 99)]
    stores.events.insert(
        [
            (scope, Event(user_id="u", item_id=item, action=action, value=value, timestamp=SINCE, request_id="r"))
            for item, action, value in plays
        ]
    )
    found = report(stores, scope, SINCE, UNTIL)
    for part in (found.attributed, found.direct):
        assert (part.totals.values["conversions"], part.totals.values["value"]) == (2, 30)


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"since": UNTIL, "until": SINCE}, "before"),
        ({"since": SINCE, "until": SINCE + timedelta(days=101), "by": "hour"}, "100 days"),
        ({"until": datetime(9999, 12, 31, 23, 59, tzinfo=UTC), "timezone": "Asia/Shanghai"}, "2200"),
        *(({"timezone": name}, "time zone") for name in ("Mars/Base", "", "../etc/passwd", "America", "a\0b")),
    ],
)
def test_what_makes_no_sense_is_refused(stores: Stores, asked: dict[str, Any], word: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        report(stores, new_scope(stores), **asked)
    assert word in f"{refused.value.message} {refused.value.hint}"


def test_the_route_and_the_command_tell_the_same(settings: Settings, stores: Stores) -> None:
    scope, now = new_scope(stores, items=4), datetime.now(UTC)
    today = now - timedelta(seconds=5)
    rows = [answer(scope, f"r{number}", today, ITEMS[:2], placement=f'"{number % 2}",') for number in range(3)]
    stores.served.insert([*rows, answer(scope, "old", now - timedelta(days=30), ITEMS)])
    click = Event(user_id="u", item_id="i1", action="click", timestamp=today, request_id="r0")
    stores.events.insert([(scope, click)])
    operator = stores.api_keys.create(scope.tenant_id, KeyWishes(role="operator")).key
    reader = stores.api_keys.create(scope.tenant_id, KeyWishes(role="read")).key
    path = f"/v1/scenarios/{scope.scenario_id}/analytics"
    with running_api(Stores(settings, interactive=True)) as address, httpx.Client(base_url=address, timeout=60) as http:
        http.headers["Authorization"] = f"Bearer {operator}"
        told = http.get(path, params={"by": "placement"}).json()
        assert told["attributed"]["totals"]["values"]["requests"] == 3
        assert told["attributed"]["totals"]["values"]["coverage"] == 0.5
        assert [(row["group"], row["values"]["requests"]) for row in told["attributed"]["groups"]] == [
            ('"0",', 2),
            ('"1",', 1),
        ]
        assert told["direct"]["totals"]["values"]["clicks"] == 1
        assert http.get(path, params={"by": "colour"}).status_code == 422
        assert "time zone" in http.get(path, params={"timezone": "Mars/Base"}).json()["detail"]
        assert http.get(path, headers={"Authorization": f"Bearer {reader}"}).status_code == 403
    command = [sys.executable, "-m", "lemo.cli.main", "analytics", "--scenario", scope.scenario_id]
    environment = {**os.environ, **environment_of(settings), "LEMO_KEY": operator}

    def printed(*more: str) -> str:
        return subprocess.run([*command, *more], env=environment, capture_output=True, text=True, check=True).stdout

    parts = json.loads(printed("--by", "placement", "--format", "json"))
    assert parts["attributed"] == told["attributed"]
    lines = list(csv.DictReader(io.StringIO(printed("--by", "placement", "--format", "csv"))))
    columns = ("counted", "row", "placement", "requests", "clicks")
    assert [[line[name] for name in columns] for line in lines] == [
        ["attributed", "group", '"0",', "2", "1"],
        ["attributed", "group", '"1",', "1", "0"],
        ["attributed", "total", "", "3", "1"],
        ["direct", "total", "", "", "1"],
    ]
    table = printed()
    assert "Attributed" in table
    assert "Different items in the answers, per item of the catalogue." in table
