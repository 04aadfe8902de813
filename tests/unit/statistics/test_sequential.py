"""The interval that is valid at every look, its p-value, and plans; the long form is `make bench-experiments`."""

from dataclasses import replace
from math import ceil, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiment_worlds import Outcome, World, share, variance_of_a_unit, watch
from lemo.domain.errors import InvalidInput
from lemo.statistics.sequential import multiplier, p_value, plan


def simulate(world: World, experiments: int, tightest_at: int | None = None) -> list[Outcome]:
    random = np.random.default_rng(20)
    return [watch(world, random, tightest_at) for _ in range(experiments)]


def wrong(outcomes: list[Outcome]) -> float:
    return sum(outcome.decision != "undecided" for outcome in outcomes) / len(outcomes)


@pytest.mark.parametrize("world", [World(days=14, per_day=50), World(days=14, per_day=50, returning=True, ratio=False)])
def test_looking_every_day_raises_few_false_alarms(world: World) -> None:
    outcomes = simulate(world, 150)
    assert wrong(outcomes) <= 0.05
    assert share(outcomes, "always_covered") >= 0.95


def test_an_interval_for_one_look_would_raise_many(monkeypatch: pytest.MonkeyPatch) -> None:
    # That the test above can fail.
    monkeypatch.setattr("lemo.statistics.estimates.multiplier", lambda *_: 1.96)
    monkeypatch.setattr("lemo.statistics.estimates.p_value", lambda z, *_: 0.0 if abs(z) > 1.96 else 1.0)
    outcomes = simulate(World(days=14, per_day=50), 100)
    assert wrong(outcomes) > 0.12
    assert share(outcomes, "always_covered") < 0.88


def test_a_known_lift_is_found_with_the_promised_power_and_covered() -> None:
    world = World(lift=0.2, cuped=True, ratio=False, per_day=150)
    planned = plan(variance_of_a_unit(world, 40_000), world.true_difference, 2 * world.per_day)
    outcomes = simulate(replace(world, days=planned.days), 150, planned.units)
    found = sum(outcome.decision == "better" for outcome in outcomes) / len(outcomes)
    assert found >= planned.power - 2 * sqrt(planned.power * (1 - planned.power) / len(outcomes))
    assert found < 0.97  # a plan that asks for far too much would find it always
    assert share(outcomes, "always_covered") >= 0.95
    assert share(outcomes, "lift_covered") >= 0.94


@settings(deadline=None, max_examples=50)
@given(z=st.floats(-8, 8), units=st.integers(1, 10**8), tightest_at=st.integers(1, 10**7), alpha=st.floats(0.001, 0.3))
def test_the_p_value_is_below_alpha_where_the_interval_leaves_out_0(
    z: float, units: int, tightest_at: int, alpha: float
) -> None:
    reach = multiplier(units, tightest_at, alpha)
    if abs(abs(z) - reach) > 1e-6:
        assert (p_value(z, units, tightest_at, alpha) < alpha) == (abs(z) > reach)


@settings(deadline=None, max_examples=50)
@given(units=st.integers(1_000, 10**6), factor=st.floats(0.01, 100))
def test_the_interval_is_tightest_where_it_was_asked_for(units: int, factor: float) -> None:
    # In width: at a fixed number of units no other choice is narrower.
    assert multiplier(units, units) <= multiplier(units, ceil(units * factor)) + 1e-9


def test_the_multiplier_is_that_of_the_paper() -> None:
    # By hand from theorem 2.2 with N* rho^2 = -W(-alpha^2 / e) - 1 = 8.2 at alpha = .05.
    assert multiplier(5_000, 5_000) == pytest.approx(3.0, abs=0.05)
    assert multiplier(50, 5_000) > multiplier(500, 5_000) > multiplier(5_000, 5_000) < multiplier(500_000, 5_000)


@settings(deadline=None, max_examples=50)
@given(
    variance=st.floats(0.01, 100),
    effect=st.floats(0.001, 1),
    treatment=st.floats(0.05, 0.95),
    power=st.floats(0.5, 0.99),
)
def test_the_planned_units_find_the_effect_and_not_much_less(
    variance: float, effect: float, treatment: float, power: float
) -> None:
    planned = plan(variance, effect, 1_000, treatment_share=treatment, power=power)
    deviation = sqrt(variance * (1 / treatment + 1 / (1 - treatment)) / planned.units)
    found = (multiplier(1, 1) + NormalDist().inv_cdf(power)) * deviation
    assert found <= effect * (1 + 1e-9)
    assert found == pytest.approx(effect, rel=0.51 / planned.units + 1e-6) or planned.units < 100
    assert planned.days == ceil(planned.units / 1_000)
    assert planned.units_for_one_look <= planned.units


@pytest.mark.parametrize(("variance", "effect", "per_day"), [(0, 1, 1), (1, 0, 1), (1, 1, 0), (1, float("nan"), 1)])
def test_what_has_no_plan_is_refused(variance: float, effect: float, per_day: float) -> None:
    with pytest.raises(InvalidInput, match="A plan needs"):
        plan(variance, effect, per_day)
