"""Hot scores: the level of each item by several half-lives, in forward decay (`domain/realtime.py`).

State: one number for each item and half-life, of items with an event within two days.
"""

import json
from collections.abc import Iterator

from common import STATE_HOURS, arguments, tables
from pyflink.common import Row, Time, Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import ListStateDescriptor, StateTtlConfig, ValueStateDescriptor
from realtime import HALF_LIVES, added, hot_level

PAUSE_MS = 1_000
"""An item's levels are written at most once in so long."""


class Levels(KeyedProcessFunction):
    """Of one item: its levels, shortly after each event."""

    def open(self, context: RuntimeContext) -> None:
        levels = ValueStateDescriptor("levels", Types.STRING())
        levels.enable_time_to_live(StateTtlConfig.new_builder(Time.hours(STATE_HOURS)).build())
        self.levels = context.get_state(levels)
        self.new = context.get_list_state(ListStateDescriptor("new", Types.STRING()))

    def process_element(self, row: Row, context: KeyedProcessFunction.Context) -> None:
        self.new.add(json.dumps(list(row[3:6])))
        timers = context.timer_service()
        # Timers of one moment are one timer.
        moment = (timers.current_processing_time() // PAUSE_MS + 1) * PAUSE_MS
        timers.register_processing_time_timer(moment)

    def on_timer(self, timestamp: int, context: KeyedProcessFunction.OnTimerContext) -> Iterator[str]:
        tenant_id, scenario_id, item_id = context.get_current_key()
        text = self.levels.value()
        until, levels = json.loads(text) if text else (0, {})
        for at_ms, weight, taken_ms in map(json.loads, self.new.get() or ()):
            until = max(until, taken_ms)
            for name, seconds in HALF_LIVES.items():
                level = hot_level(weight, at_ms, seconds)
                levels[name] = added(levels[name], level) if name in levels else level
        self.new.clear()
        self.levels.update(json.dumps([until, levels]))
        body = {"kind": "hot", "tenant_id": tenant_id, "scenario_id": scenario_id, "item_id": item_id}
        yield json.dumps(body | {"levels": levels, "until_ms": until}, ensure_ascii=False)


def main() -> None:
    """Submits the job."""
    table = tables("hot-scores", arguments("hot-scores"))
    events = table.sql_query("""
        SELECT tenant_id, scenario_id, item_id, at_ms, weight,
               CAST(EXTRACT(EPOCH FROM taken) AS BIGINT) * 1000 AS taken_ms
        FROM events WHERE weight > 0
    """)
    rows = (
        table.to_data_stream(events)
        .key_by(lambda row: tuple(row[:3]), key_type=Types.TUPLE([Types.STRING()] * 3))
        .process(Levels(), output_type=Types.STRING())
        .uid("levels")
    )
    table.from_data_stream(rows).execute_insert("results")


if __name__ == "__main__":
    main()
