"""Every number of analytics equals a plain count over the raw rows: after replays, late events, erased users."""

import csv
import io
import json
import math
import os
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from zoneinfo import ZoneInfo

import clickhouse_connect
import httpx
import pytest
from hypothesis import Phase, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr

from command_lines import run_command
from consumers import environment_of
from lemo.analytics.report import Group, Report, report
from lemo.domain.api_key import KeyWishes
from lemo.domain.counting import counting_rules, goal_of
from lemo.domain.errors import InvalidInput
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.scheduling.scenario_changes import change_scenario
from lemo.settings import Settings
from lemo.stores.clickhouse.aggregates import hour_of
from lemo.stores.clickhouse.removal import Table
from lemo.stores.clickhouse.served import ServedRow
from lemo.stores.clickhouse.traffic import Asked, Time
from lemo.stores.clickhouse.traffic_kept import PARTS
from lemo.stores.clickhouse.traffic_periods import Period
from lemo.stores.connect import Stores
from lemo.users.erasure import erase_user
from lemo.users.merge import merge_users
from servers import new_database
from sites import running_api

SINCE = datetime(2026, 3, 7, 17, 30, tzinfo=UTC)
"""In New York the clock is put forward within the period, on 8 March."""
UNTIL = SINCE + timedelta(days=3)
BEFORE = SINCE - timedelta(days=3)
ITEMS = [f"i{number}" for number in range(6)]
ZONES = ["UTC", "Asia/Shanghai", "Asia/Kolkata", "America/New_York"]
GROUPS: list[Group | None] = [None, *get_args(Group)]
CATEGORIES = {"i0": ["a"], "i1": ["a", "b"], "i2": ["b", "b"], "i3": []}


@pytest.fixture(scope="module")
def settings(redis_url: str, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        home=tmp_path_factory.mktemp("home"),
        installation=f"test{uuid.uuid4().hex[:12]}",
        redis_url=SecretStr(redis_url),
        clickhouse_url=SecretStr(clickhouse_url),
        clickhouse_database=new_database("analytics"),
    )


@pytest.fixture(scope="module")
def stores(settings: Settings) -> Iterator[Stores]:
    """Stores whose tables keep every row that is written: the engine merges nothing, so readers have to."""
    settings.state.mkdir(parents=True, exist_ok=True)
    opened = Stores(settings)
    opened.events.migrate()
    merges(settings, "STOP")
    yield opened
    opened.close()


def merges(settings: Settings, word: str) -> None:
    """Stops or starts merges of raw rows; deletions need them."""
    with clickhouse_connect.get_client(dsn=settings.clickhouse) as client:
        for table in ("events", "served_answers"):
            client.command(f"SYSTEM {word} MERGES {settings.clickhouse_database}.{table}")


def new_scope(stores: Stores, template: Any = "ecommerce", items: int = 0) -> Scope:
    scope = Scope(f"tenant-{uuid.uuid4().hex[:12]}", "shop")
    stores.tenants.create(scope.tenant_id)
    stores.scenarios.create(scope.tenant_id, scenario_from_template(scope.scenario_id, template))
    catalogue = [Item(item_id=each, categories=CATEGORIES.get(each, ["c"])) for each in ITEMS[:items]]
    stores.items.upsert(scope, catalogue, [1] * items)
    return scope


def write(
    stores: Stores, scope: Scope, served: Sequence[ServedRow], happened: Sequence[Event], count: bool = True
) -> None:
    """What a consumer does; without `count` it died before the days were counted."""
    epoch = uuid.uuid4().hex
    moments = [*(row.at for row in served), *(milliseconds(each.timestamp) for each in happened)]
    stores.aggregates.mark(epoch, {(scope, hour_of(moment)) for moment in moments})
    stores.events.insert([(scope, each) for each in happened])
    stores.served.insert(served)
    if count:
        stores.aggregates.refresh(epoch)


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
            "first_source": st.integers(0, 2),
            "explored": st.integers(0, 2),
            "kind": st.sampled_from(["recommendations", "similar"]),
            "user_id": st.sampled_from(["", "u", "用户"]),
            "placement": st.sampled_from(["", "home", "cart"]),
            "model_version": st.sampled_from(["", "7"]),
            "pipeline_version": st.sampled_from([None, 1, 2]),
            "experiment": st.sampled_from(["", "e"]),
            "arm": st.sampled_from(["a", "b", ""]),
            "degraded": st.booleans(),
            "took_us": st.integers(0, 90_000),
            "share": st.sampled_from([1.0, 0.5]),
        }
    ),
    min_size=8,
    max_size=25,
)


