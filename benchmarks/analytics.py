"""How long each panel of analytics takes over 10 M events and 1 M answers in the embedded ClickHouse.

Rows are made by the engine itself, in the columns that the product writes: four weeks of answers of ten items each,
with eight impressions, a click, and a cart or a purchase a minute later. Those of the last day are written hour by
hour, so that they lie in small parts of the table, as where rows arrive all day. A panel is one report: totals, a
series by day, one grouping, each with its change against the period before. Beside it stands a bare `count()` over the
same rows, asked through the same connection at the same time; ratios are what counts, as the machine may be busy. The
processor time is that of the engine alone, on all cores together, and what others do does not change it much; beside it
stands that of the process that asks.
"""
# ruff: noqa: S608 - only names of our own tables are put into the text of queries

import argparse
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import get_args

import clickhouse_connect
from pydantic import SecretStr

from lemo.analytics.report import Group, report
from lemo.domain.item import Item
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.settings import Settings
from lemo.stores.clickhouse.aggregates import ALL
from lemo.stores.clickhouse.traffic import Time
from lemo.stores.connect import Stores
from servers import own_embedded

BAR_MS = 300
DAYS = 28
ITEMS = 20_000
USERS = 100_000
SCOPE = Scope("default", "bench")
ANSWERS = """
    INSERT INTO {database}.served_answers (tenant_id, scenario_id, at, request_id, kind, user_id, session, of_items,
        placement, item_ids, sources, explored, propensities, model_version, pipeline_version, experiment, arm,
        degraded, took_us, share)
    SELECT 'default', 'bench', addMilliseconds(toDateTime64('{start}', 3, 'UTC'), intDiv(number * {span}, {answers})),
        lower(hex(MD5(toString(number)))), 'recommendations', concat('user-', toString(cityHash64(number) % {users})),
        [], [], ['home', 'cart', 'detail', 'search', 'mail'][number % 5 + 1],
        arrayMap(each -> concat('item-', toString((cityHash64(number) + each * 7919) % {items})), range(10)),
        arrayMap(each -> ['item-knn', 'ridge', 'popularity'][(number + each) % 3 + 1], range(10)),
        arrayMap(each -> each = 9 AND number % 5 = 0, range(10)), arrayMap(each -> NULL, range(10)),
        toString(intDiv(number * 8, {answers})), intDiv(number * 4, {answers}), 'test', ['a', 'b'][number % 2 + 1],
        number % 100 = 0, 800 + cityHash64(number) % 9000, 1.0
    FROM numbers({first}, {count})
"""
EVENTS = """
    INSERT INTO {database}.events (tenant_id, scenario_id, event_id, user_id, item_id, action, timestamp, value,
        request_id, position, device, attributes)
    SELECT 'default', 'bench', lower(hex(sipHash128(number))),
        concat('user-', toString(cityHash64(answer) % {users})) AS user,
        concat('item-', toString((cityHash64(answer) + place * 7919) % {items})),
        multiIf(step < 8, 'impression', step = 8, 'click', answer % 4 = 0, 'purchase', 'cart'),
        addMilliseconds(toDateTime64('{start}', 3, 'UTC'), intDiv(answer * {span}, {answers}) + step * 6000),
        if(step = 9 AND answer % 4 = 0, 19.9, NULL), lower(hex(MD5(toString(answer)))), place + 1,
        ['ios', 'android', 'web'][answer % 3 + 1], ''
    FROM (
        SELECT number, intDiv(number, 10) AS answer, number % 10 AS step,
               if(step < 8, step, cityHash64(answer) % 8) AS place
        FROM numbers({first} * 10, {count} * 10)
    )
"""


