"""How the lift of each arm went over the days, with its interval at each look."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from nicegui import ui

from lemo.console.bands import add_band
from lemo.console.charts import COLOURS, Series, line_chart
from lemo.console.language import t
from lemo.domain.counting import goal_of
from lemo.domain.experiment import Experiment
from lemo.domain.experiment_metrics import metric_of
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.statistics.estimates import Difference, compare
from lemo.statistics.sequential import TIGHTEST_AT
from lemo.stores.connect import Stores

MOST_LOOKS = 10
"""Moments at which the results are read: each is a question to the store of events."""


@dataclass(frozen=True, slots=True)
class Look:
    """The lift of each arm but the control in the primary metric, as it was known at a moment."""

    at: datetime
    arms: dict[str, Difference]
    """Arms that were beside a control then."""


def course(stores: Stores, scope: Scope, experiment: Experiment) -> list[Look]:
    """Looks from the start until now or the end, evenly spread, oldest first; raises EngineUnavailable.

    Each is what the results said then: they count what happened before, and intervals are valid at every look.
    """
    if experiment.started_at is None or experiment.kind == "interleaving":
        return []
    metric, goal = metric_of(experiment.metric), goal_of(stores.scenarios.get(scope))
    end = experiment.ended_at or datetime.now(UTC)
    looks = []
    for at in moments(experiment.started_at, end):
        found = stores.exposures.of_experiment(
            scope,
            experiment.name,
            experiment.unit,
            milliseconds(experiment.started_at),
            milliseconds(at),
            [metric],
            goal,
        ).arms
        samples = {name: sums.samples[metric.name] for name, sums in found.items() if sums.units}
        control = samples.pop(experiment.control.name, None)
        arms = {
            name: compare(control, sample, experiment.tightest_at or TIGHTEST_AT)
            for name, sample in samples.items()
            if control is not None
        }
        looks.append(Look(at, {name: arm for name, arm in arms.items() if arm.standard_error > 0}))
    return looks


def moments(start: datetime, end: datetime) -> list[datetime]:
    """Whole days after the start and before the end, thinned out to `MOST_LOOKS`, and the end."""
    days = int((end - start) / timedelta(days=1))
    step = max(1, -(-days // (MOST_LOOKS - 1)))
    whole = (start + timedelta(days=day) for day in range(step, days + 1, step))
    return [*(at for at in whole if at < end), end]


def draw_course(looks: Sequence[Look], experiment: Experiment) -> ui.echart:
    """The lifts with their intervals as lines and bands."""
    names = [arm.name for arm in experiment.arms[1:]]
    found = {name: [look.arms.get(name) for look in looks] for name in names}
    chart = line_chart(
        [f"{look.at:%m-%d %H:%M}" for look in looks],
        [Series(name, [None if each is None else each.lift for each in found[name]]) for name in names],
        about=t("Lift of each arm over time, with 95 % intervals", "各组提升随时间变化，含 95 % 区间"),
        unit="share",
        height=240,
    )
    for place, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
        chart.options["series"][place].pop("areaStyle", None)
        chart.options["series"][place]["showSymbol"] = True
        lows = [None if each is None else each.lift_low for each in found[name]]
        highs = [None if each is None else each.lift_high for each in found[name]]
        add_band(chart, lows, highs, colour, f"band {place}")
    chart.options["series"][0]["markLine"] = {
        "silent": True,
        "symbol": "none",
        "label": {"show": False},
        "lineStyle": {"color": "var(--line-strong)", "type": "solid"},
        "data": [{"yAxis": 0}],
    }
    chart.options["grid"]["right"] = 40  # half of the last label
    return chart
