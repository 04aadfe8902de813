"""The difference between two arms in a mean or a ratio of sums, from sums that stores can add up.

The unit of analysis is the unit of assignment (the user or the session). A metric is sum(value) / sum(base) over units:
clicks per impression with base = impressions, value per user with base = 1. The variance of a ratio is that of the
linearised value (delta method: Deng et al., "Applying the delta method in metric analytics", KDD 2018). CUPED removes
what the days before exposure already tell (Deng et al., "Improving the sensitivity of online controlled experiments by
utilizing pre-experiment data", WSDM 2013).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import inf, sqrt
from typing import Any

import numpy as np

from lemo.domain.errors import InvalidInput
from lemo.statistics.sequential import ALPHA, TIGHTEST_AT, multiplier, p_value

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sample:
    """One arm's units as sums. Samples of different units add up.

    Sums are exact for counts; a mean of more than a million standard deviations loses its variance to rounding.
    """

    units: int = 0
    acting: int = 0
    """Units whose value is not 0."""
    value: float = 0.0
    base: float = 0.0
    before: float = 0.0
    """The covariate of CUPED: a number of each unit from before its exposure; 0 where nothing is known."""
    value_value: float = 0.0
    value_base: float = 0.0
    value_before: float = 0.0
    base_base: float = 0.0
    base_before: float = 0.0
    before_before: float = 0.0

    @classmethod
    def of(
        cls,
        values: Sequence[float] | Array,
        bases: Sequence[float] | Array | None = None,
        before: Sequence[float] | Array | None = None,
    ) -> "Sample":
        """From one value of each unit. Without `bases` the metric is the mean; without `before` nothing is adjusted."""
        value = np.asarray(values, dtype=np.float64)
        base = np.ones_like(value) if bases is None else np.asarray(bases, dtype=np.float64)
        prior = np.zeros_like(value) if before is None else np.asarray(before, dtype=np.float64)
        if not value.shape == base.shape == prior.shape or value.ndim != 1:
            raise InvalidInput("Values, bases and covariates must be lists of one length.", "Give one of each a unit.")
        if not (np.isfinite(value).all() and np.isfinite(base).all() and np.isfinite(prior).all()):
            raise InvalidInput("A value is infinite or not a number.", "Leave such units out, and say so.")
        pairs = [float(a @ b) for a, b in ((value, value), (value, base), (value, prior))]
        pairs += [float(a @ b) for a, b in ((base, base), (base, prior), (prior, prior))]
        sums = (float(value.sum()), float(base.sum()), float(prior.sum()))
        return cls(len(value), int(np.count_nonzero(value)), *sums, *pairs)

    def __add__(self, other: "Sample") -> "Sample":
        return Sample(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    @property
    def metric(self) -> float:
        """sum(value) / sum(base); 0 where no unit has a base."""
        return self.value / self.base if self.base else 0.0

    @property
    def variance(self) -> float:
        """Variance of one unit's linearised value, (value - metric * base) / mean base; of the metric: this / units."""
        return self._covariances()[0]

    def _covariances(self) -> tuple[float, float, float]:
        """Of the linearised value: variance, covariance with `before`, and the variance of `before`."""
        units, ratio = self.units, self.metric
        if units < 2 or not self.base:
            return 0.0, 0.0, 0.0
        scale = units / self.base
        # The linearised values have mean 0: their sum of squares needs no centring.
        squares = self.value_value - 2 * ratio * self.value_base + ratio * ratio * self.base_base
        products = self.value_before - ratio * self.base_before
        spread = self.before_before - self.before * self.before / units
        free = units - 1
        return max(0.0, squares) * scale * scale / free, products * scale / free, max(0.0, spread) / free


@dataclass(frozen=True)
class Difference:
    """Treatment minus control, with intervals that are valid at every look."""

    control: float
    treatment: float
    """The metric in each arm, after CUPED where it is used."""
    difference: float
    low: float
    high: float
    """Interval of the difference."""
    lift: float | None
    lift_low: float | None
    lift_high: float | None
    """Difference over control; None where the control's metric is not clearly above 0."""
    p_value: float
    """Always valid."""
    standard_error: float
    variance_kept: float
    """Share of the variance that CUPED left; 1 without it."""
    units: int
    acting: int
    """The smaller number of acting units of the two arms."""
    alpha: float


def compare(control: Sample, treatment: Sample, tightest_at: int = TIGHTEST_AT, alpha: float = ALPHA) -> Difference:
    """The treatment beside the control, adjusted by CUPED where both samples know something from before.

    The intervals hold at every look if `tightest_at` was fixed before the first.
    Raises InvalidInput where an arm is empty.
    """
    if not control.units or not treatment.units:
        raise InvalidInput("An arm has no units.", "Wait until both arms were exposed.")
    units = control.units + treatment.units
    variance_c, with_before_c, before_c = control._covariances()
    variance_t, with_before_t, before_t = treatment._covariances()
    # Pooled within arms, weighted by 1 / units: the theta that makes the variance of the difference smallest.
    spread = before_c / control.units + before_t / treatment.units
    theta = (with_before_c / control.units + with_before_t / treatment.units) / spread if spread > 0 else 0.0
    centre = (control.before + treatment.before) / units
    mean_c = control.metric - theta * (control.before / control.units - centre)
    mean_t = treatment.metric - theta * (treatment.before / treatment.units - centre)
    square_c = _adjusted(variance_c, with_before_c, before_c, theta) / control.units
    square_t = _adjusted(variance_t, with_before_t, before_t, theta) / treatment.units
    plain = variance_c / control.units + variance_t / treatment.units
    error = sqrt(square_c + square_t)
    difference = mean_t - mean_c
    reach = multiplier(units, tightest_at, alpha)
    z = difference / error if error > 0 else 0.0
    lift = lift_low = lift_high = None
    # A ratio of two means has an interval only where the lower one is away from 0 (delta method).
    if mean_c - reach * sqrt(square_c) > 0:
        lift = mean_t / mean_c - 1
        lift_error = sqrt(square_t + (mean_t / mean_c) ** 2 * square_c) / mean_c
        lift_low, lift_high = lift - reach * lift_error, lift + reach * lift_error
    return Difference(
        control=mean_c,
        treatment=mean_t,
        difference=difference,
        low=difference - reach * error if error > 0 else -inf,
        high=difference + reach * error if error > 0 else inf,
        lift=lift,
        lift_low=lift_low,
        lift_high=lift_high,
        p_value=p_value(z, units, tightest_at, alpha),
        standard_error=error,
        variance_kept=(square_c + square_t) / plain if plain > 0 else 1.0,
        units=units,
        acting=min(control.acting, treatment.acting),
        alpha=alpha,
    )


def _adjusted(variance: float, with_before: float, before: float, theta: float) -> float:
    return max(0.0, variance - 2 * theta * with_before + theta * theta * before)
