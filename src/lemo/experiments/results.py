"""What an experiment has shown so far: each metric of each arm beside the control, verdicts and guardrails."""

from datetime import UTC, datetime

from pydantic import BaseModel

from lemo.domain.counting import goal_of
from lemo.domain.experiment import AnswerKind, Experiment, ExperimentArm, Guardrail
from lemo.domain.experiment_metrics import METRICS, Metric, metric_of
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.experiments.plan import days_left
from lemo.statistics.estimates import Difference, Sample, compare
from lemo.statistics.guardrails import harm
from lemo.statistics.sequential import ALPHA, TIGHTEST_AT
from lemo.statistics.verdict import RATIO_ALPHA, Decision, adjusted, sample_ratio_p, verdicts
from lemo.stores.clickhouse.exposures import Exposed
from lemo.stores.connect import Stores


class MetricResult(BaseModel):
    """A metric of an arm; all but `value` is beside the control, and null where it cannot be told yet."""

    value: float | None
    """The arm's metric as it is, without CUPED; null where nothing was counted."""
    difference: float | None = None
    """The arm minus the control, adjusted by what was known before exposure (CUPED)."""
    low: float | None = None
    high: float | None = None
    """95 % interval of the difference, valid at every look; null while it has no end."""
    lift: float | None = None
    """The difference as a share of the control's metric."""
    lift_low: float | None = None
    lift_high: float | None = None
    p_value: float | None = None
    """Always valid; of secondary metrics adjusted together (Benjamini-Hochberg), of the primary one over the arms."""
    variance_kept: float | None = None
    """Share of the variance that CUPED left; 1 where nothing from before helps."""


class GuardrailResult(BaseModel):
    """What a guardrail says of an arm."""

    metric: str
    most_worse: float
    most_worse_by: float
    broken: bool
    words: str


class ArmResult(BaseModel):
    """An arm as it stands."""

    name: str
    control: bool
    units: int
    share: float
    """Of the units that arms have by their weights."""
    decision: Decision | None
    """On the primary metric; null for the control."""
    words: list[str]
    metrics: dict[str, MetricResult]
    guardrails: list[GuardrailResult]
    stopped_at: datetime | None
    stopped_why: str


class Results(BaseModel):
    """An experiment's results at one look. Looking more often makes them no less right."""

    since: datetime
    until: datetime
    metric: str
    """The primary metric."""
    units: int
    """Users or sessions that were exposed to one arm; only they count."""
    crossed: int
    """Those that were in several arms (merged users, or ids that several people share), and are left out."""
    planned_units: int | None
    sample_ratio_p: float
    """How well the arms' sizes fit their weights; below .001 there is no verdict."""
    blocked: bool
    days_left: float | None
    """Until the planned units are exposed, if as many come each day as so far; null without a plan."""
    arms: list[ArmResult]
    definitions: dict[str, str]
    """What each metric means."""


def results_of(
    stores: Stores,
    scope: Scope,
    experiment: Experiment,
    now: datetime | None = None,
    kind: AnswerKind | None = None,
    placement: str | None = None,
) -> Results | None:
    """The results of an experiment up to now or to its end; None before its start, and of an interleaving.

    With `kind` or `placement` by those of its answers alone. Raises EngineUnavailable.
    """
    if experiment.started_at is None or experiment.kind == "interleaving":
        return None
    until = experiment.ended_at or now or datetime.now(UTC)
    metrics = _metrics(experiment)
    stores.events.ping()  # an engine that is away is told at once; a large question may take a minute
    exposed = stores.exposures.of_experiment(
        scope,
        experiment.name,
        experiment.unit,
        milliseconds(experiment.started_at),
        milliseconds(until),
        metrics,
        goal_of(stores.scenarios.get(scope)),
        kind,
        placement,
    )
    return evaluated(experiment, exposed, until)


def evaluated(experiment: Experiment, exposed: Exposed, until: datetime) -> Results:
    """The results of a started experiment from its sums."""
    assert experiment.started_at is not None  # noqa: S101 - only a started one has sums
    metrics = _metrics(experiment)
    units = {arm.name: exposed.arms[arm.name].units if arm.name in exposed.arms else 0 for arm in experiment.arms}
    samples = {
        arm.name: exposed.arms[arm.name].samples
        if arm.name in exposed.arms
        else {metric.name: Sample() for metric in metrics}
        for arm in experiment.arms
    }
    compared = [arm for arm in experiment.arms if arm.stopped_at is None or arm.stopped_at == experiment.ended_at]
    shares = {arm.name: experiment.allocation.shares[arm.name] for arm in compared}
    ratio_p = sample_ratio_p({name: units[name] for name in shares}, shares)
    differences = _differences(experiment, metrics, samples)
    decided = _verdicts(experiment, compared, differences, units, shares)
    p_values = _adjusted(experiment, differences)
    arms = []
    for arm in experiment.arms:
        decision, words = decided.get(arm.name, (None, []))
        results = {
            metric.name: _metric_result(
                samples[arm.name][metric.name],
                differences.get((arm.name, metric.name)),
                p_values.get((arm.name, metric.name)),
            )
            for metric in metrics
        }
        arms.append(
            ArmResult(
                name=arm.name,
                control=arm is experiment.control,
                units=units[arm.name],
                share=experiment.allocation.shares[arm.name],
                decision=decision,
                words=words,
                metrics=results,
                guardrails=_guardrails(experiment, arm, samples),
                stopped_at=arm.stopped_at,
                stopped_why=arm.stopped_why,
            )
        )
    total = sum(units.values())
    return Results(
        since=experiment.started_at,
        until=until,
        metric=experiment.metric,
        units=total,
        crossed=exposed.crossed,
        planned_units=experiment.planned_units,
        sample_ratio_p=ratio_p,
        blocked=ratio_p < RATIO_ALPHA,
        days_left=days_left(experiment, total, until),
        arms=arms,
        definitions={metric.name: metric.means for metric in metrics},
    )


