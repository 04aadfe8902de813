"""What blocks a verdict, and what it says."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lemo.domain.errors import InvalidInput
from lemo.statistics.estimates import Difference, Sample, compare
from lemo.statistics.verdict import RATIO_ALPHA, Verdict, adjusted, sample_ratio_p, verdicts

HALVES = {"control": 0.5, "new": 0.5}


def difference(control: float, treatment: float, units: int = 2_000) -> Difference:
    """Clicks per user; every rate exactly."""
    before, after = (Sample.of(np.arange(units) < round(rate * units)) for rate in (control, treatment))
    return compare(before, after, tightest_at=2 * units)


def verdict(found: Difference, new: int | None = None, **options: Any) -> Verdict:
    half = found.units // 2
    return verdicts({"new": found}, {"control": half, "new": new or half}, HALVES, **options)["new"]


@settings(deadline=None, max_examples=50)
@given(counts=st.lists(st.integers(0, 10_000), min_size=2, max_size=5), weights=st.data())
def test_the_sample_ratio_is_scipys_chi_square(counts: list[int], weights: st.DataObject) -> None:
    shares = weights.draw(st.lists(st.floats(0.1, 9), min_size=len(counts), max_size=len(counts)))
    names = [str(number) for number in range(len(counts))]
    p = sample_ratio_p(dict(zip(names, counts, strict=True)), dict(zip(names, shares, strict=True)))
    expected = np.array(shares) / sum(shares) * sum(counts)
    assert p == pytest.approx(stats.chisquare(counts, expected).pvalue if sum(counts) else 1.0, abs=1e-9)


def test_a_wrong_sample_ratio_blocks_even_a_clear_difference() -> None:
    clear = difference(0.1, 0.2)
    assert verdict(clear).decision == "better"
    blocked = verdict(clear, new=1_780)
    assert sample_ratio_p({"control": 2_000, "new": 1_780}, HALVES) < RATIO_ALPHA
    assert blocked.decision == "blocked"
    assert "control 2,000 instead of 1,890, new 1,780 instead of 1,890" in blocked.words[0]
    assert verdict(clear, new=1_950).decision == "better"


def test_better_and_worse_are_said_with_interval_and_lift() -> None:
    found = verdict(difference(0.1, 0.2), metric="clicks per user")
    assert found.decision == "better"
    assert found.words[0].startswith("new changes clicks per user by +0.1 (95% interval +0.0")
    assert "+100.0% (+" in found.words[0]
    assert verdict(difference(0.2, 0.1)).decision == "worse"
    assert verdict(difference(0.2, 0.1), higher_is_better=False).decision == "better"


def test_too_few_units_or_values_are_too_early() -> None:
    assert verdict(difference(0.1, 0.9, units=99)).decision == "too early"
    assert verdict(difference(0.005, 0.5)).decision == "too early"  # 10 users of the control acted
    assert verdict(difference(1.0, 1.0)).decision == "too early"  # nothing varies: there is no interval


def test_a_plan_that_is_reached_says_what_is_ruled_out() -> None:
    assert "of 9,000 planned" in verdict(difference(0.1, 0.11), planned_units=9_000).words[1]
    reached = verdict(difference(0.1, 0.11), planned_units=4_000)
    assert reached.decision == "undecided"
    assert "ruled out" in reached.words[1]


def test_many_arms_are_adjusted_for() -> None:
    # p between .01 and .05: enough alone, too little as the best of six.
    found = next(each for rate in np.arange(0.1, 0.2, 0.0005) if (each := difference(0.1, rate)).p_value < 0.04)
    assert found.p_value > 0.01
    names = ["control", "new", "b", "c", "d", "e", "f"]
    sizes, shares = dict.fromkeys(names, 2_000), dict.fromkeys(names, 1.0)
    same = difference(0.1, 0.1)
    many = verdicts({name: found if name == "new" else same for name in names[1:]}, sizes, shares)
    assert verdict(found).decision == "better"
    assert many["new"].decision == "undecided"
    assert many["new"].adjusted_p == pytest.approx(6 * found.p_value)


def test_benjamini_hochberg() -> None:
    assert adjusted([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert adjusted([0.2]) == [0.2]
    assert adjusted([]) == []


def test_arms_without_a_share_are_refused() -> None:
    with pytest.raises(InvalidInput, match="new"):
        sample_ratio_p({"control": 1, "new": 1}, {"control": 1.0})