@st.composite
def following(draw: st.DrawFn, served: list[dict[str, Any]]) -> list[Event]:
    """Events of which most are soon after an answer and name it, or are of its user; some are of neither."""
    found = []
    for number in range(draw(st.integers(20, 60))):
        place = draw(st.integers(-3, len(served) - 1))
        near = served[place] if place >= 0 else None
        late = timedelta(minutes=draw(st.integers(-90, 3 * 24 * 60 if number % 3 else 240)))
        user_id = (near and near["user_id"]) or draw(st.sampled_from(["u", "用户", "v"]))
        found.append(
            Event(
                # Few, so that ids come again with other contents. Not of another user: which one is left when the first
                # is erased depends on what the engine has merged.
                event_id=f"{draw(st.integers(0, 20))} of {user_id}",
                user_id=user_id,
                item_id=draw(st.sampled_from((near and near["items"]) or ITEMS)),
                action=draw(st.sampled_from(["impression", "click", "cart", "purchase", "purchase", "like"])),
                timestamp=near["at"] + late if near else draw(moments),
                value=draw(st.sampled_from([None, 3, 40])),
                request_id=f"r{place}" if near and draw(st.booleans()) else draw(st.sampled_from(["", "", "r1", "x"])),
                device=draw(st.sampled_from(["", "ios", "web"])),
            )
        )
    return found


def ratio(of: float | None, per: float | None) -> float | None:
    return of / per if of is not None and per else None


def quantile(level: float, values: list[int]) -> float | None:
    return sorted(values)[int(level * len(values))] / 1000 if values else None


def followed(rows: list[ServedRow], happened: list[Event], hours: int) -> dict[str, list[Event]]:
    """The events that follow from each answer: of those that it shows, by its id, else as the user's last answer."""
    window, slack = hours * 3_600_000, 3_600_000
    by_id = {row.request_id: row for row in rows}
    found: dict[str, list[Event]] = defaultdict(list)
    for each in happened:
        moment = milliseconds(each.timestamp)
        if each.request_id:
            row = by_id.get(each.request_id)
            if row and each.item_id in row.item_ids and row.at - slack <= moment < row.at + window:
                found[row.request_id].append(each)
            continue
        shown = [
            row for row in rows if row.user_id == each.user_id and each.item_id in row.item_ids and row.at <= moment
        ]
        last = max(shown, key=lambda row: (row.at, row.request_id), default=None)
        if last and moment < last.at + window:
            found[last.request_id].append(each)
    return found


PURCHASES = ("purchase", "order")
Place = tuple[ServedRow, int, list[Event]]
"""An answer, one of its places (from 0 on), and what followed of that item."""


def places_of(row: ServedRow, after: list[Event]) -> list[Place]:
    return [(row, place, [each for each in after if each.item_id == item]) for place, item in enumerate(row.item_ids)]


def device_of(after: list[Event]) -> str:
    told = [each for each in after if each.device]
    return min(told, key=lambda each: (each.timestamp, str(each.event_id))).device if told else ""


