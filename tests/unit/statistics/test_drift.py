"""The population stability index and the change of a rate."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemo.statistics.drift import population_stability_index, rate_change

COUNTS = st.lists(st.integers(0, 10_000), min_size=1, max_size=12)


def test_the_index_of_known_shares() -> None:
    # Shares of 10 % and 90 % that change places: 2 * 0.8 * ln(9), but for the smoothing.
    found = population_stability_index([100_000, 900_000], [900_000, 100_000])
    assert found == pytest.approx(2 * 0.8 * math.log(9), rel=1e-4)


@given(st.data())
def test_it_is_zero_for_the_same_counts_never_negative_and_symmetric(data: st.DataObject) -> None:
    before = data.draw(COUNTS)
    now = data.draw(st.lists(st.integers(0, 10_000), min_size=len(before), max_size=len(before)))
    assert population_stability_index(before, before) == 0
    found = population_stability_index(before, now)
    assert found >= 0
    assert math.isfinite(found)
    assert found == pytest.approx(population_stability_index(now, before))


def test_the_change_of_a_rate() -> None:
    assert rate_change(7, 100, 10, 100) == pytest.approx(-0.3)
    assert rate_change(0, 100, 10, 100) == -1
    assert rate_change(1, 0, 10, 100) is None
    assert rate_change(1, 10, 0, 100) is None
