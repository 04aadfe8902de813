"""What is new and how long a half-life is follows from where activity is: no user, event or item decides it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemo.recommenders.data.increments import LatestInteractions
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.data.timeline import LONGEST, Timeline
from lemo.recommenders.data.weighting import LONGEST_HISTORY
from lemo.recommenders.evaluation.splits import split
from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
from lemo.recommenders.sources.popularity import popularity
from recommender_worlds import DAY, RULES, Act, groups_world, mixture, read, table

YEAR = 365 * DAY
START = 41 * YEAR
"""2010: the worlds of these tests are as old as data that teams import first."""
OLD = groups_world(users=120, items=60, days=100)
OLD = replace(OLD, timestamps=OLD.timestamps + START)
TODAY = START + 16 * YEAR
MOMENTS = st.integers(START - 20 * YEAR, TODAY)


def with_user(world: Interactions, moments: list[int], items: list[int]) -> Interactions:
    """The world, and one more user who touches items at these moments."""
    count = len(moments)
    return replace(
        world,
        user_ids=[*world.user_ids, "visitor"],
        users=np.append(world.users, np.full(count, len(world.user_ids), dtype=np.int32)),
        items=np.append(world.items, np.resize(np.array(items, dtype=np.int32), count)),
        timestamps=np.append(world.timestamps, moments),
        weights=np.append(world.weights, np.ones(count, dtype=np.float32)),
        seen=np.append(world.seen, np.ones(count, dtype=bool)),
    )


def config(world: Interactions) -> HybridConfig:
    half_life = 0.05 * world.span
    return mixture(0.6, half_life, half_life, neighbours=20)


def answers(world: Interactions, chosen: HybridConfig) -> tuple[list[set[int]], float, set[str]]:
    """Of the old users: what each is answered, and how personal that is; and what is popular."""
    model = HybridRecommender.fit(world, chosen, RULES)
    users = np.arange(len(OLD.user_ids))
    tastes, seen = world.query_matrix(chosen.query_half_life_ms)[users], world.seen_csr()[users]
    lists = [set(row.tolist()) for row in model.rank(tastes, seen, 10)[0]]
    return lists, model.personal_share(tastes, seen), {each.item_id for each in model.popular(10)}


BEFORE = answers(OLD, config(OLD))


@settings(max_examples=30, deadline=None)
@given(st.lists(MOMENTS, min_size=1, max_size=50), st.lists(st.integers(0, 59), min_size=1, max_size=5))
def test_one_user_whenever_moves_nobodys_answers_by_more_than_a_share(moments: list[int], items: list[int]) -> None:
    world = with_user(OLD, moments, items)
    assert world.span == pytest.approx(OLD.span, rel=0.02)
    assert abs(world.timeline.now - OLD.timeline.now) < DAY
    lists, personal, popular = answers(world, config(world))
    assert np.mean([len(ours & theirs) / 10 for ours, theirs in zip(lists, BEFORE[0], strict=True)]) > 0.75
    assert personal == pytest.approx(BEFORE[1], abs=0.15)
    assert len(popular & BEFORE[2]) >= 5


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), MOMENTS), max_size=20))
def test_similarity_knows_the_same_time_by_all_events_or_by_what_came_since(strays: list[tuple[int, int]]) -> None:
    acts: list[Act] = [(f"u{n % 40}", f"i{n % 7}", "click", START + n * DAY // 4) for n in range(400)]
    later: list[Act] = [(f"s{user}", "i1", "like", moment) for user, moment in strays]
    whole = LatestInteractions.none(RULES).with_events(table([*acts, *later]), RULES)
    steps = LatestInteractions.none(RULES).with_events(table(acts), RULES)
    for act in later:
        steps = steps.with_events(table([act]), RULES)
    assert steps.timeline == whole.timeline
    assert (steps.user_item_matrix(5 * DAY)[0].sum(axis=1) > 0).all()
    assert steps.user_item_matrix(5 * DAY)[0].data.max() <= 3


def test_what_goes_live_after_an_import_of_old_data_lives_in_the_present() -> None:
    live = groups_world(users=120, items=60, days=3, seed=2)
    world = replace(
        OLD,
        user_ids=[*OLD.user_ids, *(f"live-{code}" for code in range(120))],
        users=np.append(OLD.users, live.users + 120),
        items=np.append(OLD.items, live.items),
        timestamps=np.append(OLD.timestamps, live.timestamps + TODAY),
        weights=np.append(OLD.weights, live.weights),
        seen=np.append(OLD.seen, live.seen),
    )
    assert TODAY < world.timeline.now <= TODAY + 3 * DAY
    # Sixteen years without an event are a pause, not sixteen years of decay.
    assert OLD.span < world.span < 1.2 * OLD.span
    assert answers(world, config(world))[1] > BEFORE[1] / 2


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), MOMENTS | st.integers(0, 10)), max_size=80))
def test_lived_time_keeps_the_order_and_knows_few_pauses(events: list[tuple[int, int]]) -> None:
    users, times = (np.array([event[place] for event in events], dtype=np.int64) for place in (0, 1))
    timeline = Timeline.of(users, times)
    rising = np.sort(times)
    lived = timeline.lived(rising)
    assert (np.diff(lived) >= 0).all()
    assert (np.diff(lived) <= np.diff(rising)).all()
    assert lived.tolist() == [timeline.lived_at(moment) for moment in rising.tolist()]
    assert len(timeline.pauses) <= 1 / LONGEST
    assert (timeline.ages(times) >= 0).all()
    assert timeline.since <= timeline.now
    shuffled = np.random.default_rng(0).permutation(len(times))
    assert Timeline.of(users[shuffled], times[shuffled]) == timeline


def test_a_scenario_of_regular_activity_has_no_pause() -> None:
    for data in (OLD, read(*[(f"u{n % 9}", "x", "click", n * 7 * DAY) for n in range(60)])):
        assert data.timeline.pauses == ()


def test_one_user_makes_no_item_popular() -> None:
    acts: list[Act] = [(f"u{n}", f"i{n % 4}", "click", n) for n in range(80)]
    spam: list[Act] = [("robot", "spam", "click", n) for n in range(3 * LONGEST_HISTORY)]
    data = read(*acts, *spam)
    values = dict(zip(data.item_ids, popularity(data).tolist(), strict=True))
    assert values["spam"] < min(values[f"i{n}"] for n in range(4))


def test_the_test_part_is_no_single_users() -> None:
    world = groups_world(users=600, items=60)
    robot = [150 * DAY + n for n in range(20 * LONGEST_HISTORY)]
    asked = len(split(with_user(world, robot, [1, 2, 3])).users)
    assert asked > 0.5 * len(split(world).users)


@pytest.mark.parametrize("moment", [START - 20 * YEAR, TODAY])
def test_data_without_time_stays_without_time_after_one_event_of_another_moment(moment: int) -> None:
    world = with_user(replace(OLD, timestamps=np.full(len(OLD), START)), [moment], [1])
    assert world.span == 0
    assert split(world).protocol == "user"
