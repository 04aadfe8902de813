import numpy as np
import pytest

from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.data.weighting import decay
from recommender_worlds import DAY, RULES, Act, read, table

ACTS: list[Act] = [
    ("b", "y", "click", 5 * DAY),
    ("a", "x/ 猫", "like", 1 * DAY),
    ("a", "y", "click", 2 * DAY),
    ("a", "y", "click", 4 * DAY),
    ("c", "z", "rate", 3 * DAY, 6.0),
    ("c", "x/ 猫", "rate", 3 * DAY, 7.0),
    ("c", "y", "impression", 3 * DAY),
]


def test_codes_do_not_depend_on_the_order_of_rows() -> None:
    data, turned = read(*ACTS), read(*ACTS[::-1])
    assert data.user_ids == turned.user_ids == ["a", "b", "c"]
    assert data.item_ids == turned.item_ids == ["x/ 猫", "y", "z"]
    assert np.array_equal(data.users, turned.users[::-1])
    assert np.array_equal(data.csr(DAY).toarray(), turned.csr(DAY).toarray())


def test_weights_follow_the_rules() -> None:
    data = read(*ACTS, ("a", "z", "rate", DAY), ("a", "z", "rate", DAY, float("nan")), ("b", "z", "gone", DAY))
    assert data.weights.tolist() == [1, 3, 1, 1, 0, 1, 0, 1, 1, 0]
    assert data.seen.tolist() == [True] * 6 + [False, True, True, False]


def test_weights_are_summed_and_decayed_by_age() -> None:
    weights = read(*ACTS).csr(DAY)
    expected = np.zeros((3, 3))
    expected[0] = [3 / 16, 1 / 8 + 1 / 2, 0]
    expected[1, 1] = 1
    expected[2, 0] = 1 / 4
    assert weights.toarray() == pytest.approx(expected)
    assert weights.has_sorted_indices


def test_the_strongest_interaction_of_a_pair_counts() -> None:
    user_items = read(*ACTS).user_item_matrix(DAY).toarray()
    assert user_items[0].tolist() == pytest.approx([3 / 16, 1 / 2, 0])
    assert read(*ACTS).user_item_matrix().toarray()[0].tolist() == [3, 1, 0]


def test_without_a_half_life_nothing_decays() -> None:
    assert read(*ACTS).csr().toarray()[0].tolist() == [3, 2, 0]
    assert decay(np.array([0, DAY]), None).tolist() == [1, 1]


def test_what_was_disliked_last_is_not_liked() -> None:
    data = read(
        ("a", "x", "like", 1),
        ("a", "x", "dislike", 2),
        ("a", "y", "dislike", 1),
        ("a", "y", "like", 2),
        ("a", "z", "like", 3),
        ("a", "z", "dislike", 3),
    )
    assert data.csr().toarray()[0].tolist() == [0, 3, 0]
    assert data.user_item_matrix().toarray()[0].tolist() == [0, 3, 0]
    assert data.seen_csr().toarray()[0].tolist() == [True, True, True]


def test_seen_is_what_the_rules_say() -> None:
    assert read(*ACTS).seen_csr().toarray().tolist() == [[True, True, False], [False, True, False], [True, False, True]]


def test_items_of_the_catalogue_need_no_interaction() -> None:
    data = read(*ACTS, item_ids=["a new one", "y"])
    assert data.item_ids == ["a new one", "x/ 猫", "y", "z"]
    assert data.shape == (3, 4)
    assert data.csr().shape == (3, 4)


def test_an_empty_table_is_fine() -> None:
    data = Interactions.from_table(table([]), RULES, ["only"])
    assert (len(data), data.newest, data.span, data.shape) == (0, 0, 0, (0, 1))
    assert data.csr(DAY).shape == data.user_item_matrix().shape == data.seen_csr().shape == (0, 1)
    assert data.mean_weight == 1


def test_cutting_keeps_the_codes() -> None:
    data = read(*ACTS)
    old = data.where(data.timestamps < 3 * DAY)
    assert (len(old), old.newest, old.item_ids) == (2, 2 * DAY, data.item_ids)
    assert old.csr().toarray()[0].tolist() == [3, 1, 0]


def test_nan_weights_are_ignored() -> None:
    data = read(*ACTS)
    data.weights[:] = np.nan
    assert data.csr(DAY).nnz == data.user_item_matrix().nnz == 0
