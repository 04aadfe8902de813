import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemo.recommenders.evaluation.beyond_accuracy import diversity, mean_or_none, novelty
from recommender_worlds import groups_world, read


def test_what_everybody_knows_is_no_news() -> None:
    past = read(*[(f"u{n}", "hit", "like", n) for n in range(8)], ("u1", "rare", "like", 9), item_ids=("never",))
    hit, never, rare = (past.item_ids.index(name) for name in ("hit", "never", "rare"))
    shown = np.array([[hit, -1], [rare, hit], [never, -1], [-1, -1]])
    assert novelty(shown, past).tolist() == pytest.approx([0, 3 / 2, 3, np.nan], nan_ok=True)


def test_diversity_by_hand() -> None:
    past = read(
        *[(user, item, "like", 1) for user in ("a", "b") for item in ("x", "twin")],
        ("a", "half", "like", 1),
        ("c", "other", "like", 1),
        item_ids=("unknown",),
    )
    place = {item_id: code for code, item_id in enumerate(past.item_ids)}
    lists = [["x", "twin", ""], ["x", "other", ""], ["x", "half", ""], ["x", "twin", "other"], ["x", "unknown", ""]]
    shown = np.array([[place.get(name, -1) for name in names] for names in lists] + [[place["x"], -1, -1]])
    expected = [0, 1, 1 - 1 / np.sqrt(2), 2 / 3, 1, np.nan]
    assert diversity(shown, past).tolist() == pytest.approx(expected, nan_ok=True, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 10))
def test_any_lists_stay_within_bounds(seed: int, lists: int, places: int) -> None:
    random = np.random.default_rng(seed)
    past = groups_world(users=40, items=30, days=10)
    shown = np.stack([random.permutation(30)[:places] for _ in range(lists)])
    shown[random.random(shown.shape) < 0.2] = -1
    spread, news = diversity(shown, past), novelty(shown, past)
    counts = (shown >= 0).sum(axis=1)
    assert (np.isnan(spread) == (counts < 2)).all()
    assert (np.isnan(news) == (counts < 1)).all()
    assert ((spread >= 0) & (spread <= 1))[counts >= 2].all()
    assert (news[counts >= 1] >= 0).all()


def test_of_many_lists_some_are_measured_and_the_mean_is_of_these() -> None:
    past = groups_world(users=40, items=30, days=10)
    shown = np.tile(np.arange(10), (2_500, 1))
    values = diversity(shown, past)
    assert (~np.isnan(values)).sum() == 1_000
    assert mean_or_none(values) == pytest.approx(float(diversity(shown[:1], past)[0]))
    assert mean_or_none(np.array([np.nan])) is None


def test_nothing_known() -> None:
    nothing = read()
    assert diversity(np.zeros((0, 10), dtype=np.int64), nothing).tolist() == []
    assert np.isnan(diversity(np.full((2, 10), -1), nothing)).all()
    assert np.isnan(novelty(np.full((2, 10), -1), nothing)).all()
