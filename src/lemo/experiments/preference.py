"""Which arm of an interleaving users prefer, and how many users it takes to know."""

from datetime import UTC, datetime

from pydantic import BaseModel

from lemo.domain.experiment import Experiment
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.experiments.plan import days_left
from lemo.statistics.interleaving import judged, preference
from lemo.statistics.sequential import TIGHTEST_AT
from lemo.statistics.verdict import Decision
from lemo.stores.clickhouse.interleaved import Interleavings
from lemo.stores.connect import Stores


class ArmClicks(BaseModel):
    """An arm of an interleaving."""

    name: str
    control: bool
    clicks: int
    """Items of its team that were clicked; several clicks on an item of an answer count once."""
    won: int
    """Answers in which more of its items were clicked than of the other arm's."""


class PreferenceResults(BaseModel):
    """What the clicks of an interleaving tell at one look. Looking more often makes it no less right."""

    since: datetime
    until: datetime
    answers: int
    units: int
    """Users or sessions that got an interleaved answer."""
    deciding: int
    """Those of them with an answer that an arm won; only they count."""
    ties: int
    """Answers in which as many items of both arms were clicked."""
    arms: list[ArmClicks]
    share: float | None
    """Of the answers that an arm won, those of the second arm: .5 is no preference. Null without such an answer."""
    low: float | None
    high: float | None
    """95 % interval of the share, valid at every look; null while nothing varies."""
    p_value: float
    """Always valid."""
    decision: Decision
    """On the second arm."""
    words: list[str]
    planned_units: int | None
    """Deciding units that were planned."""
    days_left: float | None
    """Until there are so many, if as many come each day as so far; null without a plan."""


def preference_of(
    stores: Stores, scope: Scope, experiment: Experiment, now: datetime | None = None
) -> PreferenceResults | None:
    """The preference up to now or to the experiment's end; None for another kind, and before its start.

    Raises EngineUnavailable.
    """
    if experiment.kind != "interleaving" or experiment.started_at is None:
        return None
    until = experiment.ended_at or now or datetime.now(UTC)
    stores.events.ping()  # an engine that is away is told at once; a large question may take a minute
    control, other = (arm.name for arm in experiment.arms)
    found = stores.interleaved.of_experiment(
        scope,
        experiment.name,
        experiment.unit,
        milliseconds(experiment.started_at),
        milliseconds(until),
        (control, other),
    )
    return evaluated(experiment, found, until)


def evaluated(experiment: Experiment, found: Interleavings, until: datetime) -> PreferenceResults:
    """The preference of a started interleaving from its sums."""
    assert experiment.started_at is not None  # noqa: S101 - only a started one has sums
    control, other = (arm.name for arm in experiment.arms)
    result = preference(found.sample, experiment.tightest_at or TIGHTEST_AT)
    decision, words = judged(result, (control, other), experiment.planned_units)
    return PreferenceResults(
        since=experiment.started_at,
        until=until,
        answers=found.answers,
        units=found.units,
        deciding=result.units,
        ties=found.ties,
        arms=[
            ArmClicks(name=name, control=at == 0, clicks=found.clicks[at], won=found.won[at])
            for at, name in enumerate((control, other))
        ],
        share=result.share,
        low=result.low,
        high=result.high,
        p_value=result.p_value,
        decision=decision,
        words=words,
        planned_units=experiment.planned_units,
        days_left=days_left(experiment, result.units, until),
    )
