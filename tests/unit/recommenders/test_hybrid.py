import numpy as np
import pytest

from lemo.domain.interaction import Interaction
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
from recommender_worlds import DAY, RULES, groups_world, mixture, popularity_of, read, similarity_of

CONFIG = mixture(popularity_half_life_ms=10 * DAY, half_life_ms=10 * DAY, shrinkage=5, neighbours=20)


@pytest.fixture(scope="module")
def world() -> Interactions:
    return groups_world()


@pytest.fixture(scope="module")
def model(world: Interactions) -> HybridRecommender:
    return HybridRecommender.fit(world, CONFIG, RULES)


def histories(world: Interactions, users: range) -> list[list[Interaction]]:
    rows = [np.flatnonzero(world.users == user) for user in users]
    return [
        [Interaction(world.item_ids[world.items[row]], "click", None, int(world.timestamps[row])) for row in own]
        for own in rows
    ]


def test_one_request_and_a_batch_answer_the_same_bit_for_bit(world: Interactions, model: HybridRecommender) -> None:
    queried = [*histories(world, range(40)), []]
    batch = model.recommend(queried, 15)
    assert [model.recommend([history], 15)[0] for history in queried] == batch
    assert [model.recommend([history[::-1]], 15)[0] for history in queried] == batch


def test_chunks_change_nothing(world: Interactions, model: HybridRecommender, monkeypatch: pytest.MonkeyPatch) -> None:
    queried = histories(world, range(20))
    whole = model.recommend(queried, 10)
    monkeypatch.setattr("lemo.recommenders.hybrid.hybrid.CHUNK_CELLS", 600)
    assert model.recommend(queried, 10) == whole


def test_encoded_users_get_the_recommendations_of_their_histories(
    world: Interactions, model: HybridRecommender
) -> None:
    items, scores = model.rank(world.query_matrix(10 * DAY), world.seen_csr(), 10)
    for row, answer in enumerate(model.recommend(histories(world, range(50)), 10)):
        assert [one.item_id for one in answer] == [world.item_ids[code] for code in items[row]]
        assert [one.score for one in answer] == pytest.approx(scores[row].tolist(), abs=1e-6)


def test_scores_are_the_mixed_z_scores(world: Interactions, model: HybridRecommender) -> None:
    queries = world.user_item_matrix(10 * DAY)[:1]
    weights = popularity_of(model).weights
    own = (queries @ similarity_of(model).similar.T).toarray()[0]
    expected = 0.5 * (own - own.mean()) / own.std()
    expected += 0.5 * (weights - weights.mean()) / weights.std()
    expected[world.seen_csr()[0].indices] = -np.inf
    items, scores = model.rank(queries, world.seen_csr()[:1], 10)
    assert scores[0] == pytest.approx(np.sort(expected)[::-1][:10], rel=1e-4)
    assert expected[items[0]] == pytest.approx(scores[0], rel=1e-4)


def test_scores_fall_and_seen_or_unavailable_items_are_left_out(world: Interactions, model: HybridRecommender) -> None:
    queried = histories(world, range(30))
    unavailable = {item.item_id for item in model.popular(5)}
    for history, answer in zip(queried, model.recommend(queried, 20, unavailable | {"unknown"}), strict=True):
        ids = [one.item_id for one in answer]
        assert len(set(ids)) == 20
        assert not set(ids) & ({touch.item_id for touch in history} | unavailable)
        assert [one.score for one in answer] == sorted((one.score for one in answer), reverse=True)


def test_reasons_name_an_item_of_the_history(world: Interactions, model: HybridRecommender) -> None:
    queried = histories(world, range(30))
    kinds = set()
    for history, answer in zip(queried, model.recommend(queried, 20), strict=True):
        for one in answer:
            kinds.add(one.kind)
            assert (one.because is None) == (one.kind == "popular")
            assert one.because is None or one.because in {touch.item_id for touch in history}
    assert kinds == {"similar", "popular"}


