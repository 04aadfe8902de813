from collections.abc import Sequence

import numpy as np
import pytest
from scipy import sparse

from lemo.domain.interaction import Interaction
from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
from lemo.recommenders.sources.transitions import Transitions, TransitionsConfig
from recommender_worlds import DAY, RULES, Act, read

HOUR = DAY // 24


def course(users: int = 12) -> list[tuple[str, str, str, int]]:
    """Everybody takes a, b, c and d, in this order, an hour apart; every user on another day."""
    return [
        (f"u{user:02}", item, "like", user * DAY + step * HOUR)
        for user in range(users)
        for step, item in enumerate("abcd")
    ]


def fitted(acts: Sequence[Act], **parameters: float | None) -> Transitions:
    return next(Transitions.fit_many(read(*acts), [TransitionsConfig(**parameters)]))


def test_what_follows_is_worth_more_than_what_went_before_and_near_more_than_far() -> None:
    found = fitted(course(), half_life_share=None).similar.toarray()
    a, b, c, d = range(4)
    # Row: what speaks for an item. Twelve of everything, in units of a like; fading .7, backward .3, shrinkage 10.
    assert found[b, a] == pytest.approx(12 / (12 + 10))
    assert found[c, a] == pytest.approx(0.7 * 12 / 22)
    assert found[a, b] == pytest.approx(0.3 * found[b, a])
    assert found[d, a] < found[d, b] < found[d, c]
    assert np.diag(found).tolist() == [0, 0, 0, 0]


def test_what_happened_at_one_moment_has_no_order() -> None:
    basket: list[Act] = [(f"u{user}", item, "like", user * DAY) for user in range(5) for item in "abc"]
    assert fitted(basket).similar.nnz == 0


def test_several_interactions_with_one_item_in_a_row_are_one() -> None:
    twice: list[Act] = [
        (user, item, action, time + more)
        for user, item, action, time in course()
        for more, action in ((0, "like"), (60_000, "click"))
    ]
    once = fitted(course(), half_life_share=None).similar
    found = fitted(twice, half_life_share=None).similar
    assert found.toarray().astype(bool).tolist() == once.toarray().astype(bool).tolist()
    assert found[1, 0] > found[2, 0] > found[3, 0]


def test_old_transitions_fade() -> None:
    turned = [(f"v{act[0]}", {"b": "c", "c": "b"}.get(act[1], act[1]), act[2], act[3] + 100 * DAY) for act in course()]
    found = fitted([*course(), *turned], half_life_share=0.05).similar
    assert found[2, 0] > found[1, 0]  # of late, c follows a


def test_the_newest_item_of_a_history_counts_most() -> None:
    interactions = read(
        *course(), ("other", "x", "like", 0), ("other", "y", "like", HOUR), ("more", "y", "like", 40 * DAY)
    )
    config = TransitionsConfig(half_life_share=None, sharpness=4)
    (source,) = Transitions.fit_many(interactions, [config])
    model = HybridRecommender(
        interactions.item_ids,
        [source],
        HybridConfig(sources=(config,), query_half_life_ms=DAY),
        RULES,
        interactions.timeline,
    )
    old, new = Interaction("x", "like", None, 0), Interaction("b", "like", None, 2 * DAY)
    (answer,) = model.recommend([[old, new]], 2)
    assert [each.item_id for each in answer] == ["c", "d"]
    assert answer[0].because == "b"
    (reverse,) = model.recommend([[Interaction("b", "like", None, 0), Interaction("x", "like", None, 4 * DAY)]], 1)
    assert reverse[0].item_id == "y"


def test_dislikes_stay_dislikes_however_sharp() -> None:
    (source,) = Transitions.fit_many(read(*course()), [TransitionsConfig(half_life_share=None)])
    query = sparse.csr_matrix(np.array([[-3.0, 0, 0, 0]]))
    assert (source.scores(query).values < 0).all()