def attributed(rows: list[ServedRow], places: list[Place], catalogue: int, group: Any) -> dict[str, float | None]:
    """The numbers of answers and of those of their places that count."""

    def of(*actions: str) -> int:
        return sum(any(each.action in actions for each in after) for *_, after in places)

    requests = len(rows)
    given_out = sum(1 / row.share for row in rows)
    users = len({row.user_id for row in rows} - {""})
    different = len({row.item_ids[place] for row, place, _ in places})
    seen, clicks, carts, bought = of("impression"), of("click"), of("cart"), of(*PURCHASES)
    worth = sum(each.value or 0 for *_, after in places for each in after if each.action in PURCHASES)
    clicked = len({row.request_id for row, _, after in places if any(each.action == "click" for each in after)})
    empty = sum(not row.item_ids for row in rows)
    degraded = sum(row.degraded for row in rows)
    explored = sum(row.explored[place] for row, place, _ in places)
    took = [row.took_us for row in rows]
    found: dict[str, float | None] = {
        "requests": requests,
        "logged_share": ratio(requests, round(given_out)),
        "answers_given": round(given_out),
        "users": users,
        "items": len(places),
        "items_shown": different,
        "catalogue_items": catalogue,
        "coverage": ratio(different, catalogue),
        "novelty": None,
        "impressions": seen,
        "clicks": clicks,
        "ctr": ratio(clicks, seen),
        "ctr_of_first": None,
        "requests_clicked": clicked,
        "requests_clicked_share": ratio(clicked, requests),
        "carts": carts,
        "cart_rate": ratio(carts, clicks),
        "conversions": bought,
        "conversion_rate": ratio(bought, clicks),
        "value": worth,
        "value_per_user": ratio(worth, users),
        "value_per_1000_requests": ratio(1000 * worth, requests),
        "empty_answers": empty,
        "empty_share": ratio(empty, requests),
        "degraded_answers": degraded,
        "degraded_share": ratio(degraded, requests),
        "explored_items": explored,
        "explored_share": ratio(explored, len(places)),
        "latency_p50_ms": quantile(0.5, took),
        "latency_p99_ms": quantile(0.99, took),
    }
    absent: set[str] = set()
    if group in ("position", "source", "category"):
        absent |= {"users", "value_per_user", "latency_p50_ms", "latency_p99_ms", "requests_clicked", "empty_answers"}
        absent |= {"requests_clicked_share", "empty_share", "degraded_answers", "degraded_share"}
    if group in ("position", "category"):
        absent |= {"items_shown", "coverage"}
    if group == "category":
        absent |= {"requests", "answers_given", "logged_share", "value_per_1000_requests"}
    return {name: None if name in absent else value for name, value in found.items()}


def direct(happened: list[Event], group: Any = None) -> dict[str, float | None]:
    def count(*actions: str) -> int:
        return sum(each.action in actions for each in happened)

    users = None if group == "category" else len({each.user_id for each in happened})
    value = sum(each.value or 0 for each in happened if each.action in PURCHASES)
    return {
        "events": len(happened),
        "users": users,
        "impressions": count("impression"),
        "clicks": count("click"),
        "ctr": ratio(count("click"), count("impression")),
        "carts": count("cart"),
        "cart_rate": ratio(count("cart"), count("click")),
        "conversions": count(*PURCHASES),
        "conversion_rate": ratio(count(*PURCHASES), count("click")),
        "value": value,
        "value_per_user": ratio(value, users),
    }


def start_of(moment: datetime, by: str, zone: str) -> datetime:
    local = moment.astimezone(ZoneInfo(zone))
    hour = local.replace(minute=0, second=0, microsecond=0)
    return hour if by == "hour" else hour.replace(hour=0)


def first_of_each(written: list[Event]) -> list[Event]:
    return list({each.event_id: each for each in reversed(written)}.values())