def _metrics(experiment: Experiment) -> list[Metric]:
    """All that is told: every metric, and those that guardrails count."""
    names = [experiment.metric, *METRICS, *(each.metric for each in experiment.guardrails)]
    return [metric_of(name) for name in dict.fromkeys(names)]


def _differences(
    experiment: Experiment, metrics: list[Metric], samples: dict[str, dict[str, Sample]]
) -> dict[tuple[str, str], Difference]:
    control = samples[experiment.control.name]
    return {
        (arm.name, metric.name): compare(
            control[metric.name], samples[arm.name][metric.name], experiment.tightest_at or TIGHTEST_AT
        )
        for arm in experiment.arms[1:]
        for metric in metrics
        if control[metric.name].units and samples[arm.name][metric.name].units
    }


def _verdicts(
    experiment: Experiment,
    compared: list[ExperimentArm],
    differences: dict[tuple[str, str], Difference],
    units: dict[str, int],
    shares: dict[str, float],
) -> dict[str, tuple[Decision, list[str]]]:
    primary = metric_of(experiment.metric)
    found: dict[str, tuple[Decision, list[str]]] = {}
    known = {
        arm.name: differences[arm.name, primary.name] for arm in compared[1:] if (arm.name, primary.name) in differences
    }
    judged = verdicts(
        known,
        {name: units[name] for name in shares},
        shares,
        planned_units=experiment.tightest_at if experiment.planned_units is not None else None,
        higher_is_better=primary.higher_is_better,
        metric=primary.name,
    )
    for arm in experiment.arms[1:]:
        if arm.name in judged:
            found[arm.name] = judged[arm.name].decision, list(judged[arm.name].words)
        else:
            found[arm.name] = "too early", ["Too early: nobody was exposed to one of the arms."]
        if arm.stopped_at is not None:
            if arm not in compared:
                found[arm.name] = "undecided", []
            stopped = f"The arm was stopped at {arm.stopped_at:%Y-%m-%d %H:%M} UTC: {arm.stopped_why}"
            found[arm.name] = found[arm.name][0], [stopped, *found[arm.name][1]]
    return found


def _adjusted(experiment: Experiment, differences: dict[tuple[str, str], Difference]) -> dict[tuple[str, str], float]:
    """The p-values of the primary metric adjusted over the arms, those of all others over arms and metrics."""
    primary = [key for key in differences if key[1] == experiment.metric]
    others = [key for key in differences if key[1] != experiment.metric]
    found = dict(zip(primary, adjusted([differences[key].p_value for key in primary]), strict=True))
    return found | dict(zip(others, adjusted([differences[key].p_value for key in others]), strict=True))


def _metric_result(sample: Sample, difference: Difference | None, p: float | None) -> MetricResult:
    value = sample.metric if sample.base else None
    if difference is None:
        return MetricResult(value=value)
    bounded = difference.standard_error > 0
    return MetricResult(
        value=value,
        difference=difference.difference,
        low=difference.low if bounded else None,
        high=difference.high if bounded else None,
        lift=difference.lift if bounded else None,
        lift_low=difference.lift_low if bounded else None,
        lift_high=difference.lift_high if bounded else None,
        p_value=p,
        variance_kept=difference.variance_kept,
    )


def _guardrails(
    experiment: Experiment, arm: ExperimentArm, samples: dict[str, dict[str, Sample]]
) -> list[GuardrailResult]:
    if arm is experiment.control:
        return []
    # Together they stop a harmless arm with a probability of ALPHA at most.
    alpha = ALPHA / max(1, len(experiment.guardrails) * (len(experiment.arms) - 1))
    return [_guardrail(experiment, arm, each, samples, alpha) for each in experiment.guardrails]


def _guardrail(
    experiment: Experiment,
    arm: ExperimentArm,
    guardrail: Guardrail,
    samples: dict[str, dict[str, Sample]],
    alpha: float,
) -> GuardrailResult:
    metric = metric_of(guardrail.metric)
    control, treatment = samples[experiment.control.name][metric.name], samples[arm.name][metric.name]
    found = harm(
        control,
        treatment,
        guardrail.most_worse,
        guardrail.most_worse_by,
        higher_is_better=metric.higher_is_better,
        tightest_at=experiment.tightest_at or TIGHTEST_AT,
        alpha=alpha,
    )
    words = f"{metric.name} is {treatment.metric:.4g}, in the control {control.metric:.4g}"
    limits = [f"{guardrail.most_worse:.0%}"] if guardrail.most_worse else []
    limits += [f"{guardrail.most_worse_by:g}"] if guardrail.most_worse_by else []
    allowed = f"; up to {' or '.join(limits)} worse is allowed" if limits else ""
    verdict = "worse beyond noise" if found.broken else "not worse beyond noise"
    return GuardrailResult(
        metric=metric.name,
        most_worse=guardrail.most_worse,
        most_worse_by=guardrail.most_worse_by,
        broken=found.broken,
        words=f"{words}: {verdict}{allowed}.",
    )
