"""Tables of the numbers of days (docs/decisions/0026) and of what is kept beside them (docs/decisions/0028)."""

# What was there before is counted by the next consumer, and read from the raw rows until then.
_ALL_MARKED = """
    INSERT INTO {{database}}.events_marks (epoch, tenant_id, scenario_id, hour, marked_at)
    SELECT '{epoch}', tenant_id, scenario_id, toDateTime(0, 'UTC'), toDateTime64(0, 3, 'UTC') FROM (
        SELECT DISTINCT tenant_id, scenario_id FROM {{database}}.events
        UNION DISTINCT SELECT DISTINCT tenant_id, scenario_id FROM {{database}}.served_answers
    )
    """

_STATES = (
    "AggregateFunction(uniqExact, UInt64)",
    "AggregateFunction(uniqExactArray, Array(UInt64))",
    "AggregateFunction(quantilesExact(0.5, 0.99), UInt32)",
)
TABLES = (
    # Replaced by NUMBERS_TABLES: states are read by one insertion into a hash table for each user of each day.
    f"""
    CREATE TABLE IF NOT EXISTS {{database}}.analytics_days (
        tenant_id LowCardinality(String),
        scenario_id LowCardinality(String),
        part LowCardinality(String),
        by LowCardinality(String),
        day Date,
        key String,
        sums Array(Float64),
        users {_STATES[0]},
        items {_STATES[1]},
        took {_STATES[2]},
        distinct Array(Float64),
        item_hashes Array(UInt64),
        item_counts Array(UInt64),
        first DateTime64(3, 'UTC'),
        last DateTime64(3, 'UTC'),
        rules UInt64,
        version UInt64
    )
    ENGINE = ReplacingMergeTree(version)
    ORDER BY (tenant_id, scenario_id, part, by, day, key)
    SETTINGS index_granularity = 64
    """,
    _ALL_MARKED.format(epoch="bef1"),
)
# The engine reads rows by whole granules: few where arrays are long, many of the small rows of items. Hashes do not
# compress.
NUMBERS_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS {database}.analytics_numbers (
        tenant_id LowCardinality(String),
        scenario_id LowCardinality(String),
        part LowCardinality(String),
        by LowCardinality(String),
        day Date,
        key String,
        sums Array(Float64),
        users Array(UInt64) CODEC(NONE),
        items Array(UInt64) CODEC(NONE),
        took Array(UInt32),
        distinct Array(Float64),
        item_hashes Array(UInt64) CODEC(NONE),
        item_counts Array(UInt64),
        first DateTime64(3, 'UTC'),
        last DateTime64(3, 'UTC'),
        rules UInt64,
        version UInt64
    )
    ENGINE = ReplacingMergeTree(version)
    ORDER BY (tenant_id, scenario_id, part, by, day, key)
    SETTINGS index_granularity = 8192, index_granularity_bytes = 262144
    """,
    # A consumer of the version before may still write there: what it keeps is read by none of this one.
    "TRUNCATE TABLE IF EXISTS {database}.analytics_days",
    _ALL_MARKED.format(epoch="bef2"),
)
# A consumer of the version before counts days without what is kept beside them: its days are read by none of this one.
BESIDE_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS {database}.analytics_outcomes (
        tenant_id LowCardinality(String),
        scenario_id LowCardinality(String),
        at DateTime64(3, 'UTC'),
        id UInt64,
        followed Array(String),
        seen_of Array(UInt8),
        clicked_of Array(UInt8),
        carted_of Array(UInt8),
        converted_of Array(UInt8),
        worth_of Array(Float64),
        device_of Array(Tuple(DateTime64(3, 'UTC'), String, String)),
        hours Array(UInt32),
        rules UInt64,
        version UInt64
    )
    ENGINE = ReplacingMergeTree(version)
    ORDER BY (tenant_id, scenario_id, at, id)
    """,
    """
    CREATE TABLE IF NOT EXISTS {database}.analytics_hours (
        tenant_id LowCardinality(String),
        scenario_id LowCardinality(String),
        hour DateTime('UTC'),
        by LowCardinality(String),
        day Date,
        key String,
        sums Array(Float64),
        users Array(UInt64) CODEC(NONE),
        item_hashes Array(UInt64) CODEC(NONE),
        item_counts Array(UInt64),
        rules UInt64,
        version UInt64
    )
    ENGINE = ReplacingMergeTree(version)
    ORDER BY (tenant_id, scenario_id, hour, by, day, key)
    """,
    _ALL_MARKED.format(epoch="bef3"),
)
