import numpy as np
import pytest

from lemo.recommenders.evaluation.significance import compare, intervals


def test_a_real_difference_is_found_and_noise_is_not() -> None:
    random = np.random.default_rng(3)
    theirs = random.random(500)
    better = compare(theirs + random.normal(0.02, 0.1, 500), theirs)
    assert better.better
    assert 0 < better.low < better.difference < better.high
    assert not compare(theirs, theirs + 0.02 * random.random(500)).better
    noise = [compare(theirs + random.normal(0, 0.1, 500), theirs).better for _ in range(400)]
    # One in twenty is taken for better by chance, by design.
    assert sum(noise) == pytest.approx(20, abs=15)


def test_pairs_count_not_sums() -> None:
    users = np.linspace(0, 1, 100)
    small = 0.01 + 0.001 * np.cos(np.arange(100))
    assert compare(users + small, users).better  # each user is a little better off
    assert not compare(np.roll(users, 50) + small, users).better


@pytest.mark.parametrize(
    ("ours", "theirs"), [([], []), ([0.5], [0.1]), ([0.5, 0.5], [0.5, 0.5]), ([0.0] * 9, [0.0] * 9)]
)
def test_a_difference_that_cannot_be_computed_is_not_better(ours: list[float], theirs: list[float]) -> None:
    found = compare(ours, theirs)
    assert not found.better
    assert (found.p_value, found.users) == (1.0, len(ours))


def test_intervals_hold_the_mean_as_often_as_their_confidence() -> None:
    random = np.random.default_rng(5)
    held = 0
    for seed in range(200):
        ((low, high),) = intervals(random.exponential(1.0, (60, 1)), seed).tolist()
        held += low <= 1.0 <= high
    assert 0.87 <= held / 200 <= 0.99


def test_intervals_are_the_same_for_the_same_seed_and_of_any_size() -> None:
    values = np.random.default_rng(1).random((300, 3))
    first = intervals(values)
    assert first.tolist() == intervals(values).tolist() != intervals(values, seed=1).tolist()
    # As wide as theory has it, also where fewer resamples are drawn.
    many = np.random.default_rng(2).random((90_000, 1))
    ((low, high),) = intervals(many).tolist()
    assert high - low == pytest.approx(2 * 1.96 * many.std() / 300, rel=0.2)
    assert intervals(np.array([[0.4, 0.2]])).tolist() == [[0.4, 0.4], [0.2, 0.2]]
    assert intervals(np.zeros((0, 2))).tolist() == [[0, 0], [0, 0]]
