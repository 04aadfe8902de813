"""Intervals and p-values that stay valid while people look at them, and the size that an experiment needs with them.

The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit
theory and asymptotic confidence sequences" (Annals of Statistics 52(6), 2024; arXiv 2103.06476, theorem 2.2). An
ordinary 95 % interval holds the true value at one look with 95 %; this one holds it at all looks together with 95 %.
No maintained library has it: confseq and savvi are stale, tea-tasting and statsmodels have intervals for one look.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, exp, inf, log, sqrt
from statistics import NormalDist

from lemo.domain.errors import InvalidInput

ALPHA = 0.05
POWER = 0.8
TIGHTEST_AT = 5_000
"""Units at which an interval is tightest where no plan says it. It must be fixed before the start."""


@lru_cache(maxsize=64)
def spread(alpha: float) -> float:
    """N* rho^2, where rho is the width of the normal mixture that makes the interval narrowest at N* units."""
    from scipy.special import lambertw  # heavy, and needed where results are read only

    return float(-lambertw(-(alpha**2) * exp(-1), -1).real - 1)


def multiplier(units: int, tightest_at: int = TIGHTEST_AT, alpha: float = ALPHA) -> float:
    """How many standard errors the interval reaches to each side after `units` units of all arms in it.

    An interval for one look has 1.96 at alpha = .05; this has 3.03 at `tightest_at` and more before and after.
    """
    _check(alpha)
    if units < 1 or tightest_at < 1:
        raise InvalidInput(
            f"An interval needs at least one unit, not {min(units, tightest_at)}.", "Wait for exposures."
        )
    information = units / tightest_at * spread(alpha)
    return sqrt(2 * (information + 1) / information * log(sqrt(information + 1) / alpha))


def p_value(z: float, units: int, tightest_at: int = TIGHTEST_AT, alpha: float = ALPHA) -> float:
    """The always valid p-value: at most `alpha` exactly where the interval at `alpha` leaves out 0.

    `z` is the estimate in standard errors. Without an effect it ever falls to p or below with probability p at most.
    """
    information = units / tightest_at * spread(alpha)
    return min(1.0, sqrt(information + 1) * exp(-information * z * z / (2 * (information + 1))))


@dataclass(frozen=True)
class Plan:
    """What an experiment needs before it starts."""

    units: int
    """Exposed units of both arms. It is also where the interval is tightest (`tightest_at`)."""
    days: int
    """Days until so many are exposed."""
    effect: float
    """The smallest true difference (treatment minus control, absolute) that is found with `power`."""
    power: float
    alpha: float
    units_for_one_look: int
    """What a test would need that is evaluated once, at the end: the price of looking earlier is the difference."""


def plan(
    variance: float,
    effect: float,
    units_per_day: float,
    *,
    treatment_share: float = 0.5,
    power: float = POWER,
    alpha: float = ALPHA,
) -> Plan:
    """Units and days until a true difference of `effect` is found with at least `power`: one arm and the control.

    `variance` is of one unit's value (`Sample.variance`: of the linearised value for a ratio, after CUPED where it is
    used); `units_per_day` counts units that are exposed for the first time. The power counts the last look alone, so
    looks before it only add to it. Raises InvalidInput for values that have no plan.
    """
    _check(alpha)
    if not 0 < power < 1 or not 0 < treatment_share < 1:
        raise InvalidInput("Power and the treatment's share are between 0 and 1.", "Usual are .8 and .5.")
    if not 0 < abs(effect) < inf or not 0 < variance < inf or not 0 < units_per_day < inf:
        raise InvalidInput(
            "A plan needs an effect other than 0, a variance and units per day above 0.",
            "Read the variance from the metric's last weeks; without variation there is nothing to plan.",
        )
    per_unit = variance * (1 / treatment_share + 1 / (1 - treatment_share))
    beyond = NormalDist().inv_cdf(power)
    # At its tightest the multiplier does not depend on the number of units.
    units = ceil(per_unit * ((multiplier(1, 1, alpha) + beyond) / effect) ** 2)
    once = ceil(per_unit * ((NormalDist().inv_cdf(1 - alpha / 2) + beyond) / effect) ** 2)
    return Plan(units, ceil(units / units_per_day), abs(effect), power, alpha, once)


def _check(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise InvalidInput(f"alpha is {alpha}, and not between 0 and 1.", "Usual is .05, for intervals of 95 %.")
