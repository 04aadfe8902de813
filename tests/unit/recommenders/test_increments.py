"""What is remembered of events says the same as all events do."""

from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemo.domain.scenario import ActionRule
from lemo.recommenders.data.increments import LatestInteractions
from lemo.recommenders.data.interactions import Interactions

RULES = {
    "view": ActionRule(weight=1),
    "like": ActionRule(weight=3),
    "rate": ActionRule(weight=3, min_value=5),
    "refund": ActionRule(weight=-3),
    "impression": ActionRule(weight=0, seen=False),
}
Row = tuple[str, str, str, int, float | None]
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["u1", "u2", "用户", "u/4"]),
        st.sampled_from(["a", "b", "", "物"]),
        st.sampled_from([*RULES, "unknown"]),
        st.integers(0, 9).map(lambda hour: hour * 3_600_000),
        st.sampled_from([None, 3.0, 8.0]),
    ),
    max_size=30,
)


def table(rows: list[Row]) -> pa.Table:
    names = ["user_id", "item_id", "action", "timestamp", "value"]
    types = [pa.string(), pa.string(), pa.string(), pa.int64(), pa.float64()]
    columns = [[row[place] for row in rows] for place in range(5)]
    return pa.table({n: pa.array(c, t) for n, c, t in zip(names, columns, types, strict=True)})


def named(state: LatestInteractions, half_life: float | None) -> dict[tuple[str, str], float]:
    cells = state.user_item_matrix(half_life)[0].tocoo()
    users, items = state.user_ids.to_pylist(), state.item_ids.to_pylist()
    return {(users[u], items[i]): w for u, i, w in zip(cells.row, cells.col, cells.data, strict=True)}


@settings(max_examples=100, deadline=None)
@given(ROWS, st.integers(0, 30), st.sampled_from([None, 7_200_000.0]), st.randoms())
def test_the_user_item_matrix_is_that_of_all_events_in_any_order(
    rows: list[Row], cut: int, half_life: float | None, random: Random
) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    # In two parts, of which the second holds some of the first again.
    first, second = shuffled[:cut], shuffled[max(cut - 5, 0) :]
    state = LatestInteractions.from_arrays(LatestInteractions.none(RULES).with_events(table(first), RULES).to_arrays())
    state = state.with_events(table(second), RULES)
    whole = Interactions.from_table(table(rows), RULES)
    telling = whole.where(whole.weights != 0)
    cells = telling.user_item_matrix(half_life).tocoo()
    expected = {
        (whole.user_ids[u], whole.item_ids[i]): w for u, i, w in zip(cells.row, cells.col, cells.data, strict=True)
    }
    assert named(state, half_life) == pytest.approx(expected)
    assert sorted(state.item_ids.to_pylist()) == whole.item_ids


def test_repeated_events_change_nothing() -> None:
    rows: list[Row] = [("u1", "a", "like", 5, None), ("u2", "a", "view", 7, None), ("u1", "b", "rate", 9, 8.0)]
    state = LatestInteractions.none(RULES).with_events(table(rows), RULES)
    again = state.with_events(table(rows[::-1]), RULES).with_items(pa.array(["b", "a"]))
    assert {name: array.tolist() for name, array in again.to_arrays().items()} == {
        name: array.tolist() for name, array in state.to_arrays().items()
    }


def test_the_unit_is_the_mean_weight_of_what_counts() -> None:
    rows: list[Row] = [("u1", "a", "like", 5, None), ("u2", "a", "view", 7, None), ("u2", "b", "view", 8, None)]
    turned: list[Row] = [*rows, ("u2", "b", "refund", 9, None)]
    assert LatestInteractions.none(RULES).with_events(table(rows), RULES).user_item_matrix(None)[1] == pytest.approx(
        5 / 3
    )
    assert LatestInteractions.none(RULES).with_events(table(turned), RULES).user_item_matrix(None)[1] == 2
    assert np.isfinite(LatestInteractions.none(RULES).user_item_matrix(None)[1])
