import math

import numpy as np
import pytest
from scipy import sparse

from lemo.recommenders.blend import BlendConfig, BlendModel
from lemo.recommenders.evaluation import evaluate, measured, ndcg
from lemo.recommenders.split import split
from recommender_worlds import DAY, RULES, groups_world


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
    assert metrics.coverage == pytest.approx((4 + 10 + 1) / 40)
    assert metrics.users == 3


def test_a_perfect_answer_is_1_however_many_are_relevant() -> None:
    hits = np.zeros((3, 20), dtype=bool)
    hits[0, :1] = hits[1, :10] = hits[2, :20] = True
    assert ndcg(hits, np.array([1, 10, 50])).tolist() == pytest.approx([1, 1, 1])


def test_nobody_asked() -> None:
    metrics = measured(np.zeros((0, 20), dtype=np.int32), sparse.csr_matrix(np.zeros((0, 5), dtype=bool)), 5)
    assert (metrics.ndcg_at_10, metrics.users) == (0, 0)


def test_the_model_is_asked_about_the_users_of_the_split() -> None:
    parts = split(groups_world())
    model = BlendModel.fit(parts.train, BlendConfig(behaviour_half_life_ms=5 * DAY, behaviour_share=0.7), RULES)
    metrics = evaluate(model, parts)
    items, _ = model.rank(parts.train.tastes(5 * DAY), parts.train.seen_csr(), 20)
    assert metrics == measured(items[parts.users], parts.relevant, 200)
    assert metrics.users == len(parts.users) > 250
    assert 0 < metrics.ndcg_at_10 < 1
