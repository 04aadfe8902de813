"""Bad data: from choosing to answering nothing crashes, warns or becomes NaN, and what is answered makes sense."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from lemo.domain.interaction import Interaction
from lemo.domain.item import Item
from lemo.domain.scenario import ActionRule
from lemo.recommenders.data.increments import LatestInteractions
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.data.weighting import LONGEST_HISTORY
from lemo.recommenders.evaluation.splits import split
from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
from lemo.recommenders.profiles import Profiler
from lemo.recommenders.selection.hyperparameter_search import assess, silent
from lemo.recommenders.selection.ranker_training import train_ranker
from lemo.recommenders.selection.search_space import Mixture
from lemo.recommenders.sources.popularity import popularity
from lemo.recommenders.sources.ridge import RidgeConfig
from recommender_worlds import DAY, RULES, Act, groups_world, mixture, read, similarity_of, table

LONG_AGO, FAR_AHEAD = -(10**14), 10**14
"""Milliseconds some three thousand years away from 1970."""
HUGE = 1.7e308


def everybody(items: Sequence[str], action: str = "like", value: float | None = None, step: int = DAY) -> list[Act]:
    """Twenty users, each of whom acts on all items but one, one act a step."""
    return [
        (f"u{user:02}", item, action, (user * len(items) + place) * step, value)
        for user in range(20)
        for place, item in enumerate(items)
        if user % len(items) != place
    ]


SIX = [f"i{item}" for item in range(6)]
SCENARIOS: dict[str, list[Act]] = {
    "nobody and nothing": [],
    "one act": [("u", "i", "like", DAY)],
    "one item": [(f"u{user:02}", "only", "like", user * DAY) for user in range(40)],
    "one user": [("only", f"i{item:02}", "like", item * DAY) for item in range(40)],
    "one pair, again and again": [("u", "i", "like", moment * DAY) for moment in range(40)],
    "everybody likes everything at one moment": everybody(SIX, step=0),
    "everybody dislikes everything": everybody(SIX, "dislike"),
    "everybody turned against everything": [*everybody(SIX), *everybody(SIX, "dislike", step=2 * DAY)],
    "nothing but impressions": everybody(SIX, "impression"),
    "an action without a rule": [*everybody(SIX), *everybody(SIX, "unheard-of")],
    "nothing but an action without a rule": everybody(SIX, "unheard-of"),
    "values that are no number": [*everybody(SIX), *everybody(SIX, "rate", float("nan"))],
    "values without end": [*everybody(SIX, "rate", float("inf")), *everybody(SIX, "rate", -float("inf"))],
    "huge and negative values": [*everybody(SIX, "rate", HUGE), *everybody(SIX, "rate", -HUGE)],
    "moments thousands of years apart": [
        *everybody(SIX),
        ("u00", "i0", "like", LONG_AGO),
        ("z", "i1", "like", FAR_AHEAD),
    ],
    "empty and odd ids": [*everybody(["", " ", "\0", "猫", "x" * 5_000])],
}


@pytest.fixture(scope="module")
def taught() -> HybridConfig:
    """A configuration with a ranker, from a world that has nothing to do with the bad ones."""
    config = train_ranker(groups_world(seed=11), mixture(half_life_ms=30 * DAY), RULES, silent)
    assert config is not None
    return config


@pytest.mark.parametrize("protocol", [None, "user"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_model_is_chosen_measured_and_answers(name: str, protocol: str | None, taught: HybridConfig) -> None:
    data = read(*SCENARIOS[name])
    assessment = assess(data, RULES, protocol=protocol)  # type: ignore[arg-type]
    config = HybridConfig() if assessment is None else assessment.served
    if assessment is not None:
        for card in (assessment.model, assessment.hybrid, assessment.popularity, assessment.decayed_popularity):
            assert 0 <= card.ndcg_at_10 <= 1
    for each in (config, taught):
        answers_make_sense(data, HybridRecommender.fit(data, each, RULES), SCENARIOS[name])


def answers_make_sense(data: Interactions, model: HybridRecommender, acts: Sequence[Act]) -> None:
    """Fails unless users, strangers and rows of a matrix get what they have not seen, best first, finite scores."""
    histories: dict[str, list[Interaction]] = {user: [] for user in data.user_ids}
    for user, item, action, moment, *value in acts:
        histories[user].append(Interaction(item, action, value[0] if value else None, moment))
    asked = [*histories.values(), [], [Interaction("never seen", "like", None, DAY)]]
    known = [*data.seen_csr().toarray().sum(axis=1).tolist(), 0, 0]
    for answer, history, seen in zip(model.recommend(asked, 10), asked, known, strict=True):
        ids = [one.item_id for one in answer]
        assert len(ids) == len(set(ids)) == min(10, len(data.item_ids) - seen)
        assert not set(ids) & {touch.item_id for touch in history if touch.action not in ("impression", "unheard-of")}
        scores = [one.score for one in answer]
        assert np.all(np.isfinite(scores))
        assert scores == sorted(scores, reverse=True)
    rows, _ = model.rank(data.query_matrix(None), data.seen_csr(), 10)
    assert ((rows >= 0).sum(axis=1) == np.minimum(10, len(data.item_ids) - np.array(known[: len(rows)]))).all()


@pytest.mark.parametrize("name", SCENARIOS)
def test_similarity_and_profiles_cope(name: str) -> None:
    acts = SCENARIOS[name]
    found = LatestInteractions.none(RULES).with_events(table(acts), RULES)
    kept, unit = found.user_item_matrix(DAY)
    assert np.all(np.isfinite(kept.data))
    assert 0 < unit < np.inf
    histories: dict[str, list[Interaction]] = {}
    for user, item, action, moment, *value in acts:
        if abs(moment) < FAR_AHEAD:  # no event comes in with a time that no calendar holds
            histories.setdefault(user, []).append(Interaction(item, action, value[0] if value else None, moment))
    items = [Item(item_id=item, categories=["all"]) for item in SIX]
    for profile in Profiler(items, RULES).profiles(list(histories), list(histories.values())):
        assert all(0 <= taste.weight <= 1 for taste in profile.categories)


@pytest.mark.parametrize("weight", [0.0, -1.0, 1e-30, 100.0])
def test_weights_at_the_ends_of_what_rules_may_say(weight: float) -> None:
    rules = {"like": ActionRule(weight=weight)}
    data = Interactions.from_table(table(everybody(SIX)), rules)
    assessment = assess(data, rules)
    config = HybridConfig() if assessment is None else assessment.served
    for answer in HybridRecommender.fit(data, config, rules).recommend([[Interaction("i0", "like", None, DAY)]], 10):
        assert len(answer) == 5
        assert np.all(np.isfinite([one.score for one in answer]))


def swamped(items: Callable[[int], int], events: int) -> Interactions:
    """Two hundred users with tastes in groups, and one with very many events."""
    world = groups_world(users=200)
    at = np.arange(events)
    return Interactions(
        [*world.user_ids, "z"],
        world.item_ids,
        np.append(world.users, np.full(events, 200)).astype(np.int32),
        np.append(world.items, [items(place) for place in at.tolist()]).astype(np.int32),
        np.append(world.timestamps, at * (100 * DAY // events)),
        np.ones(len(world) + events, dtype=np.float32),
        np.ones(len(world) + events, dtype=bool),
    )


def test_one_user_with_very_many_events_hardly_changes_what_others_get() -> None:
    config = mixture(popularity_half_life_ms=100 * DAY, share=0.5)
    world, loud = groups_world(users=200), swamped(lambda place: place % 200, 100_000)
    plain, swollen = (HybridRecommender.fit(data, config, RULES) for data in (world, loud))
    ours, theirs = (model.rank(world.query_matrix(None), world.seen_csr(), 10)[0] for model in (plain, swollen))
    same = [len(set(one) & set(other)) for one, other in zip(ours.tolist(), theirs.tolist(), strict=True)]
    assert np.mean(same) > 8
    one_item = popularity(swamped(lambda _: 7, 100_000))
    assert one_item[7] <= popularity(world)[7] + LONGEST_HISTORY


def test_one_user_with_very_many_events_costs_what_their_number_costs() -> None:
    rules = {"like": ActionRule(weight=1)}
    n = 100_000
    moments = np.arange(n) * 1_000
    data = Interactions(
        ["heavy"],
        [f"i{item:05}" for item in range(25_000)],
        np.zeros(n, dtype=np.int32),
        np.random.default_rng(0).integers(0, 25_000, n).astype(np.int32),
        moments,
        np.ones(n, dtype=np.float32),
        np.ones(n, dtype=bool),
    )
    config = Mixture((RidgeConfig(neighbours=(20,)),), None, 0.5).config()
    HybridRecommender.fit(read(*everybody(SIX)), config, rules)  # compiles
    started = time.process_time()
    model = HybridRecommender.fit(data, config, rules)
    # All pairs of the items would be half a billion products.
    assert similarity_of(model).similar.nnz <= LONGEST_HISTORY * 20
    assert time.process_time() - started < 20
    items, _ = model.rank(data.query_matrix(None), data.seen_csr(), 10)
    assert not set(items[0].tolist()) & set(data.items.tolist())


def test_a_dislike_hides_an_item_and_speaks_against_those_like_it() -> None:
    acts: list[Act] = []
    for user in range(40):
        group = "ab"[user % 2]
        acts += [
            (f"u{user:02}", f"{group}{item}", "like", (user + item) * DAY) for item in range(8) if item != user % 8
        ]
    rules = RULES | {"nope": ActionRule(weight=-3, seen=False)}
    model = HybridRecommender.fit(read(*acts), mixture(share=0.5), rules)
    for action in ("dislike", "nope"):
        answer = model.recommend([[Interaction("a0", action, None, 90 * DAY)]], 16)[0]
        ids = [one.item_id for one in answer]
        assert "a0" not in ids
        assert {item[0] for item in ids[:8]} == {"b"}
        assert {one.because for one in answer} == {None}
    both = [Interaction("a0", "dislike", None, 90 * DAY), Interaction("a1", "like", None, 90 * DAY)]
    assert {one.because for one in model.recommend([both], 16)[0]} <= {None, "a1"}


def test_answers_to_those_who_only_dislike_are_the_same_one_by_one_and_by_matrix(taught: HybridConfig) -> None:
    world = groups_world()
    turned = world.weights.copy()
    turned[world.users < 10] = -3
    data = Interactions(world.user_ids, world.item_ids, world.users, world.items, world.timestamps, turned, world.seen)
    model = HybridRecommender.fit(data, taught, RULES)
    items, _ = model.rank(data.query_matrix(taught.query_half_life_ms)[:10], data.seen_csr()[:10], 10)
    own = [np.flatnonzero(world.users == user) for user in range(10)]
    histories = [
        [Interaction(world.item_ids[world.items[row]], "dislike", None, int(world.timestamps[row])) for row in rows]
        for rows in own
    ]
    for row, answer in enumerate(model.recommend(histories, 10)):
        assert [one.item_id for one in answer] == [world.item_ids[code] for code in items[row]]


def test_profiles_leave_out_what_is_disliked() -> None:
    items = [Item(item_id="a", categories=["good"]), Item(item_id="b", categories=["bad"]), Item(item_id="c")]
    history = [
        Interaction("a", "like", None, 1),
        Interaction("b", "dislike", None, 1),
        Interaction("gone", "like", None, 1),
    ]
    profile = Profiler(items, RULES).profiles(["u"], [history])[0]
    assert [(taste.label, taste.weight) for taste in profile.categories] == [("good", 1.0)]


def test_splits_of_a_single_moment_ask_about_each_users_last_part() -> None:
    parts = split(read(*everybody(SIX, step=0)))
    assert parts.protocol == "user"
    assert len(parts.users) == 20
