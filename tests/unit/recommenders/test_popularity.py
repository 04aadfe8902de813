import numpy as np
import pytest

from lemo.recommenders.sources.popularity import popularity, z_scores
from recommender_worlds import DAY, read


def test_recent_interactions_count_more() -> None:
    data = read(("a", "x", "like", 0), ("b", "x", "click", DAY), ("a", "y", "click", 2 * DAY), item_ids=["z"])
    assert popularity(data).tolist() == [4, 1, 0]
    assert popularity(data, DAY).tolist() == pytest.approx([3 / 4 + 1 / 2, 1, 0])


def test_very_old_interactions_still_order_items() -> None:
    data = read(("a", "old", "click", 0), ("a", "new", "click", 10_000 * DAY), item_ids=["never"])
    values = popularity(data, DAY)
    assert values[data.item_ids.index("new")] > values[data.item_ids.index("old")] > 0
    assert values[data.item_ids.index("never")] == 0


def test_z_scores() -> None:
    scores = z_scores(np.array([1.0, 2.0, 6.0]))
    assert (scores.mean(), scores.std()) == pytest.approx((0, 1))
    assert z_scores(np.full(4, 0.1)).tolist() == [0, 0, 0, 0]
    assert z_scores(np.zeros(0)).tolist() == []
