"""How many units an experiment needs, and how many days that takes, from the traffic of the last two weeks."""

from datetime import UTC, datetime, timedelta
from math import ceil

from pydantic import BaseModel

from lemo.domain.counting import goal_of
from lemo.domain.errors import InvalidInput
from lemo.domain.experiment import Experiment
from lemo.domain.experiment_metrics import metric_of
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.statistics import sequential
from lemo.statistics.estimates import Sample
from lemo.statistics.interleaving import units_for, units_for_one_look
from lemo.statistics.sequential import POWER
from lemo.stores.connect import Stores

DAYS = 14


class Plan(BaseModel):
    """What an experiment needs to find its effect with `power`, arm by arm beside the control."""

    metric: str
    now: float
    """The metric over the last two weeks."""
    effect: float
    """The lift that is to be found, as a share of the metric."""
    difference: float
    """The same as a difference of the metric."""
    power: float
    units: int
    """Exposed units of all arms."""
    units_of_two: int
    """Of them those of the smallest arm and the control; of an interleaving all, as both arms are in each answer."""
    units_for_one_look: int
    """What the two would need if nobody looked before the end."""
    units_per_day: float
    """Units of all arms that are exposed in a day, as in the last two weeks."""
    days: int
    words: str


def plan_of(stores: Stores, scope: Scope, experiment: Experiment, now: datetime | None = None) -> Plan | None:
    """The plan of an experiment; None where the last two weeks tell nothing. Raises EngineUnavailable, NotFound."""
    end = now or datetime.now(UTC)
    metric, goal = metric_of(experiment.metric), goal_of(stores.scenarios.get(scope))
    stores.events.ping()  # an engine that is away is told at once; a large question may take a minute
    found = stores.exposures.of_everybody(
        scope,
        experiment.unit,
        milliseconds(end - timedelta(days=DAYS)),
        milliseconds(end),
        [metric],
        goal,
        experiment.answers,
    )
    sample = found.samples[metric.name]
    shares = {name: share for name, share in experiment.allocation.shares.items() if name != experiment.control.name}
    control = experiment.allocation.shares[experiment.control.name]
    smallest = min(shares.values())
    two = control + smallest
    taking_part = experiment.share * (1 - experiment.holdout) * experiment.ramp
    per_day = found.units / DAYS * taking_part
    if experiment.kind == "interleaving":
        return _of_interleaving(experiment, sample, taking_part)
    try:
        needed = sequential.plan(
            sample.variance,
            experiment.effect * sample.metric,
            per_day * two,
            treatment_share=smallest / two,
        )
    except InvalidInput:  # no traffic, or a metric that never varied
        return None
    units = ceil(needed.units / two)
    words = (
        f"{needed.units:,} {experiment.unit}s of the control and an arm find a lift of {experiment.effect:.0%} in"
        f" {metric.name} (now {sample.metric:.4g}) with a probability of {needed.power:.0%}: about {needed.days:,} days"
        f" at {per_day:,.0f} {experiment.unit}s a day in the experiment."
    )
    return Plan(
        metric=metric.name,
        now=sample.metric,
        effect=experiment.effect,
        difference=needed.effect,
        power=needed.power,
        units=units,
        units_of_two=needed.units,
        units_for_one_look=needed.units_for_one_look,
        units_per_day=per_day,
        days=needed.days,
        words=words,
    )


def _of_interleaving(experiment: Experiment, sample: Sample, taking_part: float) -> Plan | None:
    """Units that click, as only these decide anything; None where nobody clicked in the last two weeks."""
    per_day = sample.acting / DAYS * taking_part
    if not per_day:
        return None
    units = units_for(experiment.effect)
    days = ceil(units / per_day)
    half = experiment.effect / 2
    words = (
        f"{units:,} {experiment.unit}s who click find with a probability of {POWER:.0%} that one arm wins"
        f" {0.5 + half:.1%} of the answers and the other {0.5 - half:.1%}: about {days:,} days at {per_day:,.0f}"
        f" {experiment.unit}s who click a day."
    )
    return Plan(
        metric=experiment.metric,
        now=sample.metric,
        effect=experiment.effect,
        difference=experiment.effect,
        power=POWER,
        units=units,
        units_of_two=units,
        units_for_one_look=units_for_one_look(experiment.effect),
        units_per_day=per_day,
        days=days,
        words=words,
    )


def days_left(experiment: Experiment, units: int, until: datetime) -> float | None:
    """Days until the planned units are there, at the pace so far; None where none are planned, or it has ended."""
    if experiment.planned_units is None or experiment.started_at is None or not units or experiment.ended_at:
        return None
    days = (until - experiment.started_at).total_seconds() / 86_400
    return max(0.0, (experiment.planned_units - units) * days / units)