class World:
    """The rows that there are, and what the numbers over them must be."""

    def __init__(self, rows: list[ServedRow], happened: list[Event], hours: int, zone: str, catalogue: int) -> None:
        self.rows, self.happened, self.zone, self.catalogue = rows, happened, zone, catalogue
        self.after = followed(rows, happened, hours)

    def categories(self, item: str) -> set[str]:
        return set(CATEGORIES.get(item, ["c"]) if item in ITEMS[: self.catalogue] else []) or {""}

    def answers(self, since: datetime, until: datetime, group: Any) -> dict[Any, dict[str, float | None]]:
        """The attributed numbers of a period by group, or by the begin of each hour or day; None for all."""
        rows: dict[Any, list[ServedRow]] = defaultdict(list)
        places: dict[Any, list[Place]] = defaultdict(list)
        for row in self.rows:
            if not milliseconds(since) <= row.at < milliseconds(until):
                continue
            mine = places_of(row, self.after[row.request_id])
            if group in ("position", "source", "category"):
                for place in mine:
                    for key in self._keys_of_place(place, group):
                        places[key].append(place)
                        if row not in rows[key]:
                            rows[key].append(row)
            else:
                key = self._key_of_answer(row, group)
                rows[key].append(row)
                places[key] += mine
        found = {key: attributed(rows[key], places[key], self.catalogue, group) for key in rows}
        if group == "position":
            first = found.get("1", {}).get("ctr")
            for each in found.values():
                each["ctr_of_first"] = ratio(each["ctr"], first)
        if group is None:
            found.setdefault(None, attributed([], [], self.catalogue, None))
            found[None]["novelty"] = self._novelty(places[None], since, until)
        return found

    def events(self, since: datetime, until: datetime, group: Any) -> dict[Any, dict[str, float | None]]:
        found = defaultdict(list)
        for each in self.happened:
            if since <= each.timestamp < until:
                for key in self._keys_of_event(each, group):
                    found[key].append(each)
        if group is None:
            found[None] += []
        return {key: direct(those, group) for key, those in found.items()}

    def _novelty(self, places: list[Place], since: datetime, until: datetime) -> float | None:
        acted = [
            each.item_id for each in self.happened if since <= each.timestamp < until and each.action != "impression"
        ]
        if not acted or not places:
            return None
        shares = [max(1, acted.count(row.item_ids[place])) / len(acted) for row, place, _ in places]
        return sum(-math.log2(share) for share in shares) / len(shares)

    def _key_of_answer(self, row: ServedRow, group: Any) -> Any:
        if group in ("hour", "day"):
            return start_of(datetime.fromtimestamp(row.at / 1000, UTC), group, self.zone)
        return {
            None: None,
            "placement": row.placement,
            "kind": row.kind,
            "model": row.model_version,
            "pipeline": "" if row.pipeline_version is None else str(row.pipeline_version),
            "arm": f"{row.experiment}/{row.arm}" if row.experiment and row.arm else row.experiment,
            "device": device_of(self.after[row.request_id]),
        }[group]

    def _keys_of_place(self, place: Place, group: str) -> set[str]:
        row, number, _ = place
        if group == "category":
            return self.categories(row.item_ids[number])
        return {str(number + 1) if group == "position" else row.sources[number]}

    def _keys_of_event(self, event: Event, group: Any) -> set[Any]:
        if group in ("hour", "day"):
            return {start_of(event.timestamp, group, self.zone)}
        return self.categories(event.item_id) if group == "category" else {event.device if group == "device" else None}


def change(now: dict[str, float | None], then: dict[str, float | None]) -> dict[str, float | None]:
    return {
        name: (value - before) / before if value is not None and (before := then[name]) else None
        for name, value in now.items()
    }


def check(world: World, found: Report, by: Time, group: Group | None) -> None:
    """Compares a report of the period with the world."""
    for part, numbers in ((found, world.answers), (found.direct, world.events)):
        now, then = numbers(SINCE, UNTIL, None)[None], numbers(BEFORE, SINCE, None)[None]
        assert part.totals == pytest.approx(now)
        assert part.change == pytest.approx(change(now, then))
        series = numbers(SINCE, UNTIL, by)
        assert {row.key: row.values for row in part.series} == {key: pytest.approx(series[key]) for key in series}
        assert [row.key for row in part.series] == sorted(series)
        if group is None or (part is found.direct and group not in ("device", "category")):
            assert part.groups == []
            continue
        groups, before = numbers(SINCE, UNTIL, group), numbers(BEFORE, SINCE, group)
        assert [row.key for row in part.groups] == sorted(groups)
        for row in part.groups:
            assert row.values == pytest.approx(groups[row.key])
            changes = change(groups[row.key], before[row.key]) if row.key in before else None
            assert row.change == (changes and pytest.approx(changes))


TRAFFIC = given(data=st.data(), served=answers)
NOT_SHRUNK = [Phase.explicit, Phase.reuse, Phase.generate]
"""Shrinking would ask the engine for minutes."""


@TRAFFIC
@hypothesis_settings(max_examples=1, deadline=None, phases=NOT_SHRUNK)
def test_every_number_equals_a_count_over_the_raw_rows(
    settings: Settings, stores: Stores, data: st.DataObject, served: list[dict[str, Any]]
) -> None:
    write_and_compare(settings, stores, data, served)


@pytest.mark.long
@pytest.mark.timeout(900)
@TRAFFIC
@hypothesis_settings(max_examples=30, deadline=None, phases=NOT_SHRUNK)
def test_every_number_equals_a_count_over_the_raw_rows_of_much_traffic(
    settings: Settings, stores: Stores, data: st.DataObject, served: list[dict[str, Any]]
) -> None:
    write_and_compare(settings, stores, data, served)


