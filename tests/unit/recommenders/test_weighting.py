"""The weighting rule is the same on every path: single events, columns, increments, histories and filters."""

from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemo.domain.interaction import Interaction, filtered_items, interaction_weight
from lemo.domain.scenario import ActionRule
from lemo.recommenders.data.histories import Encoder
from lemo.recommenders.data.increments import LatestInteractions
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.data.weighting import event_weights
from lemo.recommenders.hybrid.hybrid import HybridRecommender
from recommender_worlds import mixture

FIELDS = st.one_of(
    st.fixed_dictionaries(
        {
            "weight": st.sampled_from([1.0, 2.5, 3.0]),
            "scale": st.sampled_from([None, "auto", (1.0, 5.0), (0.0, 10.0), (-1.0, 1.0), (0.5, 5.0)]),
            "learnt": st.sampled_from([None, (1.0, 5.0), (0.0, 100.0)]),
            "min_value": st.sampled_from([None, 3.0, 4.0]),
            "dislike_value": st.sampled_from([None, 0.0, 2.0]),
            "seen": st.booleans(),
        }
    ),
    st.fixed_dictionaries({"weight": st.sampled_from([0.0, -3.0]), "min_value": st.sampled_from([None, 3.0])}),
)
RULES = st.dictionaries(st.sampled_from("abcd"), FIELDS.map(lambda fields: ActionRule(**fields)), min_size=1)
VALUES = st.one_of(st.none(), st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 3.5, 4.0, 5.0, 7.0, 64.9, 65.0, 1e300]))
# Strictly newer from act to act: at one moment an order between equals would have to be told.
ROWS = st.lists(st.tuples(st.sampled_from("uv"), st.sampled_from("xyz"), st.sampled_from("abcde"), VALUES), max_size=25)
HOUR = 3_600_000


def table(rows: list[tuple[str, str, str, float | None]]) -> pa.Table:
    return pa.table(
        {
            "user_id": pa.array([row[0] for row in rows], pa.string()),
            "item_id": pa.array([row[1] for row in rows], pa.string()),
            "action": pa.array([row[2] for row in rows], pa.string()),
            "value": pa.array([row[3] for row in rows], pa.float64()),
            "timestamp": pa.array([place * HOUR for place in range(len(rows))], pa.int64()),
        }
    )


@settings(deadline=None)
@given(ROWS, RULES)
def test_one_event_has_the_weight_that_it_has_among_many(
    rows: list[tuple[str, str, str, float | None]], rules: dict[str, ActionRule]
) -> None:
    weights, seen = event_weights(table(rows), rules)
    assert weights.tolist() == [interaction_weight(rules.get(action), value) for _, _, action, value in rows]
    assert seen.tolist() == [action in rules and rules[action].seen for _, _, action, _ in rows]
    possible = {weight for rule in rules.values() for weight in rule.weights} | {0.0}
    assert set(weights.tolist()) <= possible


@settings(max_examples=60, deadline=None)
@given(ROWS, RULES, st.sampled_from([None, 5.0 * HOUR]))
def test_training_increments_and_serving_give_the_same_weights(
    rows: list[tuple[str, str, str, float | None]], rules: dict[str, ActionRule], half_life: float | None
) -> None:
    data = table(rows)
    whole = Interactions.from_table(data, rules, item_ids="xyz")
    asked, seen = whole.query_matrix(half_life).toarray(), whole.seen_csr().toarray()
    acts = LatestInteractions.none(rules).with_events(data, rules).with_items(pa.array(["x", "y", "z"]))
    kept = acts.user_item_matrix(half_life)[0].toarray()
    places = [acts.item_ids.to_pylist().index(item) for item in whole.item_ids]
    users = acts.user_ids.to_pylist()
    histories = [
        [
            Interaction(item, action, value, at * HOUR)
            for at, (who, item, action, value) in enumerate(rows)
            if who == user
        ]
        for user in whole.user_ids
    ]
    tastes, known = Encoder(whole.item_ids, rules, half_life).encode(histories)
    for row, user in enumerate(whole.user_ids):
        expected = asked[row]
        ours = np.zeros(3) if user not in users else kept[users.index(user)][places]
        # Each measures age from a now of its own, which scales a row and says nothing.
        liked = np.maximum(expected, 0)
        assert ours / max(ours.max(), 1e-300) == pytest.approx(liked / max(liked.max(), 1e-300), rel=1e-6)
        # A history measures age from the user's own newest act: the same row but for its scale.
        served = tastes.toarray()[row]
        norm = np.abs(served).max() / max(np.abs(expected).max(), 1e-300) if expected.any() else 1.0
        assert served == pytest.approx(expected * norm, rel=1e-5, abs=1e-9)
        assert known.toarray()[row].tolist() == seen[row].tolist()


