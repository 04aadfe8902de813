"""Time that passes for all alike changes no order."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemo.domain.interaction import Interaction
from lemo.recommenders.data.increments import LatestInteractions
from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
from lemo.recommenders.selection.search_space import Mixture
from lemo.recommenders.sources.ridge import RidgeConfig
from recommender_worlds import DAY, RULES, mixture, read, table

acts = st.lists(
    st.tuples(
        st.sampled_from([f"u{number}" for number in range(8)]),
        st.sampled_from([f"i{number}" for number in range(12)]),
        st.sampled_from(["click", "like", "dislike", "impression"]),
        st.integers(0, 400).map(lambda hours: hours * DAY // 24),
    ),
    min_size=5,
    max_size=60,
)
Happened = list[tuple[str, str, str, int]]
CONFIGS = {
    "half-lives": mixture(half_life_ms=10 * DAY, popularity_half_life_ms=2 * DAY),
    "no decay": mixture(),
    "ridge": Mixture((RidgeConfig(half_life_ms=10 * DAY),), 2 * DAY, 0.5).config(),
}


def moved(happened: Happened, shift: int) -> Happened:
    return [(user, item, action, 10_000 * DAY + moment + shift) for user, item, action, moment in happened]


def answers(happened: Happened, config: HybridConfig) -> list[list[str]]:
    """What each user, and a stranger, are recommended, and what is popular."""
    model = HybridRecommender.fit(read(*happened), config, RULES)
    users = sorted({user for user, *_ in happened})
    histories = [
        [Interaction(item, action, None, moment) for who, item, action, moment in happened if who == user]
        for user in users
    ]
    found = model.recommend([*histories, []], 5)
    return [[each.item_id for each in items] for items in (*found, model.popular(5))]


@pytest.mark.parametrize("name", CONFIGS)
@given(happened=acts, days=st.sampled_from([-3_000, -1, 1, 400, 5_000]))
@settings(max_examples=8, deadline=None)
def test_recommendations_and_popularity_stay_when_all_timestamps_move(name: str, happened: Happened, days: int) -> None:
    assert answers(moved(happened, 0), CONFIGS[name]) == answers(moved(happened, days * DAY), CONFIGS[name])


@given(happened=acts, days=st.sampled_from([-3_000, 1, 5_000]))
@settings(max_examples=8, deadline=None)
def test_what_relates_items_stays_when_all_timestamps_move(happened: Happened, days: int) -> None:
    found = []
    for shift in (0, days * DAY):
        state = LatestInteractions.none(RULES).with_events(table(moved(happened, shift)), RULES)
        kept, unit = state.user_item_matrix(10 * DAY)
        found.append((kept.toarray(), unit))
    for (one, unit), (other, other_unit) in pairwise(found):
        assert np.allclose(one, other)
        assert unit == pytest.approx(other_unit)
