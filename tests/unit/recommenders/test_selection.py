import numpy as np
import pytest

from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.evaluation.metrics import evaluate
from lemo.recommenders.evaluation.splits import split
from lemo.recommenders.hybrid.hybrid import HybridRecommender
from lemo.recommenders.selection.hyperparameter_search import FINALISTS, _folds, _robust, assess, select
from lemo.recommenders.selection.search_space import Mixture
from lemo.recommenders.sources.item_knn import ItemKnnConfig
from lemo.recommenders.sources.ridge import RidgeConfig
from recommender_worlds import DAY, RULES, groups_world, read


@pytest.fixture(scope="module")
def world() -> Interactions:
    return groups_world(users=200)


def everybody_follows_fashion(seed: int = 2) -> Interactions:
    """No groups: what is in fashion is touched by all alike."""
    data = groups_world(users=400, groups=1, items=120, seed=seed)
    random = np.random.default_rng(seed)
    return Interactions(
        data.user_ids,
        data.item_ids,
        random.permutation(data.users),
        data.items,
        data.timestamps,
        data.weights,
        data.seen,
    )


def test_folds_reach_to_the_newest_interaction(world: Interactions) -> None:
    folds = list(_folds(world))
    assert [fold.train.newest for fold in folds] == sorted(fold.train.newest for fold in folds)
    newest = world.where(world.timestamps == world.newest)
    grown = Interactions(
        world.user_ids,
        [*world.item_ids, "the newest"],
        np.append(world.users, newest.users),
        np.append(world.items, [200]),
        np.append(world.timestamps, newest.timestamps),
        np.append(world.weights, newest.weights),
        np.append(world.seen, newest.seen),
    )
    assert [bool((fold.relevant.indices == 200).any()) for fold in _folds(grown)] == [False] * 2 + [True]


KNN, RIDGE = ItemKnnConfig(), RidgeConfig()


def gains(noise: float, means: dict[Mixture, float]) -> dict[Mixture, np.ndarray]:
    """Gains of 400 users with these means; every mixture but the first differs by so much noise from user to user."""
    random = np.random.default_rng(0)
    found = {}
    for place, (mixture, mean) in enumerate(means.items()):
        apart = random.normal(0, noise, 400) if place else np.zeros(400)
        found[mixture] = (mean + apart - apart.mean()).astype(np.float32)
    return found


@pytest.mark.parametrize(("together", "personal"), [(0.98, (KNN,)), (0.995, (KNN, RIDGE)), (1.1, (KNN, RIDGE))])
def test_in_time_two_personal_sources_are_preferred_where_they_are_nearly_as_good(
    together: float, personal: tuple[ItemKnnConfig | RidgeConfig, ...]
) -> None:
    means: dict[tuple[ItemKnnConfig | RidgeConfig, ...], float] = {
        (KNN,): 0.5,
        (RIDGE,): 0.49,
        (KNN, RIDGE): 0.5 * together,
    }
    assert _robust(gains(0, {Mixture(each, None, 0.5): mean for each, mean in means.items()})).personal == personal


@pytest.mark.parametrize(("noise", "share"), [(0.0, 0.6), (0.25, 0.5), (1.0, 0.1), (9.0, 0.1)])
def test_in_time_the_least_personal_share_is_taken_that_is_as_good_but_for_noise(noise: float, share: float) -> None:
    means = {Mixture((KNN,), None, 0.6): 0.5, Mixture((), None, 0.0): 0.2}
    means |= {Mixture((KNN,), None, 0.1): 0.46, Mixture((KNN,), None, 0.5): 0.49, Mixture((KNN,), 9.0, 0.05): 0.499}
    assert _robust(gains(noise, means)) == Mixture((KNN,), None, share)


def test_personal_taste_is_found(world: Interactions) -> None:
    selection = select(world)
    popular = selection.config.of("popularity")
    assert popular is None or popular.weight <= 0.65
    assert selection.folds == 3
    assert [source.source for source in selection.popularity.sources] == ["popularity"]


def test_fashion_is_found() -> None:
    selection = select(everybody_follows_fashion())
    popular = selection.config.of("popularity")
    assert popular is not None
    assert popular.half_life_ms <= 3.1 * DAY
    assert popular.weight >= 0.5


def test_the_chosen_model_is_ahead_on_the_test_part(world: Interactions) -> None:
    stages: list[str] = []
    assessment = assess(world, RULES, lambda stage, _done, _total: stages.append(stage))
    assert assessment is not None
    assert assessment.protocol == "time"
    assert assessment.model == evaluate(
        HybridRecommender.fit(split(world).train, assessment.config, RULES), split(world)
    )
    assert assessment.model.ndcg_at_10 > 1.3 * assessment.decayed_popularity.ndcg_at_10
    assert assessment.decayed_popularity.ndcg_at_10 > assessment.popularity.ndcg_at_10
    ranker = ["preparing ranking data"] * 4 + ["training the ranker"] * 2
    assert stages == (["choosing"] * 6 + ranker) * 2 + ["measuring"] * 5


def test_without_time_the_second_choice_is_among_the_best_of_the_first(world: Interactions) -> None:
    first = select(world, protocol="user")
    assert first.finalists is not None
    assert len(first.finalists.personal) <= FINALISTS + 1
    assert select(world, protocol="user", finalists=first.finalists).config == first.config


def test_the_same_data_chooses_the_same(world: Interactions) -> None:
    order = np.random.default_rng(5).permutation(len(world))
    assert select(world.where(order)) == select(world)


def test_without_time_the_choice_is_made_by_user(world: Interactions) -> None:
    still = Interactions(
        world.user_ids,
        world.item_ids,
        world.users,
        world.items,
        np.full(len(world), 7, dtype=np.int64),
        world.weights,
        world.seen,
    )
    assessment = assess(still, RULES)
    assert assessment is not None
    assert assessment.protocol == "user"
    assert assessment.config.query_half_life_ms is None
    assert assessment.model.ndcg_at_10 > assessment.popularity.ndcg_at_10


def test_too_little_data_gives_the_default() -> None:
    few = read(*[(f"u{n % 3}", f"i{n}", "click", n) for n in range(12)])
    selection = select(few)
    assert (selection.ndcg_at_10, selection.folds) == (None, 0)
    assert assess(few, RULES) is not None
    for nothing in (read(), read(("a", "x", "click", 1)), read(("a", "x", "dislike", 1), ("a", "y", "dislike", 2))):
        assert assess(nothing, RULES) is None
        assert select(nothing).config.of("item-knn") is not None


def test_spoilt_weights_do_no_harm() -> None:
    world = groups_world(users=100)
    weights = world.weights.copy()
    weights[::5] = np.nan
    spoilt = Interactions(
        world.user_ids, world.item_ids, world.users, world.items, world.timestamps, weights, world.seen
    )
    assessment = assess(spoilt, RULES)
    assert assessment is not None
    assert assessment.model.ndcg_at_10 > assessment.popularity.ndcg_at_10
