"""An id that comes again in a later batch with other contents is noticed."""

from typing import Any

from lemo.domain.event import Event
from lemo.domain.event_columns import EventColumns
from lemo.domain.scope import Scope
from lemo.ingest.recent_ids import LARGEST_BATCH, RecentIds

SCOPE, OTHER = Scope("t", "s"), Scope("t", "other")


def batch(*events: tuple[Scope, str, dict[str, Any]]) -> EventColumns:
    plain = {"user_id": "u", "item_id": "i", "action": "click", "timestamp": 1_700_000_000}
    return EventColumns.of(
        (scope, Event.model_validate({**plain, "event_id": id, **more})) for scope, id, more in events
    )


def test_other_contents_under_one_id_are_noticed_in_its_scenario_alone() -> None:
    recent = RecentIds()
    assert recent.conflicts(batch((SCOPE, "a", {}), (SCOPE, "b", {}))) == []
    assert recent.conflicts(batch((SCOPE, "a", {"device": "phone"}), (OTHER, "b", {"item_id": "j"}))) == []
    assert recent.conflicts(batch((SCOPE, "a", {"value": 1}), (SCOPE, "b", {}))) == [(SCOPE, "a")]
    assert recent.conflicts(batch((SCOPE, "a", {"value": 1}))) == [(SCOPE, "a")], "the first one counts, not the last"
    assert recent.conflicts(batch((SCOPE, "a", {}))) == []


def test_what_came_long_ago_is_forgotten() -> None:
    recent = RecentIds(kept=2)
    recent.conflicts(batch((SCOPE, "a", {}), (SCOPE, "b", {})))
    assert recent.conflicts(batch((SCOPE, "a", {"value": 1}))) == [(SCOPE, "a")]
    for ids in ("cd", "ef"):
        recent.conflicts(batch(*((SCOPE, id, {}) for id in ids)))
    assert recent.conflicts(batch((SCOPE, "b", {"value": 1}))) == []


def test_large_batches_are_taken_as_fast_as_ever() -> None:
    recent, ids = RecentIds(), [f"order {number}" for number in range(LARGEST_BATCH + 1)]
    large = batch(*((SCOPE, id, {}) for id in ids))
    assert recent.conflicts(large) == []
    assert recent.conflicts(batch((SCOPE, ids[0], {"item_id": "j"}))) == []
    assert recent.conflicts(batch((SCOPE, ids[0], {"item_id": "k"}))) == [(SCOPE, ids[0])]
