"""Team draft is fair, and the preference it tells holds at every look; the long form is `make bench-experiments`."""

from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interleaving_worlds import Outcome, World, watch
from lemo.statistics.estimates import Sample
from lemo.statistics.interleaving import judged, preference, team_draft, units_for

rankings = st.lists(st.integers(0, 12), unique=True, max_size=10)


@settings(deadline=None, max_examples=200)
@given(first=rankings, second=rankings, n=st.integers(1, 12), seed=st.integers(0, 2**32))
def test_each_team_takes_its_best_items_in_turns(first: list[int], second: list[int], n: int, seed: int) -> None:
    drafted = team_draft(first, second, n, Random(seed))
    items = [item for item, _ in drafted]
    assert len(set(items)) == len(items) == min(n, len({*first, *second}))
    for at, (item, team) in enumerate(drafted):
        before = items[:at]
        if team is not None:
            ranking = (first, second)[team]
            assert item == next(each for each in ranking if each not in before), "its best that is not taken"
        else:
            assert not set(first) - set(before) or not set(second) - set(before), "the other has none left"
        sizes = Counter(each for _, each in drafted[: at + 1])
        assert abs(sizes[0] - sizes[1]) <= 1


def test_chance_decides_who_is_first_and_a_common_item_is_of_either_team() -> None:
    random = Random(1)
    drafts = [team_draft(["x", "a", "b"], ["x", "c", "d"], 2, random) for _ in range(2_000)]
    assert sum(draft[0] == ("x", 0) for draft in drafts) / len(drafts) == pytest.approx(0.5, abs=0.04)
    assert {draft[1] for draft in drafts} == {("a", 0), ("c", 1)}


def simulate(world: World, experiments: int, planned: int) -> list[Outcome]:
    random = np.random.default_rng(20)
    return [watch(world, random, planned) for _ in range(experiments)]


def decided(outcomes: list[Outcome]) -> float:
    return sum(outcome.decision != "undecided" for outcome in outcomes) / len(outcomes)


def covered(outcomes: list[Outcome]) -> float:
    return sum(outcome.always_covered for outcome in outcomes) / len(outcomes)


def test_without_a_preference_looking_every_day_raises_few_false_alarms() -> None:
    # Half of the users like the one ranking, half the other: a user's answers are anything but independent.
    outcomes = simulate(World(), 200, 400)
    assert decided(outcomes) <= 0.05
    assert covered(outcomes) >= 0.95


def test_an_interval_for_one_look_would_raise_many(monkeypatch: pytest.MonkeyPatch) -> None:
    # That the test above can fail.
    monkeypatch.setattr("lemo.statistics.interleaving.multiplier", lambda *_: 1.96)
    monkeypatch.setattr("lemo.statistics.interleaving.p_value", lambda z, *_: 0.0 if abs(z) > 1.96 else 1.0)
    outcomes = simulate(World(), 100, 400)
    assert decided(outcomes) > 0.12
    assert covered(outcomes) < 0.88


def test_a_known_preference_is_found_and_covered() -> None:
    world = World(fans=0.62)
    assert world.true_share == pytest.approx(0.584, abs=0.001)
    planned = units_for(2 * world.true_share - 1)
    outcomes = simulate(world, 100, planned)
    assert sum(outcome.decision == "better" for outcome in outcomes) / len(outcomes) >= 0.8
    assert not any(outcome.decision == "worse" for outcome in outcomes)
    assert covered(outcomes) >= 0.95


def test_what_is_not_known_yet_is_said() -> None:
    assert preference(Sample()).share is None
    assert judged(preference(Sample()), ("a", "b"), None)[0] == "too early"
    one_sided = preference(Sample.of(np.ones(500), np.ones(500)))
    assert (one_sided.share, one_sided.low) == (1.0, None), "without variation there is no interval"