def write_and_compare(settings: Settings, stores: Stores, data: st.DataObject, served: list[dict[str, Any]]) -> None:
    """Replays, late rows, days that are not counted yet, a merge and an erasure, each followed by a comparison."""
    assume(len(served) > 8)  # hypothesis tries the smallest traffic first, of which there is little to count
    happened = data.draw(following(served), label="events")
    zone, hours = data.draw(st.sampled_from(ZONES)), data.draw(st.sampled_from([1, 24, 40]))
    items = data.draw(st.integers(0, 6))
    scope, other = new_scope(stores, items=items), new_scope(stores)
    stores.scenarios.edit(scope, {"timezone": zone, "attribution_hours": hours})
    rows = [
        answer(
            scope,
            f"r{number}",
            each.pop("at"),
            (shown := each.pop("items")),
            explored=[place < explored for place in range(len(shown))],
            sources=[("knn", "ease", "hot")[(first + place) % 3] for place in range(len(shown))],
            **each,
        )
        for number, each in enumerate(dict(each) for each in served)
        for explored, first in [(each.pop("explored"), each.pop("first_source"))]
    ]

    def compare(world: World, times: int = 1) -> None:
        for _ in range(times):
            by, group = data.draw(st.sampled_from(get_args(Time))), data.draw(st.sampled_from(GROUPS))
            check(world, report(stores, scope, SINCE, UNTIL, by, group), by, group)

    half, most = len(happened) // 2, len(happened) * 3 // 4
    write(stores, scope, rows[3:-2], happened[:half], count=data.draw(st.booleans()))
    # Late answers and events, some with ids that are there, and what was written before once more.
    write(stores, scope, rows[:-2], happened[:most], count=data.draw(st.booleans()))
    write(stores, scope, rows[:5], happened[: half // 2])
    write(stores, other, [row._replace(tenant_id=other.tenant_id) for row in rows[:3]], happened)
    compare(World(rows[:-2], first_of_each(happened[:most]), hours, zone, items))
    for epoch in stores.aggregates.abandoned(0):
        stores.aggregates.refresh(epoch)
    # What arrives when all is counted: its hours are read from the raw rows, the others as they were kept.
    write(stores, scope, rows, happened[most:], count=False)
    once = first_of_each(happened)
    world = World(rows, once, hours, zone, items)
    compare(world, 2)
    for epoch in stores.aggregates.abandoned(0):
        stores.aggregates.refresh(epoch)
    compare(world, 2)
    assert stores.removal.count_scope(Table("analytics_numbers"), scope)
    elsewhere = data.draw(st.sampled_from(ZONES))
    check(
        World(rows, once, hours, elsewhere, items), report(stores, scope, SINCE, UNTIL, timezone=elsewhere), "day", None
    )
    merges(settings, "START")
    written = happened  # in the order of writing, of which the first of each id counts
    if data.draw(st.booleans()):
        merge_users(stores, scope.tenant_id, "v", "w")
        moved = [each.model_copy(update={"user_id": "w"}) for each in once if each.user_id == "v"]
        written = [*moved, *(each for each in happened if each.user_id != "v")]
        compare(World(rows, first_of_each(written), hours, zone, items))
    erase_user(stores, scope.tenant_id, "u", "test")
    once = first_of_each([each for each in written if each.user_id != "u"])
    compare(World([row for row in rows if row.user_id != "u"], once, hours, zone, items), 2)
    assert stores.aggregates.abandoned(0) == []
    merges(settings, "STOP")


def test_an_hour_and_a_day_are_compared_with_the_one_before(stores: Stores) -> None:
    scope = new_scope(stores)
    zone = ZoneInfo("America/New_York")
    stores.scenarios.edit(scope, {"timezone": zone.key})
    days = [datetime(2026, 3, day, 12, tzinfo=zone) for day in (7, 8, 8, 9, 11)]  # the 8th has 23 hours
    write(stores, scope, [answer(scope, f"r{number}", at, ["i0"]) for number, at in enumerate(days)], [])
    found = report(stores, scope, days[0] - timedelta(hours=12), days[-1] + timedelta(hours=12), "day")
    assert [(row.key, row.values["requests"], row.change and row.change["requests"]) for row in found.series] == [
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
    for part in (found, found.direct):
        assert (part.totals["conversions"], part.totals["value"]) == (2, 30)


def test_rules_that_change_hold_at_once_and_days_are_counted_anew_by_them(settings: Settings, stores: Stores) -> None:
    scope = new_scope(stores, "vlog")
    stores.scenarios.edit(scope, {"actions": {"play": {"min_value": 30}}})
    write(
        stores,
        scope,
        [answer(scope, "r", SINCE, ["a"])],
        [
            Event(user_id="u", item_id="a", action="play", value=20, timestamp=SINCE + timedelta(hours=late))
            for late in (2, 30)
        ],
    )
    day = SINCE.replace(hour=0, minute=0)

    def counted() -> tuple[Any, ...]:
        found = report(stores, scope, day, day + timedelta(days=1))
        return found.totals["conversions"], found.totals["value"], found.direct.totals["value"]

    assert counted() == (0, 0, 0)  # a play counts from 30 seconds on
    change_scenario(stores, scope, {"actions": {"play": {"min_value": 10}}}, "test")
    assert counted() == (1, 20, 20)
    change_scenario(stores, scope, {"attribution_hours": 48}, "test")
    assert counted() == (1, 40, 20)
    change_scenario(stores, scope, {"timezone": "Asia/Shanghai"}, "test")
    assert report(stores, scope, day, day + timedelta(days=1)).series[0].key == datetime.fromisoformat(
        "2026-03-08T00:00:00+08:00"
    )
    for epoch in stores.aggregates.abandoned(600):  # the next consumer takes them up at once
        stores.aggregates.refresh(epoch)
    merges(settings, "START")
    stores.events.delete_scope(scope)  # so that only kept days can tell
    merges(settings, "STOP")
    day = datetime(2026, 3, 8, tzinfo=ZoneInfo("Asia/Shanghai"))
    assert counted() == (1, 40, 20)


def test_days_that_an_older_program_wrote_or_that_were_lost_are_read_from_the_rows_and_counted_soon(
    stores: Stores,
) -> None:
    scope = new_scope(stores)
    rules = counting_rules(stores.scenarios.get(scope))
    day = SINCE.replace(hour=0, minute=0)
    period = Period(milliseconds(day), milliseconds(day + timedelta(days=1)))

    def told() -> tuple[Any, ...]:
        found = report(stores, scope, day, day + timedelta(days=1))
        plans = stores.traffic.plans(scope, period, rules, "UTC")
        counted = [plans[Asked(part, before=False)].counted for part in PARTS]
        return found.totals["requests"], found.totals["clicks"], found.direct.totals["clicks"], counted

    click = Event(user_id="u", item_id="a", action="click", timestamp=SINCE, request_id="r")
    stores.served.insert([answer(scope, "r", SINCE, ["a"])])
    stores.events.insert([(scope, click)])
    assert told() == (1, 1, 1, [[], []])
    write(stores, scope, [answer(scope, "later", UNTIL, ["a"])], [])
    assert told() == (1, 1, 1, [[day.date()]] * 2)
    stores.removal.delete_scope(Table("analytics_numbers"), scope)
    assert told() == (1, 1, 1, [[], []])
    write(stores, scope, [answer(scope, "later", UNTIL, ["a"])], [])
    assert told() == (1, 1, 1, [[day.date()]] * 2)


def test_while_rows_arrive_only_what_their_hours_touch_is_read_from_the_raw_rows(
    settings: Settings, stores: Stores
) -> None:
    scope = new_scope(stores, items=2)
    begin = SINCE.replace(hour=0, minute=0)
    served = [answer(scope, f"r{hour}", begin + timedelta(hours=hour), ["i0", "i1"]) for hour in (6, 12)]
    clicks = [
        Event(user_id=user, item_id="i0", action="click", timestamp=begin + timedelta(hours=hour), request_id=request)
        for user, hour, request in (("u", 6, "r6"), ("v", 7, ""), ("u", 12, "r12"))
    ]
    late = Event(user_id="w", item_id="i1", action="click", timestamp=begin + timedelta(hours=12.5), request_id="r12")

    def told() -> tuple[Any, ...]:
        found = report(stores, scope, begin, begin + timedelta(days=1), "hour", "position")
        return (
            [(row.key, row.values["clicks"]) for row in found.groups],
            [(row.key.hour, row.values["users"]) for row in found.direct.series if isinstance(row.key, datetime)],
            found.totals["clicks"],
            found.direct.totals["users"],
        )

    write(stores, scope, served, clicks)
    write(stores, scope, [], [late], count=False)
    expected = ([("1", 2), ("2", 1)], [(6, 1), (7, 1), (12, 2)], 3, 3)
    assert told() == expected
    merges(settings, "START")
    with clickhouse_connect.get_client(dsn=settings.clickhouse) as client:
        client.command(
            f"ALTER TABLE {settings.clickhouse_database}.events DELETE WHERE tenant_id = {{tenant:String}} "
            "AND toHour(timestamp) < 12",
            parameters={"tenant": scope.tenant_id},
            settings={"mutations_sync": 1},
        )
    merges(settings, "STOP")
    assert told() == expected  # by what is kept of the hours and answers whose events are gone
    for table in ("analytics_hours", "analytics_outcomes"):
        stores.removal.delete_scope(Table(table), scope)
    assert told() == ([("1", 1), ("2", 1)], [(12, 2)], 2, 2)  # without it, by the raw rows


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"since": UNTIL, "until": SINCE}, "before"),
        ({"since": SINCE, "until": SINCE + timedelta(days=101), "by": "hour"}, "100 days"),
        ({"until": datetime(9999, 12, 31, 23, 59, tzinfo=UTC), "timezone": "Asia/Shanghai"}, "2149"),
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
    click = Event(user_id="u", item_id="i1", action="click", timestamp=today, request_id="r0")
    write(stores, scope, [*rows, answer(scope, "old", now - timedelta(days=30), ITEMS)], [click])
    operator = stores.api_keys.create(scope.tenant_id, KeyWishes(role="operator")).key
    reader = stores.api_keys.create(scope.tenant_id, KeyWishes(role="read")).key
    path = f"/v1/scenarios/{scope.scenario_id}/analytics"
    since = (now - timedelta(days=1)).isoformat()
    with running_api(Stores(settings, interactive=True)) as address, httpx.Client(base_url=address, timeout=60) as http:
        http.headers["Authorization"] = f"Bearer {operator}"
        told = http.get(path, params={"group": "placement", "from": since}).json()
        assert datetime.fromisoformat(told["from"]) == datetime.fromisoformat(since)
        names = {"requests", "users", "impressions", "clicks", "ctr", "conversions", "conversion_rate", "value"}
        assert names < told["totals"].keys()
        assert (told["totals"]["requests"], told["totals"]["coverage"]) == (3, 0.5)
        assert [(row["key"], row["values"]["requests"]) for row in told["groups"]] == [('"0",', 2), ('"1",', 1)]
        assert told["direct"]["totals"]["clicks"] == 1
        assert http.get(path, params={"group": "colour"}).status_code == 422
        assert http.get(path, params={"by": "placement"}).status_code == 422
        assert "time zone" in http.get(path, params={"timezone": "Mars/Base"}).json()["detail"]
        assert http.get(path, headers={"Authorization": f"Bearer {reader}"}).status_code == 403
    command = ["analytics", "--scenario", scope.scenario_id, "--from", since]
    environment = {**os.environ, **environment_of(settings), "LEMO_KEY": operator}

    def printed(*more: str) -> str:
        done = run_command([*command, *more], environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    parts = json.loads(printed("--group", "placement", "--format", "json"))
    assert {name: parts[name] for name in ("totals", "series", "groups")} == {
        name: told[name] for name in ("totals", "series", "groups")
    }
    lines = list(csv.DictReader(io.StringIO(printed("--group", "placement", "--format", "csv"))))
    columns = ("counted", "row", "key", "requests", "clicks")
    day = told["series"][0]["key"].replace("Z", "+00:00")
    assert [[line[name] for name in columns] for line in lines] == [
        ["attributed", "day", day, "3", "1"],
        ["attributed", "placement", '"0",', "2", "1"],
        ["attributed", "placement", '"1",', "1", "0"],
        ["attributed", "total", "", "3", "1"],
        ["direct", "day", day, "", "1"],
        ["direct", "total", "", "", "1"],
    ]
    table = printed()
    assert "Attributed" in table
    assert "Different items in the answers, per item of the catalogue." in table
    assert "100.0%" not in printed("--by", "hour", "--group", "position")
