"""Damaged parts of chDB's tables: set aside, so that all other rows can be read, and reported with what was lost.

chDB itself detaches at its start parts whose files are missing or too short. Bytes that changed in place it notices
when a query reads them, and then fails that query, each time.
"""
# ruff: noqa: S608 - only names of tables and parts that the engine itself gave are put into the text of queries

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from lemo.embedded.clickhouse_http import identifier, quoted
from lemo.stores.clickhouse.aggregate_tables import MARK_ALL
from lemo.stores.damage import set_aside

SIGNS = frozenset({27, 32, 33, 40, 117, 246, 271, 432})
"""ClickHouse's errors of reading that a damaged part may be the cause of: CHECKSUM_DOESNT_MATCH (40), and others."""
_OURS = "database NOT IN ('system', 'information_schema', 'INFORMATION_SCHEMA')"
_AGAIN = "Import their files again, or replay the topic: an event that is there already counts once."

Ask = Callable[[str], bytes]
"""Runs a statement; raises QueryFailed."""


def detach_damaged(ask: Ask, failed: type[Exception]) -> int:
    """Reads every part of every table, and detaches those that cannot be read; returns how many."""
    detached = 0
    for row in _rows(ask, f"SELECT database, name FROM system.tables WHERE engine LIKE '%MergeTree' AND {_OURS}"):
        table = f"{identifier(row['database'])}.{identifier(row['name'])}"
        try:
            parts = _rows(ask, f"CHECK TABLE {table} SETTINGS check_query_single_value_result = 0")
        except failed:  # dropped meanwhile
            continue
        for part in parts:
            if not part["is_passed"]:
                ask(f"ALTER TABLE {table} DETACH PART {quoted(part['part_path'])}")
                detached += 1
    return detached


def set_detached_aside(ask: Ask, failed: type[Exception], home: Path) -> bool:
    """Moves detached parts below `home/damaged`, and tells of them; True if there were some.

    Nothing but damage detaches parts here. Where one is damaged, others may be, so all are read. Hours are marked to be
    counted anew. The parts move last, so that a kill in between loses no word.
    """
    if not _detached(ask):
        return False
    detach_damaged(ask, failed)
    found = _detached(ask)
    lost = {database: _lost(ask, database) for database in _databases(ask) & {database for database, _ in found}}
    for database in lost:
        ask(MARK_ALL.format(database=identifier(database), epoch=uuid.uuid4().hex))
    for (database, table), parts in found.items():
        rows, size = sum(map(_count, parts)), sum(map(_size, parts))
        names = ", ".join(path.name for path in parts[:3]) + (", ..." if len(parts) > 3 else "")
        what = f"{len(parts)} part{'s' if len(parts) > 1 else ''} of the table {database}.{table}"
        why = f"Damaged: {what}, {rows:,} rows, {size:,} bytes ({names})."
        done = lost.get(database, "") if table == "events" else "What they held is made anew from the events."
        set_aside(home, "clickhouse", parts, why, f"All other rows are there. {done}")
    return True


def _detached(ask: Ask) -> dict[tuple[str, str], list[Path]]:
    found: dict[tuple[str, str], list[Path]] = {}
    for row in _rows(ask, f"SELECT database, table, path FROM system.detached_parts WHERE {_OURS}"):
        found.setdefault((row["database"], row["table"]), []).append(Path(row["path"]))
    return found


def _databases(ask: Ask) -> set[str]:
    """Those that hold Lemo's tables."""
    query = "SELECT database FROM system.tables WHERE name IN ('events', 'events_hourly', 'events_marks')"
    return {row["database"] for row in _rows(ask, f"{query} GROUP BY database HAVING count() = 3")}


def _lost(ask: Ask, database: str) -> str:
    """How many events of which month are gone: what was counted before, less what is there."""
    name = identifier(database)
    query = f"""
        SELECT month, sum(events) AS lost FROM (
            SELECT formatDateTime(hour, '%Y-%m') AS month, toInt64(sum(hourly.events)) AS events
            FROM {name}.events_hourly AS hourly FINAL GROUP BY month
            UNION ALL
            SELECT formatDateTime(timestamp, '%Y-%m') AS month, -toInt64(count()) AS events
            FROM {name}.events FINAL GROUP BY month
        ) GROUP BY month HAVING lost > 0 ORDER BY month"""
    months = [f"{int(row['lost']):,} of {row['month']}" for row in _rows(ask, query)]
    if not months:
        return "By the hourly counts no event is lost."
    shown = ", ".join(months[:12]) + (f" and {len(months) - 12} other months" if len(months) > 12 else "")
    return f"Events lost, by the hourly counts: {shown}. {_AGAIN}"


def _rows(ask: Ask, query: str) -> list[Mapping[str, Any]]:
    return [orjson.loads(line) for line in ask(f"{query} FORMAT JSONEachRow").splitlines()]


def _count(part: Path) -> int:
    """The rows of a part, by its own note; none where that is what is damaged."""
    try:
        return int((part / "count.txt").read_text())
    except (OSError, ValueError):
        return 0


def _size(part: Path) -> int:
    return sum(file.stat().st_size for file in part.rglob("*") if file.is_file())