def main() -> None:
    """Prints the panels and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=1_000_000, help="ten events each (default: 1,000,000)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median is told (default: 3)")
    parser.add_argument("--folder", type=Path, help="keeps the rows there; those that it holds are measured again")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        kept = folder / "until"
        clickhouse, redis = (own_embedded(engine, folder / engine) for engine in ("clickhouse", "redis"))
        clickhouse.start()
        redis.start()
        settings = Settings(
            home=folder / "home", clickhouse_url=SecretStr(clickhouse.url), redis_url=SecretStr(redis.url)
        )
        stores = Stores(settings)
        try:
            if not kept.exists():
                kept.write_text(fill(stores, arguments.answers).isoformat())
            until = datetime.fromisoformat(kept.read_text())
            since = until - timedelta(days=DAYS)
            stores.item_feed.add(SCOPE, ["item-0"])  # as a consumer does, so that categories are kept in memory
            measure(stores, since, until, arguments.rounds, partial(processor_ms, clickhouse.pid or 0))
        finally:
            stores.close()
            redis.stop()
            clickhouse.stop()


def fill(stores: Stores, answers: int) -> datetime:
    """Four weeks up to last midnight, counted as a consumer counts them; returns their end."""
    stores.settings.state.mkdir(parents=True, exist_ok=True)
    stores.events.migrate()
    stores.tenants.create(SCOPE.tenant_id)
    stores.scenarios.create(SCOPE.tenant_id, scenario_from_template(SCOPE.scenario_id, "ecommerce"))
    catalogue = [Item(item_id=f"item-{number}", categories=[f"c{number % 20}"]) for number in range(ITEMS)]
    stores.items.upsert(SCOPE, catalogue, [1] * ITEMS)
    until = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    since = until - timedelta(days=DAYS)
    values = {
        "database": stores.settings.clickhouse_database,
        "start": f"{since:%Y-%m-%d %H:%M:%S}",
        "span": DAYS * 86_400_000 - 60_000,
        "answers": answers,
        "users": USERS,
        "items": ITEMS,
    }
    with clickhouse_connect.get_client(dsn=stores.settings.clickhouse, send_receive_timeout=600) as client:
        day = answers // DAYS
        ends = [answers - day, *(answers - day + day * hour // 24 for hour in range(1, 25))]
        started = time.perf_counter()
        for first, end in zip([0, *ends], ends, strict=False):
            for query in (ANSWERS, EVENTS):
                client.command(query.format(**values, first=first, count=end - first))
        print(f"rows written in {time.perf_counter() - started:.0f} s", flush=True)
    epoch = uuid.uuid4().hex
    stores.aggregates.mark(epoch, [(SCOPE, ALL)])
    print(
        f"counted anew, all of it, on one thread: {timed(lambda: stores.aggregates.refresh(epoch)):.0f} s", flush=True
    )
    return until


def measure(stores: Stores, since: datetime, until: datetime, rounds: int, processor: Callable[[], float]) -> None:
    """Asks for each panel, of all four weeks and of the last one with the week before."""
    database = stores.settings.clickhouse_database
    with clickhouse_connect.get_client(dsn=stores.settings.clickhouse) as client:
        counts = [f"SELECT count() FROM {database}.{table} WHERE tenant_id = 'default' AND NOT ignore({column})"
                  for table, column in (("events", "timestamp"), ("served_answers", "at"))]  # fmt: skip

        def bare() -> None:
            for query in counts:
                client.query(query)

        rows = [client.query(query).result_rows[0][0] for query in counts]
        print(f"\n{rows[0]:,} events, {rows[1]:,} answers; the bar is {BAR_MS} ms")
        print(f"{'panel':44}{'ms':>7}{'count() ms':>12}{'ratio':>7}{'processor ms':>14}{'own ms':>8}")
        panels: list[tuple[str, Time, Group | None]] = [
            ("totals, by day", "day", None),
            ("totals, by hour", "hour", None),
            *((f"by {group}", "day", group) for group in get_args(Group)),
        ]
        week = until - timedelta(days=7)
        for period, begin in (("four weeks", since), ("last week", week)):
            for name, by, group in panels:
                ask = partial(report, stores, SCOPE, begin, until, by, group)
                panel(f"{period}, {name}", ask, bare, rounds, processor)
        # While rows of the last hour arrive, what they can change is read from the raw rows.
        epoch = uuid.uuid4().hex
        stores.aggregates.mark(epoch, [(SCOPE, round(until.timestamp()) - 3_600)])
        for name, by, group in panels:
            ask = partial(report, stores, SCOPE, week, until, by, group)
            panel(f"last week, rows arrive, {name}", ask, bare, rounds, processor)
        stores.aggregates.refresh(epoch)


def panel(
    name: str,
    ask: Callable[[], object],
    bare: Callable[[], object],
    rounds: int,
    processor: Callable[[], float],
) -> None:
    """Prints one line: the median of some rounds, each beside the bare count."""
    ask()
    found = []
    for _ in range(rounds):
        before, own = processor(), time.process_time()
        took = timed(ask) * 1000
        found.append((took, processor() - before, (time.process_time() - own) * 1000, timed(bare) * 1000))
    took, used, own, floor = (statistics.median(column) for column in zip(*found, strict=True))
    mark = "" if took <= BAR_MS else "  above the bar"
    print(f"{name:44}{took:7.0f}{floor:12.1f}{took / floor:7.1f}{used:14.0f}{own:8.0f}{mark}", flush=True)


def processor_ms(pid: int) -> float:
    """Processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def timed(call: Callable[[], object]) -> float:
    """Seconds of a call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
