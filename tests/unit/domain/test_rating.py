"""Which scale ratings are on, and what each of them says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemo.domain.interaction import interaction_weight
from lemo.domain.rating import disliked_to, learn_scale, liked_from
from lemo.domain.scenario import ActionRule

SCALES = {
    "stars": ((1.0, 5.0), range(1, 6), {1, 2}, {4, 5}),
    "half stars": ((0.5, 5.0), [half / 2 for half in range(1, 11)], {0.5, 1, 1.5, 2}, {3.5, 4, 4.5, 5}),
    "0 to 10": ((0.0, 10.0), range(11), {0, 1, 2, 3}, {7, 8, 9, 10}),
    "1 to 10": ((1.0, 10.0), range(1, 11), {1, 2, 3, 4}, {7, 8, 9, 10}),
    "0 to 100": ((0.0, 100.0), range(0, 101, 5), set(range(0, 36, 5)), set(range(65, 101, 5))),
    "thumbs": ((-1.0, 1.0), [-1, 0, 1], {-1}, {1}),
    "up or down": ((0.0, 1.0), [0, 1], {0}, {1}),
    "around zero": ((-10.0, 10.0), range(-10, 11), set(range(-10, -2)), set(range(3, 11))),
}


@pytest.mark.parametrize("name", SCALES)
def test_a_scale_is_learnt_from_its_values(name: str) -> None:
    scale, values, disliked, liked = SCALES[name]
    assert learn_scale(dict.fromkeys(values, 100.0)) == scale
    rule = ActionRule(weight=3, scale="auto", learnt=scale)
    assert {value for value in values if interaction_weight(rule, value) == 3} == liked
    assert {value for value in values if interaction_weight(rule, value) == -3} == disliked


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize("stray", [-1e6, -7.0, 0.0, 0.2, 1.0, 99.0, 1e6])
def test_one_user_among_many_does_not_change_the_scale(name: str, stray: float) -> None:
    scale, values, _, _ = SCALES[name]
    users = {float(value): 100.0 for value in values}
    assert learn_scale(users | {stray: users.get(stray, 0.0) + 0.5}) == scale


def test_only_ones_do_not_tell() -> None:
    assert learn_scale({1.0: 20}) is None
    assert learn_scale({}) is None
    assert interaction_weight(ActionRule(weight=3, scale="auto"), 1.0) == 0


@given(st.dictionaries(st.floats(-1e6, 1e6), st.floats(0.01, 1e6), min_size=1))
def test_a_scale_is_in_order_and_has_a_middle(users: dict[float, float]) -> None:
    scale = learn_scale(users)
    if scale is not None:
        assert scale[0] < disliked_to(scale) < liked_from(scale) < scale[1]


def test_a_rating_without_a_value_says_nothing() -> None:
    assert interaction_weight(ActionRule(weight=3, scale=(1, 5)), None) == 0
    assert interaction_weight(ActionRule(weight=3, min_value=30), None) == 3


def test_limits_given_by_hand_come_before_those_of_the_scale() -> None:
    rule = ActionRule(weight=3, scale="auto", learnt=(1, 5), min_value=5, dislike_value=1)
    assert [interaction_weight(rule, value) for value in (1, 2, 4, 5)] == [-3, 0, 0, 3]
    # Of two limits that cross, what speaks for the item counts.
    assert interaction_weight(ActionRule(weight=3, scale=(1, 5), min_value=1), 1) == 3
