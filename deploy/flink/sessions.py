"""Sessions: each event with its session, its place in it, and the time until the next one (`domain/realtime.py`).

State: of each user the events of each day that was active within two days.
"""

import json
from collections.abc import Iterator
from typing import Any

from common import STATE_HOURS, arguments, tables
from pyflink.common import Row, Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import ListStateDescriptor, ValueStateDescriptor
from realtime import Act, day_of, sessionised

PAUSE_MS = 1_000
"""Rows of a user's day are written at most once in so long."""
ACTS_A_PAUSE = 2_000
"""They are computed from all acts of the day: for each so many acts there is one more pause between two times. Without
it a user with tens of thousands of acts, such as a robot, would hold up all others."""
HOUR_MS = 3_600_000
KEPT_MS = STATE_HOURS * HOUR_MS


class Sessions(KeyedProcessFunction):
    """Of one user's day: the rows that changed, shortly after each event."""

    def open(self, context: RuntimeContext) -> None:
        self.acts = context.get_list_state(ListStateDescriptor("acts", Types.STRING()))
        # How many acts the written rows are of, and when they were written.
        self.written = context.get_state(ValueStateDescriptor("written", Types.TUPLE([Types.LONG(), Types.LONG()])))

    def process_element(self, row: Row, context: KeyedProcessFunction.Context) -> None:
        self.acts.add(json.dumps(list(row[2:7])))
        timers = context.timer_service()
        now = timers.current_processing_time()
        count, _ = self.written.value() or (0, 0)
        # Timers of one moment are one timer.
        timers.register_processing_time_timer(_after(now, PAUSE_MS * (1 + count // ACTS_A_PAUSE)))
        timers.register_processing_time_timer(_after(now + KEPT_MS, HOUR_MS))

    def on_timer(self, timestamp: int, context: KeyedProcessFunction.OnTimerContext) -> Iterator[str]:
        acts = [Act(*json.loads(text)) for text in self.acts.get() or ()]
        count, moment = self.written.value() or (0, 0)
        if len(acts) > count:
            tenant_id, scenario_id = context.get_current_key()[:2]
            known = set(sessionised(acts[:count]))
            for row in sessionised(acts):
                if row not in known:
                    body: dict[str, Any] = {"kind": "session", "tenant_id": tenant_id, "scenario_id": scenario_id}
                    yield json.dumps(body | row._asdict(), ensure_ascii=False)
            self.written.update((len(acts), timestamp))
        elif moment <= timestamp - KEPT_MS:
            self.acts.clear()
            self.written.clear()


def _after(moment: int, step: int) -> int:
    """The first multiple of a step after a moment."""
    return (moment // step + 1) * step


def main() -> None:
    """Submits the job."""
    table = tables("sessions", arguments("sessions"))
    events = table.sql_query("SELECT tenant_id, scenario_id, event_id, user_id, item_id, action, at_ms FROM events")
    key = Types.TUPLE([Types.STRING(), Types.STRING(), Types.STRING(), Types.LONG()])
    rows = (
        table.to_data_stream(events)
        .key_by(lambda row: (row[0], row[1], row[3], day_of(row[6])), key_type=key)
        .process(Sessions(), output_type=Types.STRING())
        .uid("sessions")
    )
    table.from_data_stream(rows).execute_insert("results")


if __name__ == "__main__":
    main()
