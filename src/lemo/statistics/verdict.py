"""What an experiment has shown, in a decision and in plain words, and what forbids a decision."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from lemo.domain.errors import InvalidInput
from lemo.statistics.estimates import Difference

RATIO_ALPHA = 0.001
"""Below this p-value the arms' sizes do not fit their weights, and no verdict is given."""
FEWEST_UNITS, FEWEST_ACTING = 100, 25
"""Of the smaller arm. With fewer the normal approximation that the intervals rest on is poor."""

Decision = Literal["blocked", "too early", "better", "worse", "undecided"]


class Verdict(BaseModel):
    """The decision on one arm, and the sentences that explain it."""

    model_config = ConfigDict(frozen=True)

    decision: Decision
    words: tuple[str, ...]
    adjusted_p: float | None = None
    """Always valid p-value of the primary metric, adjusted for the number of arms (Benjamini-Hochberg)."""


def sample_ratio_p(units: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """p-value of the arms' sizes, given the share that each should have (chi-square goodness of fit).

    Raises InvalidInput where the names differ.
    """
    # scipy.stats.chisquare gives the same, and takes a hundred times as long to check its arguments.
    from scipy.special import chdtrc

    if units.keys() != shares.keys():
        strange = ", ".join(sorted(units.keys() ^ shares.keys()))
        raise InvalidInput(f"Arms and shares do not match: {strange}.", "Name each arm in both.")
    total = sum(units.values())
    if not total:
        return 1.0
    whole = sum(shares.values())
    expected = {name: total * share / whole for name, share in shares.items()}
    statistic = sum((units[name] - expected[name]) ** 2 / expected[name] for name in units)
    return float(chdtrc(len(units) - 1, statistic))


def adjusted(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for being several (Benjamini and Hochberg, 1995): those <= q have that false discovery rate."""
    if len(p_values) < 2:
        return list(p_values)
    from scipy import stats  # heavy, and needed where results are read only

    return [float(p) for p in stats.false_discovery_control(p_values)]


def verdicts(
    differences: Mapping[str, Difference],
    units: Mapping[str, int],
    shares: Mapping[str, float],
    *,
    planned_units: int | None = None,
    higher_is_better: bool = True,
    metric: str = "the metric",
) -> dict[str, Verdict]:
    """The verdict of each arm beside the control, on the primary metric.

    `differences`: of each arm but the control; `units` and `shares`: of all arms. The p-values of several arms are
    adjusted together; each interval stands alone. A verdict may be asked for at any time and as often as wanted.
    """
    ratio_p = sample_ratio_p(units, shares)
    p_values = dict(zip(differences, adjusted([each.p_value for each in differences.values()]), strict=True))
    return {
        arm: _blocked(ratio_p, units, shares)
        if ratio_p < RATIO_ALPHA
        else _verdict(arm, difference, p_values[arm], min(units.values()), planned_units, higher_is_better, metric)
        for arm, difference in differences.items()
    }


def _blocked(p: float, units: Mapping[str, int], shares: Mapping[str, float]) -> Verdict:
    total, whole = sum(units.values()), sum(shares.values())
    counts = ", ".join(f"{arm} {n:,} instead of {total * shares[arm] / whole:,.0f}" for arm, n in units.items())
    return Verdict(
        decision="blocked",
        words=(
            f"No verdict: the arms do not have the sizes that their weights give ({counts}; p = {p:.1g}).",
            "Who is counted depends on the arm, so the arms cannot be compared. Usual causes: exposures that one arm "
            "loses or records twice, bots in one arm, weights that were changed while it ran. "
            "Repair it and start a new experiment.",
        ),
    )


def _verdict(
    arm: str,
    difference: Difference,
    p: float,
    fewest: int,
    planned: int | None,
    higher_is_better: bool,
    metric: str,
) -> Verdict:
    if fewest < FEWEST_UNITS or difference.acting < FEWEST_ACTING or not difference.standard_error:
        return Verdict(
            decision="too early",
            words=(
                f"Too early: each arm needs {FEWEST_UNITS} units ({fewest} so far), and {FEWEST_ACTING} of them with a "
                f"value other than 0 ({difference.acting} so far).",
            ),
            adjusted_p=p,
        )
    level = f"{1 - difference.alpha:.0%}"
    interval = f"{arm} changes {metric} by {difference.difference:+.4g} ({level} interval {difference.low:+.4g} to "
    interval += f"{difference.high:+.4g})"
    if difference.lift is not None:
        interval += f", {difference.lift:+.1%} ({difference.lift_low:+.1%} to {difference.lift_high:+.1%})"
    words = [f"{interval}, over {difference.units:,} units."]
    if p <= difference.alpha:
        better = (difference.difference > 0) == higher_is_better
        words.append(
            f"{arm} is {'better' if better else 'worse'} than the control. The interval allows for looking at any time."
        )
        return Verdict(decision="better" if better else "worse", words=tuple(words), adjusted_p=p)
    if planned is not None and difference.units >= planned:
        words.append(
            f"The planned {planned:,} units are reached and no difference is shown. One larger than "
            f"{max(abs(difference.low), abs(difference.high)):.4g} is ruled out; a smaller one may be there."
        )
    else:
        rest = f" of {planned:,} planned" if planned is not None else ""
        words.append(f"Undecided after {difference.units:,} units{rest}: go on, the interval becomes narrower.")
    return Verdict(decision="undecided", words=tuple(words), adjusted_p=p)