@pytest.fixture(scope="module")
def short_histories() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lemo.recommenders.data.weighting.LONGEST_HISTORY", 3)
        yield


ITEMS = "pqrstuvwxyz"
LONG = st.lists(
    st.tuples(st.sampled_from("uv"), st.sampled_from(ITEMS), st.sampled_from("abcd"), VALUES, st.integers(0, 12)),
    max_size=60,
)


@pytest.mark.usefixtures("short_histories")
@settings(max_examples=150, deadline=None)
@given(LONG, RULES, st.sampled_from([None, 5.0 * HOUR]), st.randoms(use_true_random=False))
def test_every_path_weighs_histories_alike_that_are_longer_than_the_cap(
    rows: list[tuple[str, str, str, float | None, int]],
    rules: dict[str, ActionRule],
    half_life: float | None,
    random: Random,
) -> None:
    """Events come in any order and at equal moments; the increments get them in two parts, one of them twice."""
    data = table([row[:4] for row in rows]).set_column(
        4, "timestamp", pa.array([row[4] * HOUR for row in rows], pa.int64())
    )
    whole = Interactions.from_table(data, rules, item_ids=ITEMS)
    training, seen = whole.user_item_matrix(half_life).toarray(), whole.seen_csr().toarray()
    queries = whole.query_matrix(half_life).toarray()
    assert ((training > 0).sum(axis=1) <= 3).all()
    shuffled = data.take(pa.array(random.sample(range(len(rows)), len(rows)), pa.int64()))
    increments = LatestInteractions.none(rules)
    for part in (shuffled.slice(len(rows) // 2), shuffled, shuffled.slice(0, len(rows) // 3)):
        increments = increments.with_events(part, rules)
    increments = increments.with_items(pa.array(list(ITEMS)))
    kept = increments.user_item_matrix(half_life)[0].toarray()
    columns = [increments.item_ids.to_pylist().index(item) for item in whole.item_ids]
    users = increments.user_ids.to_pylist()
    histories = [
        [Interaction(item, action, value, at * HOUR) for who, item, action, value, at in rows if who == user]
        for user in whole.user_ids
    ]
    encoded, encoded_seen = Encoder(whole.item_ids, rules, half_life).encode(histories)
    for row, user in enumerate(whole.user_ids):
        served = encoded.toarray()[row]
        incremental = kept[users.index(user)][columns] if user in users else np.zeros(len(ITEMS))
        # Each path measures age from a moment of its own, which scales the row.
        assert scaled(incremental) == pytest.approx(scaled(training[row]), rel=1e-6)
        assert scaled(served) == pytest.approx(scaled(queries[row]), rel=1e-6)
        assert scaled(np.maximum(served, 0)) == pytest.approx(scaled(training[row]), rel=1e-6)
        assert encoded_seen.toarray()[row].tolist() == seen[row].tolist()
        filtered = filtered_items(histories[row], rules)
        assert filtered == {item for item, is_seen in zip(whole.item_ids, seen[row], strict=True) if is_seen}


def scaled(row: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(row / max(np.abs(row).max(), 1e-300))


def test_what_everybody_rates_worst_neither_leads_nor_is_a_reason() -> None:
    rows: list[tuple[str, str, str, float | None]] = []
    for number in range(60):
        rows.append((f"u{number}", "flop", "rate", 1.0))
        rows += [(f"u{number}", f"film{(number + step) % 6}", "rate", 5.0 - step) for step in range(2)]
    rules = {"rate": ActionRule(weight=3, scale=(1.0, 5.0))}
    model = HybridRecommender.fit(Interactions.from_table(table(rows), rules), mixture(shrinkage=0.1), rules)
    assert model.popular(10)[-1].item_id == "flop"
    answer = model.recommend([[Interaction("flop", "rate", 1.0, 0)]], 10)[0]
    assert all(each.because != "flop" for each in answer)
    assert "flop" not in {each.item_id for each in answer}