def test_the_reason_is_the_item_that_contributes_most() -> None:
    both = [(f"u{user}", item, "like", user) for user in range(20) for item in ("a", "b")]
    some = [(f"u{user}", "c", "like", user) for user in range(2)]
    model = HybridRecommender.fit(
        read(*both, *some, *[("other", f"x{n}", "like", n) for n in range(9)]),
        mixture(share=1, shrinkage=1),
        RULES,
    )
    answer = model.recommend([[Interaction("a", "like", None, 1), Interaction("c", "like", None, 1)]], 1)[0]
    assert [(one.item_id, one.because, one.kind) for one in answer] == [("b", "a", "similar")]


def test_users_without_a_known_interaction_get_popular_items(model: HybridRecommender) -> None:
    most = np.argsort(-popularity_of(model).weights, kind="stable")[:10]
    expected = [model.item_ids[code] for code in most]
    unknown = [Interaction("never heard of", "click", None, 1)]
    for answer in (model.popular(10), *model.recommend([[], unknown], 10)):
        assert [one.item_id for one in answer] == expected
        assert {one.kind for one in answer} == {"popular"}


def test_a_new_interaction_changes_the_recommendations(model: HybridRecommender) -> None:
    before = model.recommend([[Interaction("item-0000", "click", None, DAY)]], 10)
    after = model.recommend(
        [[Interaction("item-0000", "click", None, DAY), Interaction("item-0003", "click", None, DAY)]], 10
    )
    assert [one.item_id for one in before[0]] != [one.item_id for one in after[0]]


def test_arrays_hold_the_whole_model(world: Interactions, model: HybridRecommender) -> None:
    arrays, manifest = model.to_arrays()
    for array in arrays.values():
        array.flags.writeable = False
    again = HybridRecommender.from_arrays(arrays, manifest)
    queried = histories(world, range(10))
    assert again.recommend(queried, 10) == model.recommend(queried, 10)
    assert (again.timeline, again.config, again.rules) == (world.timeline, CONFIG, RULES)
    assert np.shares_memory(similarity_of(again).transpose.data, arrays["source_0_transposed_data"])


def test_items_without_interactions_may_be_recommended() -> None:
    model = HybridRecommender.fit(read(("u", "a", "click", 1), item_ids=["b", "c"]), HybridConfig(), RULES)
    assert [one.item_id for one in model.recommend([[Interaction("a", "click", None, 1)]], 5)[0]] == ["b", "c"]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_equal_scores_come_in_the_order_of_items(share: float) -> None:
    data = read(*[(f"u{n}", f"i{n}", "click", 1) for n in range(8)])
    model = HybridRecommender.fit(data, mixture(share=share), RULES)
    answer = model.recommend([[Interaction("i0", "click", None, 1)]], 5)[0]
    assert [one.item_id for one in answer] == ["i1", "i2", "i3", "i4", "i5"]


def test_too_little_data_is_fine() -> None:
    nothing = HybridRecommender.fit(read(), HybridConfig(), RULES)
    assert nothing.recommend([[], [Interaction("a", "click", None, 1)]], 5) == [[], []]
    one = HybridRecommender.fit(read(("u", "a", "click", 1)), HybridConfig(), RULES)
    assert [answer.item_id for answer in one.recommend([[]], 5)[0]] == ["a"]
    assert one.recommend([[Interaction("a", "click", None, 1)]], 5) == [[]]
    assert one.recommend([[]], 0) == [[]]
    assert one.recommend([], 5) == []
    arrays, manifest = nothing.to_arrays()
    assert HybridRecommender.from_arrays(arrays, manifest).recommend([[]], 5) == [[]]


def test_one_user_with_very_many_events() -> None:
    random = np.random.default_rng(0)
    n = 100_000
    data = Interactions(
        ["heavy"],
        [f"i{code:05}" for code in range(30_000)],
        np.zeros(n, dtype=np.int32),
        random.integers(0, 30_000, n).astype(np.int32),
        np.arange(n),
        np.ones(n, dtype=np.float32),
        np.ones(n, dtype=bool),
    )
    model = HybridRecommender.fit(data, CONFIG, RULES)
    items, _ = model.rank(data.user_item_matrix(), data.seen_csr(), 10)
    assert not set(items[0].tolist()) & set(data.items.tolist()) - {-1}
