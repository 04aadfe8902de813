"""What the API answered, in ClickHouse: who asked, which items in which order, and what decided on them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.scope import Scope
from lemo.stores.clickhouse.client import WHERE_SCOPE, ClickHouse

if TYPE_CHECKING:
    import pyarrow

# One request has one time, so (at, request_id) tells answers apart and keeps those of a time together. A replay writes
# the same key again, of which FINAL shows the row that came first, as of events. A week is a partition, which is
# dropped as a whole when it has expired.
TABLES = (
    """
    CREATE TABLE IF NOT EXISTS {database}.served_answers (
        tenant_id LowCardinality(String),
        scenario_id LowCardinality(String),
        at DateTime64(3, 'UTC'),
        request_id String,
        kind LowCardinality(String),
        user_id String,
        session Array(String),
        of_items Array(String),
        placement LowCardinality(String),
        item_ids Array(String),
        sources Array(LowCardinality(String)),
        explored Array(Bool),
        propensities Array(Nullable(Float64)),
        model_version LowCardinality(String),
        pipeline_version Nullable(UInt32),
        experiment LowCardinality(String),
        arm LowCardinality(String),
        degraded Bool,
        took_us UInt32,
        share Float64,
        ingested_at DateTime64(3, 'UTC') DEFAULT now64(3),
        precedence UInt64 DEFAULT 18446744073709551615 - toUInt64(toUnixTimestamp64Nano(now64(9))),
        INDEX by_request request_id TYPE bloom_filter GRANULARITY 4,
        INDEX by_user user_id TYPE bloom_filter GRANULARITY 4
    )
    ENGINE = ReplacingMergeTree(precedence)
    PARTITION BY toMonday(at)
    ORDER BY (tenant_id, scenario_id, at, request_id)
    SETTINGS ttl_only_drop_parts = 1
    """,
)

ADD_SESSION_ID = ("ALTER TABLE {database}.served_answers ADD COLUMN IF NOT EXISTS session_id String AFTER user_id",)

ADD_SCORES = ("ALTER TABLE {database}.served_answers ADD COLUMN IF NOT EXISTS scores Array(Float32) AFTER item_ids",)
ADD_TEAMS = (
    "ALTER TABLE {database}.served_answers ADD COLUMN IF NOT EXISTS teams Array(LowCardinality(String)) AFTER arm",
)


class ServedRow(NamedTuple):
    """An answer as a row; `item_ids`, `sources`, `explored` and `propensities` are by position, best item first."""

    tenant_id: str
    scenario_id: str
    at: int
    """Unix milliseconds."""
    request_id: str
    kind: str
    user_id: str
    session: Sequence[str]
    of_items: Sequence[str]
    placement: str
    item_ids: Sequence[str]
    sources: Sequence[str]
    explored: Sequence[bool]
    propensities: Sequence[float | None]
    model_version: str
    pipeline_version: int | None
    experiment: str
    arm: str
    degraded: bool
    took_us: int
    share: float
    """The share of answers that were logged when this one was."""
    session_id: str = ""
    scores: Sequence[float] = ()
    """Of the items that have one, by position; of answers that were logged before scores were kept there are none."""
    teams: Sequence[str] = ()
    """By position the arm that an item of an interleaved answer came from; empty in others."""


class ServedAnswers(ClickHouse):
    """The store of answers, in tables that `Events.migrate` makes; every call raises EngineUnavailable."""

    def __init__(self, url: str, database: str, deadlines: Deadlines = FOR_JOBS) -> None:
        super().__init__(url, database, deadlines)
        self._table = f"{self._database}.served_answers"

    def insert(self, rows: Sequence[ServedRow]) -> None:
        """Appends answers of any scopes as one block; one that is there already counts once."""
        if rows:
            self._ask(lambda client: client.insert_arrow(self._table, _arrow(rows)))

    def degraded(self, scope: Scope, since_ms: int) -> tuple[float, float]:
        """How many answers there were since then, and how many of them degraded; each logged one stands for several."""
        [[answers, degraded]] = self._query(
            f"SELECT sum(1 / share), sumIf(1 / share, degraded) FROM {self._table} FINAL"  # noqa: S608 - our own name
            f" WHERE {WHERE_SCOPE} AND at >= fromUnixTimestamp64Milli({{since:Int64}})",
            scope,
            since=since_ms,
        )
        return float(answers), float(degraded)

    def keep_days(self, days: int) -> None:
        """Has the engine drop weeks of answers that are all older than so many days."""
        wanted = f"TTL toDateTime(at) + toIntervalDay({int(days)})"
        there = "SELECT engine_full FROM system.tables WHERE database = {database:String} AND name = 'served_answers'"

        def change(client: Any) -> None:
            definition = client.query(there, parameters={"database": self._name}).first_row[0]
            if f"{wanted} " not in definition:
                client.command(f"ALTER TABLE {self._table} MODIFY {wanted}")

        self._ask(change)


def _arrow(rows: Sequence[ServedRow]) -> "pyarrow.Table":
    """The rows as the engine takes them."""
    import pyarrow

    texts = pyarrow.list_(pyarrow.string())
    types = {
        "at": pyarrow.timestamp("ms", "UTC"),
        "session": texts,
        "of_items": texts,
        "item_ids": texts,
        "sources": texts,
        "teams": texts,
        "explored": pyarrow.list_(pyarrow.bool_()),
        "propensities": pyarrow.list_(pyarrow.float64()),
        "pipeline_version": pyarrow.uint32(),
        "degraded": pyarrow.bool_(),
        "took_us": pyarrow.uint32(),
        "share": pyarrow.float64(),
        "scores": pyarrow.list_(pyarrow.float32()),
    }
    arrays = [
        pyarrow.array(column, types.get(name, pyarrow.string()))
        for name, column in zip(ServedRow._fields, zip(*rows, strict=True), strict=True)
    ]
    return pyarrow.Table.from_arrays(arrays, names=list(ServedRow._fields))
