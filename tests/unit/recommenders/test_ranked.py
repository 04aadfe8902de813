"""The ranker: taught, asked one by one and in a batch, stored and mapped, and what it is made of."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.evaluation.metrics import evaluate
from lemo.recommenders.evaluation.splits import split
from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
from lemo.recommenders.hybrid.ranker import TreeRanker
from lemo.recommenders.hybrid.ranking_features import Candidates
from lemo.recommenders.hybrid.trees import Trees, trees_of
from lemo.recommenders.selection.hyperparameter_search import assess, silent
from lemo.recommenders.selection.ranker_training import PARAMETERS, train_ranker
from recommender_worlds import DAY, RULES, groups_world, mixture, read

PLAIN = mixture(half_life_ms=30 * DAY, popularity_half_life_ms=5 * DAY, share=0.3)


@pytest.fixture(scope="module")
def world() -> Interactions:
    return groups_world(seed=11)


@pytest.fixture(scope="module")
def config(world: Interactions) -> HybridConfig:
    taught = train_ranker(split(world).train, PLAIN, RULES, silent)
    assert taught is not None
    return taught


@pytest.fixture(scope="module")
def model(world: Interactions, config: HybridConfig) -> HybridRecommender:
    return HybridRecommender.fit(split(world).train, config, RULES)


def test_it_is_better_than_the_blend_on_days_that_it_has_not_seen(
    world: Interactions, config: HybridConfig, model: HybridRecommender
) -> None:
    parts = split(world)
    blend = evaluate(HybridRecommender.fit(parts.train, PLAIN, RULES), parts)
    assert evaluate(model, parts).ndcg_at_10 > 1.2 * blend.ndcg_at_10


def test_without_time_it_learns_from_what_users_did_last(world: Interactions) -> None:
    timeless = replace(world, timestamps=np.full_like(world.timestamps, DAY))
    plain = mixture(share=0.1)
    parts = split(timeless)
    taught = train_ranker(parts.train, plain, RULES, silent, parts.protocol)
    assert taught is not None
    model = HybridRecommender.fit(parts.train, taught, RULES)
    blend = HybridRecommender.fit(parts.train, plain, RULES)
    assert evaluate(model, parts).ndcg_at_10 > 1.2 * evaluate(blend, parts).ndcg_at_10
    arrays, manifest = model.to_arrays()
    again = HybridRecommender.from_arrays(arrays, json.loads(json.dumps(manifest)))
    tastes, seen = timeless.user_item_matrix()[:5], timeless.seen_csr()[:5]
    assert np.array_equal(again.rank(tastes, seen, 10)[0], model.rank(tastes, seen, 10)[0])


def test_trees_say_what_lightgbm_says() -> None:
    import lightgbm

    random = np.random.default_rng(3)
    features = random.normal(size=(3_000, 6)).astype(np.float32)
    liked = (features[:, 0] * features[:, 1] + random.normal(size=3_000) > 1).astype(np.float32)
    data = lightgbm.Dataset(features, liked, group=[30] * 100, params=PARAMETERS)
    booster = lightgbm.train(PARAMETERS, data, num_boost_round=20)
    trees = trees_of(booster.dump_model()["tree_info"])
    assert trees.scores(features) == pytest.approx(booster.predict(features), abs=1e-7)
    assert len(np.unique(trees.scores(features))) > 50
    few = [trees.scores(features[start : start + 300]) for start in range(0, 3_000, 300)]
    assert np.array_equal(np.concatenate(few), trees.scores(features)), "few rows are asked in another way than many"
    again = Trees.model_validate_json(trees.model_dump_json())
    assert again == trees
    assert np.array_equal(again.scores(features), trees.scores(features))


def test_teaching_is_deterministic(world: Interactions, config: HybridConfig) -> None:
    assert train_ranker(split(world).train, PLAIN, RULES, silent) == config


def test_one_user_and_many_are_answered_alike_bit_for_bit(world: Interactions, model: HybridRecommender) -> None:
    tastes, seen = world.user_item_matrix(PLAIN.query_half_life_ms)[:40], world.seen_csr()[:40]
    items, scores = model.rank(tastes, seen, 50)
    for user in range(40):
        one, values = model.rank(tastes[user : user + 1], seen[user : user + 1], 50)
        assert np.array_equal(one[0], items[user])
        assert np.array_equal(values[0], scores[user])


def test_answers_fall_and_go_on_past_the_candidates(world: Interactions, model: HybridRecommender) -> None:
    tastes, seen = world.user_item_matrix(PLAIN.query_half_life_ms)[:5], world.seen_csr()[:5]
    items, scores = model.rank(tastes, seen, len(world.item_ids))
    for user in range(5):
        known = seen.indices[seen.indptr[user] : seen.indptr[user + 1]]
        answered = items[user][items[user] >= 0]
        assert sorted([*answered, *known]) == list(range(len(world.item_ids)))
        assert np.all(np.diff(scores[user][: len(answered)]) <= 0)


def test_arrays_hold_the_whole_model(world: Interactions, model: HybridRecommender) -> None:
    arrays, manifest = model.to_arrays()
    for array in arrays.values():
        array.flags.writeable = False
    again = HybridRecommender.from_arrays(arrays, json.loads(json.dumps(manifest)))
    tastes, seen = world.user_item_matrix(PLAIN.query_half_life_ms), world.seen_csr()
    for ours, theirs in zip(model.rank(tastes, seen, 20), again.rank(tastes, seen, 20), strict=True):
        assert np.array_equal(ours, theirs)


def test_who_is_unknown_gets_what_is_popular(model: HybridRecommender) -> None:
    plain = HybridRecommender.fit(split(groups_world(seed=11)).train, PLAIN, RULES)
    assert [each.item_id for each in model.popular(10)] == [each.item_id for each in plain.popular(10)]


@pytest.mark.parametrize(
    "acts",
    [
        [],
        [("u", "a", "click", 1)],
        [("u", "a", "click", 1), ("v", "b", "click", 2)],
        [(f"u{user}", f"i{item}", "click", 5) for user in range(20) for item in range(10)],
    ],
    ids=["nothing", "one act", "two acts", "all at one moment"],
)
def test_too_little_teaches_nothing_and_a_taught_ranker_copes(
    acts: list[tuple[str, str, str, int]], config: HybridConfig
) -> None:
    data = read(*acts)
    assert train_ranker(data, PLAIN, RULES, silent) is None
    model = HybridRecommender.fit(data, config, RULES)
    items, _ = model.rank(data.user_item_matrix(None), data.seen_csr(), 5)
    assert len(items) == len(data.user_ids)


def test_where_lightgbm_cannot_be_loaded_the_blend_serves_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: Interactions
) -> None:
    (tmp_path / "lightgbm.py").write_text('raise OSError("libgomp.so.1: cannot open shared object file")')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lightgbm", raising=False)
    found = assess(world, RULES)
    assert found is not None
    assert found.config.ranker is None
    assert found.model == found.hybrid
    assert "libgomp.so.1: cannot open shared object file" in found.without
    assert "apt-get install libgomp1" in found.without


def test_a_ranker_starts_from_where_a_candidate_stands_in_the_blend(config: HybridConfig) -> None:
    ranker = config.ranker
    assert ranker is not None
    sizes, blended = np.array([3, 0, 2, 1]), np.array([1.0, 2.0, 6.0, 4.0, 4.0, 9.0])
    features = np.zeros((6, int(ranker.trees.features.max()) + 1), dtype=np.float32)
    found = Candidates(sizes, np.arange(6), features, blended)
    spread = np.std([1, 2, 6])
    assert found.normalised == pytest.approx([-2 / spread, -1 / spread, 3 / spread, 0, 0, 0])
    assert ranker.start > 0
    assert ranker.scores(found) - ranker.trees.scores(features) == pytest.approx(ranker.start * found.normalised)
    # A ranker that was taught before there was a start serves on as it was.
    before = TreeRanker.model_validate(ranker.model_dump(exclude={"start"}))
    assert np.array_equal(before.scores(found), ranker.trees.scores(features))
