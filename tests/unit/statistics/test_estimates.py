"""Differences from sums: the same as from the units, and right in spread."""

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemo.domain.errors import InvalidInput
from lemo.statistics.estimates import Sample, compare

UNITS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(1, 9), st.integers(0, 9)).map(lambda unit: tuple(map(float, unit))),
    min_size=3,
    max_size=30,
)


def sample(units: list[tuple[float, ...]]) -> Sample:
    values, bases, before = np.array(units).T
    return Sample.of(values, bases, before)


@settings(deadline=None, max_examples=50)
@given(one=UNITS, other=UNITS)
def test_samples_add_up(one: list[tuple[float, ...]], other: list[tuple[float, ...]]) -> None:
    assert sample(one) + sample(other) == sample(one + other)


@settings(deadline=None, max_examples=50)
@given(units=UNITS)
def test_the_variance_is_that_of_the_linearised_values(units: list[tuple[float, ...]]) -> None:
    values, bases, _ = np.array(units).T
    linear = (values - values.sum() / bases.sum() * bases) / bases.mean()
    assert sample(units).variance == pytest.approx(linear.var(ddof=1), abs=1e-9)
    assert Sample.of(values).variance == pytest.approx(values.var(ddof=1), abs=1e-9)


@settings(deadline=None, max_examples=50)
@given(control=UNITS, treatment=UNITS)
def test_cuped_is_the_regression_within_arms(
    control: list[tuple[float, ...]], treatment: list[tuple[float, ...]]
) -> None:
    found = compare(sample(control), sample(treatment))
    assert found.variance_kept <= 1 + 1e-9  # theta is the best one: never worse than without
    (value_c, base_c, before_c), (value_t, base_t, before_t) = np.array(control).T, np.array(treatment).T
    linear = [(v - v.sum() / b.sum() * b) / b.mean() for v, b in ((value_c, base_c), (value_t, base_t))]
    inside = [np.cov(z, x) / len(z) for z, x in zip(linear, (before_c, before_t), strict=True)]
    spread = inside[0][1, 1] + inside[1][1, 1]
    theta = (inside[0][0, 1] + inside[1][0, 1]) / spread if spread > 1e-12 else 0.0
    raw = value_t.sum() / base_t.sum() - value_c.sum() / base_c.sum()
    assert found.difference == pytest.approx(raw - theta * (before_t.mean() - before_c.mean()), abs=1e-9)


def test_the_standard_error_is_the_spread_of_differences() -> None:
    random = np.random.default_rng(3)
    found = []
    for _ in range(600):
        rates = random.beta(2, 10, 1_000)
        bases = 1 + random.poisson(3, 1_000)
        values, before = random.binomial(bases, rates), random.binomial(40, rates)
        arm = np.arange(1_000) < 300
        few, many = (Sample.of(values[at], bases[at], before[at]) for at in (arm, ~arm))
        found.append(compare(few, many))
    spread = np.std([each.difference for each in found])
    assert np.mean([each.standard_error for each in found]) == pytest.approx(spread, rel=0.1)
    assert np.mean([each.variance_kept for each in found]) < 0.85


def test_constant_values_have_no_interval_and_no_evidence() -> None:
    found = compare(Sample.of([1.0] * 500), Sample.of([2.0] * 500))
    assert (found.low, found.high, found.p_value) == (-inf, inf, 1.0)


def test_a_control_near_0_has_no_lift() -> None:
    random = np.random.default_rng(1)
    found = compare(Sample.of(random.normal(0, 1, 400)), Sample.of(random.normal(0, 1, 400)))
    assert found.lift is found.lift_low is found.lift_high is None


def test_what_is_not_a_sample_is_refused() -> None:
    with pytest.raises(InvalidInput, match="of one length"):
        Sample.of([1.0, 2.0], [1.0])
    with pytest.raises(InvalidInput, match="not a number"):
        Sample.of([float("nan")])
    with pytest.raises(InvalidInput, match="no units"):
        compare(Sample(), Sample.of([1.0]))
