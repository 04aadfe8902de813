"""Whether an arm has made worse what no arm may make worse, at any look."""

from dataclasses import dataclass, replace

from lemo.statistics.estimates import Difference, Sample, compare
from lemo.statistics.sequential import ALPHA, TIGHTEST_AT
from lemo.statistics.verdict import FEWEST_ACTING, FEWEST_UNITS


@dataclass(frozen=True)
class Harm:
    """What a guardrail has seen of an arm."""

    broken: bool
    difference: Difference | None
    """The arm minus the control at its worst allowed value; None before both arms have units."""


def harm(
    control: Sample,
    treatment: Sample,
    most_worse: float,
    most_worse_by: float = 0.0,
    *,
    higher_is_better: bool,
    tightest_at: int = TIGHTEST_AT,
    alpha: float = ALPHA,
) -> Harm:
    """Whether the arm is worse than the control by more than is allowed, beyond noise.

    Allowed is the larger of `most_worse`, a share of the control's metric, and `most_worse_by`, a difference.

    Valid at every look: an arm that is no worse is ever said to be with probability `alpha` at most.
    """
    if not control.units or not treatment.units:
        return Harm(False, None)
    sign = -1 if higher_is_better else 1
    if most_worse_by > most_worse * control.metric:
        worst = _shifted(control, sign * most_worse_by)
    else:
        worst = _scaled(control, max(0.0, 1 + sign * most_worse))
    difference = compare(worst, treatment, tightest_at, alpha)
    worse_by = -difference.difference if higher_is_better else difference.difference
    least = -difference.high if higher_is_better else difference.low
    if min(control.units, treatment.units) < FEWEST_UNITS or worse_by <= 0:
        return Harm(False, difference)
    if not difference.standard_error:  # nothing varies, such as where every answer of an arm is empty
        return Harm(True, difference)
    # What is bad is rare in the control: the arm alone must have enough of it.
    acting = control.acting if higher_is_better else treatment.acting
    return Harm(least > 0 and acting >= FEWEST_ACTING, difference)


def _shifted(sample: Sample, by: float) -> Sample:
    """The sample with as much added to the metric: to every value so much for each of its base."""
    return replace(
        sample,
        value=sample.value + by * sample.base,
        value_value=sample.value_value + 2 * by * sample.value_base + by * by * sample.base_base,
        value_base=sample.value_base + by * sample.base_base,
        value_before=sample.value_before + by * sample.base_before,
    )


def _scaled(sample: Sample, by: float) -> Sample:
    """The sample with every value multiplied."""
    return replace(
        sample,
        value=sample.value * by,
        value_value=sample.value_value * by * by,
        value_base=sample.value_base * by,
        value_before=sample.value_before * by,
    )
