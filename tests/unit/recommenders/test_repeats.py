"""Repeats: rates from occasions, and which items are due."""

import numpy as np
import pyarrow as pa
import pytest

from lemo.domain.scenario import ActionRule
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.repeats import PRIOR_USERS, SAME_OCCASION_MS, RepeatRates

DAY = 86_400_000
RULES = {
    "buy": ActionRule(weight=5, seen=True),
    "view": ActionRule(weight=1, seen=False),
    "refund": ActionRule(weight=-5),
}


def bought(*rows: tuple[str, str, str, float]) -> Interactions:
    """Interactions of (user, item, action, day)."""
    users, items, actions, days = zip(*rows, strict=True) if rows else ((), (), (), ())
    table = {"user_id": pa.array(users, pa.string()), "item_id": pa.array(items, pa.string())}
    table |= {"action": pa.array(actions, pa.string()), "value": pa.nulls(len(rows), pa.float64())}
    times = pa.array([int(day * DAY) for day in days], pa.int64())
    return Interactions.from_table(pa.table(table | {"timestamp": times}), RULES)


def test_share_and_interval_are_those_of_the_occasions_shrunk_to_all_items() -> None:
    weekly = [(user, "milk", "buy", 7.0 * week + 0.1) for user in ("a", "b", "c") for week in range(4)]
    once = [(user, "lamp", "buy", 3.0) for user in ("a", "b", "c")]
    lines_of_an_order = [("a", "milk", "buy", 0.1 + SAME_OCCASION_MS / DAY / 2)]
    looked = [("d", "milk", "view", 1.0), ("d", "milk", "view", 5.0)]
    sent_back = [("e", "milk", "buy", 1.0), ("e", "milk", "refund", 2.0)]
    data = bought(*weekly, *once, *lines_of_an_order, *looked, *sent_back)
    rates = RepeatRates.fit(data)
    lamp, milk = data.item_ids.index("lamp"), data.item_ids.index("milk")
    mean = 3 / 6  # of six pairs of user and item three came back; views and what was refunded are none
    assert rates.share[[lamp, milk]] == pytest.approx([PRIOR_USERS * mean / 13, (3 + PRIOR_USERS * mean) / 13])
    assert rates.interval_ms[lamp] == pytest.approx(rates.interval_ms[milk]) == pytest.approx(7 * DAY, rel=0.01)
    again = RepeatRates.from_arrays(rates.to_arrays())
    assert again is not None
    assert np.array_equal(again.share, rates.share)


def test_an_item_is_due_when_its_interval_has_passed_and_not_just_after() -> None:
    rates = RepeatRates(np.array([0.5, 0.1], dtype=np.float32), np.array([7, 7], dtype=np.float32) * DAY)

    def due(item: int, *days: float, now: float = 100.0) -> float:
        return float(rates.scores(np.array([item]), [[int(day * DAY) for day in days]], int(now * DAY))[0])

    assert due(0, 93) > due(0, 99.9) > 0
    assert due(0, 93) > due(0, 60)
    assert due(0, 93) > due(1, 93), "more of its users come back"
    assert due(0, 79, 86, 93) > due(0, 93), "this user comes back"
    own = [due(0, 40, 60, 80, now=now) for now in (87.0, 96.0)]
    assert own[1] > own[0], "this user's own interval is longer"


def test_any_data_will_do() -> None:
    empty = RepeatRates.fit(bought())
    assert (len(empty.share), len(empty.interval_ms)) == (0, 0)
    one = RepeatRates.fit(bought(("a", "i", "buy", 1.0)))
    assert one.share.tolist() == [0.0]
    assert one.interval_ms[0] > 0
    assert RepeatRates.from_arrays({}) is None
