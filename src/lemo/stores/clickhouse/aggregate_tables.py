"""The tables of hourly aggregates and of marks, and how all of them is marked."""

TABLES = (
    """
    CREATE TABLE IF NOT EXISTS {database}.events_hourly (
        tenant_id LowCardinality(String),
        scenario_id LowCardinality(String),
        hour DateTime('UTC'),
        action LowCardinality(String),
        events UInt64,
        users AggregateFunction(uniqExact, String),
        items AggregateFunction(uniqExact, String),
        version UInt64
    )
    ENGINE = ReplacingMergeTree(version)
    ORDER BY (tenant_id, scenario_id, hour, action)
    """,
    # A partition for each epoch, so that dropping one is one step. There are about as many as consumers.
    """
    CREATE TABLE IF NOT EXISTS {database}.events_marks (
        epoch String,
        tenant_id LowCardinality(String),
        scenario_id LowCardinality(String),
        hour DateTime('UTC'),
        marked_at DateTime64(3, 'UTC') DEFAULT now64(3)
    )
    ENGINE = MergeTree
    PARTITION BY epoch
    ORDER BY (tenant_id, scenario_id, hour)
    """,
)

MARK_UNCOUNTED = (
    # Once, when the tables are brought to a new version: it reads the time of all events. The moment of the marks lies
    # far back, so that the next consumer takes them up at once; twice the same marks do no harm.
    """
    INSERT INTO {database}.events_marks (epoch, tenant_id, scenario_id, hour, marked_at)
    SELECT 'bef0', tenant_id, scenario_id, toDateTime(0, 'UTC'), toDateTime64(0, 3, 'UTC') FROM (
        SELECT DISTINCT tenant_id, scenario_id FROM {database}.events
        WHERE (toString(tenant_id), toString(scenario_id), toUnixTimestamp(toStartOfHour(timestamp))) NOT IN (
            SELECT toString(tenant_id), toString(scenario_id), toUnixTimestamp(hour) FROM {database}.events_hourly
        )
    )
    """,
)
"""Marks all of each scope that has events in hours without aggregates: those from before there were any."""

MARK_ALL = """
    INSERT INTO {database}.events_marks (epoch, tenant_id, scenario_id, hour, marked_at)
    SELECT '{epoch}', tenant_id, scenario_id, toDateTime(0, 'UTC'), toDateTime64(0, 3, 'UTC') FROM (
        SELECT DISTINCT tenant_id, scenario_id FROM {database}.events
        UNION DISTINCT SELECT DISTINCT tenant_id, scenario_id FROM {database}.events_hourly
    )
    """
"""Marks all of each scope: after events or aggregates were lost. The next consumer takes the marks up at once."""
