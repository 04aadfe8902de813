import numpy as np
import pytest

from lemo.recommenders.evaluation.splits import folds_by_user, folds_in_time, split, split_at
from recommender_worlds import DAY, Act, groups_world, read, same


def test_the_first_part_trains_and_the_rest_tests() -> None:
    old = [("a", f"o{n}", "click", n) for n in range(8)]
    parts = split(read(*old, ("a", "new", "click", 8), ("b", "o1", "click", 9)))
    assert parts.protocol == "time"
    assert len(parts.train) == 8
    assert parts.train.newest == 7
    assert [parts.train.user_ids[user] for user in parts.users] == ["a"]
    assert [parts.train.item_ids[item] for item in parts.relevant.indices] == ["new"]


def test_only_new_liked_items_of_known_users_are_relevant() -> None:
    old = [("a", "x", "like", n) for n in range(12)]
    later = [
        ("a", "x", "like", 20),
        ("a", "bad", "dislike", 21),
        ("stranger", "y", "like", 22),
    ]
    parts = split_at(read(*old, *later, ("a", "later", "like", 40)), 20, 40)
    assert len(parts.users) == 0
    assert parts.relevant.shape[0] == 0
    parts = split_at(read(*old, *later, ("a", "y", "like", 23), ("a", "y", "like", 24)), 20, 40)
    assert parts.relevant.data.tolist() == [True]
    assert parts.relevant.nnz == 1


def test_seen_items_are_not_relevant_even_if_liked_later() -> None:
    acts: list[Act] = [("a", "x", "like", 1), ("a", "seen", "rate", 2, 3.0), ("a", "seen", "like", 9)]
    assert len(split_at(read(*acts), 5, 10).users) == 0


def test_without_time_each_user_is_split() -> None:
    acts = [(f"u{user}", f"i{item}", "click", 5) for user in range(20) for item in range(user, user + 10)]
    data, turned = read(*acts), read(*acts[::-1])
    parts = split(data)
    assert parts.protocol == "user"
    assert np.bincount(parts.train.users).tolist() == [8] * 20
    assert np.diff(parts.relevant.indptr).tolist() == [2] * 20
    assert same(parts.relevant, split(turned).relevant)
    # Neither the first nor the last items of a user are always the ones that are asked for.
    places = parts.relevant.indices - np.repeat([int(data.user_ids[user][1:]) for user in parts.users], 2)
    assert len(np.unique(places)) > 4


def test_a_first_moment_that_holds_nearly_all_still_leaves_a_test() -> None:
    acts = [("a", f"i{n}", "click", 1) for n in range(99)]
    parts = split(read(*acts, ("a", "new", "click", 2)))
    assert (len(parts.train), parts.relevant.nnz) == (99, 1)


def test_nothing_to_split() -> None:
    for data in (read(), read(("a", "x", "click", 1))):
        assert len(split(data).users) == 0


def test_parts_keep_codes_and_lose_nothing() -> None:
    data = groups_world(days=10)
    parts = split(data)
    assert parts.train.item_ids is data.item_ids
    assert len(parts.train) == round(0.8 * len(data))
    assert parts.train.newest < 10 * DAY


def test_the_protocol_user_may_be_chosen_where_there_is_time() -> None:
    data = groups_world()
    parts = split(data, protocol="user")
    assert parts.protocol == "user"
    assert parts.cold_start is None
    ends = np.zeros(len(data.user_ids), dtype=np.int64)
    np.maximum.at(ends, parts.train.users, parts.train.timestamps)
    later = ~np.isin(data.pairs, parts.train.pairs)
    assert (data.timestamps[later] >= ends[data.users[later]]).all()


def test_cold_start_users_liked_nothing_in_the_training_part() -> None:
    old = [("a", f"o{n}", "click", n) for n in range(8)]
    later = [("refuser", "o2", "like", 9), ("b", "o1", "click", 10)]
    parts = split_at(read(*old, ("refuser", "o1", "dislike", 3), *later), 9, 20)
    assert parts.cold_start is not None
    assert [parts.train.user_ids[user] for user in parts.cold_start.users] == ["b", "refuser"]
    assert parts.cold_start.train is parts.train
    assert len(parts.users) == 0


def test_folds_are_to_their_past_as_the_test_is_to_the_training_part() -> None:
    data = read(*[(f"u{act % 9}", f"i{act // 20}", "like", act) for act in range(1_000)])
    first, last = folds_in_time(data, (0.3, 0.75))
    assert len(first.train) == 300
    assert (len(last.train), last.train.newest) == (750, 749)
    test = split(data)
    assert (1_000 - len(last.train)) / 1_000 == pytest.approx((1_000 - len(test.train)) / len(test.train))
    # Each asks about a quarter of all acts, the last one until the newest.
    asked = [{data.item_ids[item] for item in window.relevant.indices} for window in (first, last)]
    assert asked == [{f"i{place}" for place in range(15, 28)}, {f"i{place}" for place in range(38, 50)}]


def test_folds_by_user_test_on_the_last_fifth() -> None:
    data = read(*[(f"u{user}", f"i{act}", "like", act) for user in range(3) for act in range(50)])
    half, whole = folds_by_user(data, (0.5, 1.0))
    for window, known, asked in ((half, 20, range(20, 25)), (whole, 40, range(40, 50))):
        assert len(window.train) == 3 * known
        for user in range(3):
            assert {data.item_ids[item] for item in window.relevant[user].indices} == {f"i{act}" for act in asked}
