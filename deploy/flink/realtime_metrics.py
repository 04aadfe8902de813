"""Metrics of minutes: impressions, clicks, conversions and value by placement, in SQL (`domain/realtime.py`).

State: one row for each minute and placement with an event within two days. A late event corrects its minute.
"""

from common import arguments, client, quoted, tables


def main() -> None:
    """Submits the job."""
    given = arguments("realtime-metrics")
    table = tables("realtime-metrics", given)
    # Rows of a minute are written at most once a second, however many events it has.
    for key, value in {
        "table.exec.mini-batch.enabled": "true",
        "table.exec.mini-batch.allow-latency": "1 s",
        "table.exec.mini-batch.size": "5000",
    }.items():
        table.get_config().set(key, value)
    table.execute_sql(f"""
        CREATE TABLE minutes (
            kind STRING, tenant_id STRING, scenario_id STRING, `minute` BIGINT, placement STRING, events BIGINT,
            impressions BIGINT, clicks BIGINT, conversions BIGINT, `value` DOUBLE,
            PRIMARY KEY (tenant_id, scenario_id, `minute`, placement) NOT ENFORCED
        ) WITH (
            'connector' = 'upsert-kafka', 'topic' = '{quoted(given.results)}', {client(given)},
            'key.format' = 'json', 'value.format' = 'json', 'value.fields-include' = 'ALL'
        )
    """)
    table.execute_sql("""
        INSERT INTO minutes
        SELECT 'minute', tenant_id, scenario_id, at_ms / 60000 * 60, placement, COUNT(*),
               COUNT(*) FILTER (WHERE action = 'impression'), COUNT(*) FILTER (WHERE action = 'click'),
               COUNT(*) FILTER (WHERE converts),
               COALESCE(SUM(`value`) FILTER (WHERE converts), CAST(0 AS DOUBLE))
        FROM events
        GROUP BY tenant_id, scenario_id, at_ms / 60000 * 60, placement
    """)


if __name__ == "__main__":
    main()
