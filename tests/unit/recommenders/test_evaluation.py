import math

import numpy as np
import pytest
from scipy import sparse

from lemo.recommenders.evaluation.metrics import ACCURACY, evaluate, measured, ndcg, scorecard
from lemo.recommenders.evaluation.splits import split, split_at
from lemo.recommenders.hybrid.hybrid import HybridRecommender
from recommender_worlds import DAY, RULES, groups_world, mixture, read


def test_metrics_by_hand() -> None:
    answers = np.full((3, 20), -1, dtype=np.int32)
    answers[0, :4] = [5, 0, 1, 2]
    answers[1] = np.arange(10, 30)
    answers[2, :1] = [7]
    relevant = np.zeros((3, 40), dtype=bool)
    relevant[0, [0, 2]] = True
    relevant[1, [25, 39, 38, 37]] = True
    relevant[2, 8] = True
    metrics = measured(answers, sparse.csr_matrix(relevant), 40)
    first = (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3))
    assert metrics.ndcg_at_10 == pytest.approx(first / 3)
    assert metrics.recall_at_20 == pytest.approx((1 + 1 / 4 + 0) / 3)
    assert metrics.mrr == pytest.approx((1 / 2 + 1 / 16 + 0) / 3)
    assert metrics.recall_at_10 == pytest.approx((1 + 0 + 0) / 3)
    assert metrics.map_at_10 == pytest.approx((1 / 2 + 2 / 4) / 2 / 3)
    assert metrics.coverage == pytest.approx((4 + 10 + 1) / 40)
    assert metrics.users == 3


def test_a_perfect_answer_is_1_however_many_are_relevant() -> None:
    hits = np.zeros((3, 20), dtype=bool)
    hits[0, :1] = hits[1, :10] = hits[2, :20] = True
    assert ndcg(hits, np.array([1, 10, 50])).tolist() == pytest.approx([1, 1, 1])


def test_no_queries() -> None:
    metrics = measured(np.zeros((0, 20), dtype=np.int32), sparse.csr_matrix(np.zeros((0, 5), dtype=bool)), 5)
    assert (metrics.ndcg_at_10, metrics.users) == (0, 0)


def test_the_users_of_the_split_are_evaluated() -> None:
    parts = split(groups_world())
    model = HybridRecommender.fit(parts.train, mixture(half_life_ms=5 * DAY, share=0.7), RULES)
    metrics = evaluate(model, parts)
    items, _ = model.rank(parts.train.query_matrix(5 * DAY), parts.train.seen_csr(), 20)
    by_hand = measured(items[parts.users], parts.relevant, 200)
    assert {name: getattr(metrics, name) for name in (*ACCURACY, "coverage", "users", "ndcg_by_user")} == {
        name: getattr(by_hand, name) for name in (*ACCURACY, "coverage", "users", "ndcg_by_user")
    }
    assert metrics.users == len(parts.users) > 250
    assert 0 < metrics.ndcg_at_10 < 1


def test_a_scorecard_says_how_certain_it_is_and_for_whom_it_holds() -> None:
    # Heavy ones liked 10 items before, light ones one; `availability` is liked by nobody before, `x0` by all.
    old = [(user, f"x{n}", "like", n) for user in ("heavy1", "heavy2") for n in range(10)]
    old += [(user, "x0", "like", 3) for user in ("light1", "light2", "light3")]
    new = [("heavy1", "fresh", "like", 20), ("heavy2", "y", "like", 21), ("light1", "fresh", "like", 22)]
    new += [("light2", "x1", "like", 23), ("stranger", "x0", "like", 24)]
    parts = split_at(read(*old, ("other", "y", "like", 5), *new), 20, 40)
    assert [parts.train.user_ids[user] for user in parts.users] == ["heavy1", "heavy2", "light1", "light2"]
    assert parts.cold_start is not None
    assert [parts.train.user_ids[user] for user in parts.cold_start.users] == ["stranger"]
    place = {item_id: code for code, item_id in enumerate(parts.train.item_ids)}
    answers = np.full((4, 20), -1, dtype=np.int32)
    answers[0, 0], answers[2, :2], answers[3, 0] = place["fresh"], [place["x9"], place["fresh"]], place["x1"]
    to_strangers = np.full((1, 20), -1, dtype=np.int32)
    to_strangers[0, :3] = [place["x1"], place["x2"], place["x0"]]
    card = scorecard(answers, parts, to_strangers)
    second = 1 / math.log2(3)
    assert card.ndcg_by_user == pytest.approx([1, 0, second, 1])
    assert card.ndcg_at_10 == pytest.approx((2 + second) / 4)
    low, high = card.intervals["ndcg_at_10"]
    assert 0 <= low < card.ndcg_at_10 < high <= 1
    assert {name: each.users for name, each in card.segments.items()} == {
        "heavy_users": 2,
        "light_users": 2,
        "new_items": 4,
        "new_users": 1,
    }
    assert card.segments["heavy_users"].ndcg_at_10 == pytest.approx(1 / 2)
    assert card.segments["light_users"].ndcg_at_10 == pytest.approx((1 + second) / 2)
    assert card.segments["new_users"].mrr == pytest.approx(1 / 3)
    assert "ndcg_by_user" not in card.model_dump()


def test_only_hits_of_new_items_count_in_their_segment() -> None:
    old = [(f"u{n}", item, "like", n) for n in range(8) for item in ("old", "older")]
    parts = split_at(
        read(*old, ("fan", "older", "like", 1), ("fan", "old", "like", 20), ("fan", "new", "like", 21)), 9, 40
    )
    place = {item_id: code for code, item_id in enumerate(parts.train.item_ids)}
    answers = np.full((1, 20), -1, dtype=np.int32)
    answers[0, :2] = [place["old"], place["new"]]
    card = scorecard(answers, parts)
    assert card.segments["new_items"].mrr == 1 / 2
    assert card.mrr == 1
    assert list(card.segments) == ["light_users", "new_items"]


def test_a_scorecard_of_nobody() -> None:
    parts = split(read(("a", "x", "click", 1)))
    card = scorecard(np.zeros((0, 20), dtype=np.int32), parts)
    assert (card.users, card.novelty, card.diversity, card.segments) == (0, None, None, {})
