"""What a pipeline would have earned, estimated from what was served and clicked, before anybody is shown it.

Each logged answer is answered once more by the pipeline for the user as the user was then. The row of an estimate is an
item that was shown: its reward, the probability with which the log showed it (1 but for what was explored), and that
with which the pipeline would. Nothing can be told of items that the log never showed but by the doubly robust
estimate's model, the item's own rate, so the share of what the pipeline shows that the log has shown stands beside it.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

from lemo.domain.counting import goal_of
from lemo.domain.errors import InvalidInput, NotFound
from lemo.domain.pipeline import Pipeline
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.serving.choices import Choices
from lemo.serving.replayed import PastRequest, Replayed, replayed
from lemo.statistics.off_policy import Estimate, Log, doubly_robust, ips, snips
from lemo.stores.clickhouse.answer_log import LoggedAnswer, Reward
from lemo.stores.connect import Stores

Array = np.ndarray[Any, Any]
Metric = Literal["clicks", "conversions", "value"]
FOLDS, PRIOR = 5, 100.0
"""Of the doubly robust estimate's model: an item's rate among the users of the other folds, as if 100 rows had the mean
of all."""
LEAST_REPRODUCED = 0.8


class EstimateResult(BaseModel):
    """One estimate of the mean reward of an item shown."""

    name: Literal["ips", "snips", "doubly robust"]
    value: float
    low: float
    high: float
    """95 % interval, for one look."""
    effective: float
    """Rows of an unweighted sample that would tell as much (Kish)."""
    warnings: list[str]


class ReplayReport(BaseModel):
    """A pipeline's estimates beside what was logged."""

    since: datetime
    until: datetime
    metric: Metric
    answers: int
    rows: int
    """Items shown in them, by which is estimated."""
    left_out: int
    """Items that were shown by a chance that is not known (caps decided too)."""
    logged: float
    """The mean reward of an item as it was."""
    overlap: float
    """Of what the pipeline would show, the share that the log has shown."""
    reproduced: float
    """Of what was shown, the share that the pipeline in service shows again in the replay; 1 would be perfect."""
    estimates: list[EstimateResult]
    warnings: list[str]
    """Why not to trust any of them, in plain words."""


def replay(
    stores: Stores,
    choices: Choices,
    scope: Scope,
    pipeline: Pipeline,
    days: int = 7,
    most: int = 5_000,
    metric: Metric = "clicks",
    now: datetime | None = None,
) -> ReplayReport:
    """Estimates a pipeline from the newest `most` answers of the last `days` days.

    Raises NotFound where there are none, InvalidInput for a pipeline that does not fit, and EngineUnavailable.
    """
    until = now or datetime.now(UTC)
    since = until - timedelta(days=days)
    period = milliseconds(since), milliseconds(until), most
    stores.events.ping()  # an engine that is away is told at once; a large question may take a minute
    answers = stores.answer_log.answers(scope, *period)
    if not answers:
        raise NotFound(
            f"No recommendations to users of {scope.scenario_id!r} were logged in the last {days} days.",
            "Replays need the log of what was served: is a consumer running, and LEMO_SERVED_LOG_SHARE above 0?",
        )
    scenario = stores.scenarios.get(scope)
    rewards = stores.answer_log.rewards(scope, *period, goal_of(scenario))
    known = stores.answer_log.interactions(scope, *period)
    past = [
        PastRequest(
            tuple(each for each in known.get(answer.user_id, ()) if each.timestamp_ms < answer.at_ms),
            len(answer.item_ids),
        )
        for answer in answers
    ]
    length, types = stores.settings.history_length, scenario.attribute_types
    target = replayed(choices, scope, past, pipeline, types, length)
    serving = replayed(choices, scope, past, stores.pipelines.current(scope).pipeline, types, length)
    return evaluated(answers, rewards, target, serving, metric, since, until)


def evaluated(
    answers: Sequence[LoggedAnswer],
    rewards: dict[tuple[str, str], Reward],
    target: Sequence[Replayed],
    serving: Sequence[Replayed],
    metric: Metric,
    since: datetime,
    until: datetime,
) -> ReplayReport:
    """The report of answers, and of what two pipelines answer in their place, in the same order."""
    rows: list[tuple[float, float, float, str, str, int]] = []
    again, firm, left_out = 0, 0, 0
    for place, answer in enumerate(answers):
        for item, p, explored in zip(answer.item_ids, answer.propensities, answer.explored, strict=True):
            q = target[place].probability(item)
            if explored and (p is None or q is None):
                left_out += 1
                continue
            if not explored:
                firm += 1
                again += item in serving[place].items
            came = rewards.get((answer.request_id, item), Reward(False, False, 0.0))
            rows.append((_number(came, metric), p or 1.0, q or 0.0, item, answer.user_id, place))
    if not rows:
        raise InvalidInput("Of no item it is known how likely it was shown.", "Replay a period without caps.")
    reward, logged, aimed, items, users, places = (np.array(column) for column in zip(*rows, strict=True))
    log = Log.of(reward, logged, aimed, users)
    shown, of_target = _predictions(log, items, places, target)
    estimates = {"ips": ips(log), "snips": snips(log), "doubly robust": doubly_robust(log, shown, of_target)}
    reproduced = again / firm if firm else 0.0
    expected = sum(each.size for each in target)
    overlap = min(1.0, float(log.weights.sum()) / expected) if expected else 0.0
    return ReplayReport(
        since=since,
        until=until,
        metric=metric,
        answers=len(answers),
        rows=len(rows),
        left_out=left_out,
        logged=float(reward.mean()),
        overlap=overlap,
        reproduced=reproduced,
        estimates=[_result(name, each) for name, each in estimates.items()],
        warnings=_warnings(overlap, reproduced),
    )


def _number(reward: Reward, metric: Metric) -> float:
    return {"clicks": float(reward.clicked), "conversions": float(reward.converted), "value": reward.value}[metric]


def _predictions(log: Log, items: Array, places: Array, target: Sequence[Replayed]) -> tuple[Array, Array]:
    """Of each row the predicted reward of its item, and the mean of what the target would show in its answer.

    Predictions are of the users of other folds (cross-fitting).
    """
    names, codes = np.unique(items, return_inverse=True)
    code_of = {name: code for code, name in enumerate(names.tolist())}
    folds = np.random.default_rng(0).permutation(int(log.clusters.max()) + 1)[log.clusters] % FOLDS
    predicted = np.empty((FOLDS, len(names) + 1))
    for fold in range(FOLDS):
        rest = folds != fold
        mean = float(log.rewards[rest].mean()) if rest.any() else 0.0
        count = np.bincount(codes[rest], minlength=len(names))
        total = np.bincount(codes[rest], log.rewards[rest], minlength=len(names))
        predicted[fold, :-1] = (total + PRIOR * mean) / (count + PRIOR)
        predicted[fold, -1] = mean  # of an item that was never shown
    rows_of = np.bincount(places, minlength=len(target))
    of_target = np.empty(len(codes))
    first = {int(place): at for at, place in reversed(list(enumerate(places.tolist())))}
    for place, at in first.items():
        fold = folds[at]
        expected = sum(q * predicted[fold, code_of.get(item, -1)] for item, q in target[place].chances())
        of_target[places == place] = expected / rows_of[place]
    return predicted[folds, codes], of_target


def _result(name: Any, estimate: Estimate) -> EstimateResult:
    found = asdict(estimate)
    return EstimateResult(
        name=name,
        **{field: found[field] for field in ("value", "low", "high", "effective")},
        warnings=list(estimate.warnings),
    )


def _warnings(overlap: float, reproduced: float) -> list[str]:
    said = []
    if reproduced < LEAST_REPRODUCED:
        said.append(
            f"The replay of the pipeline in service shows only {reproduced:.0%} of what was shown: the model, the items"
            " or the wishes of the requests were others then. So the estimates are not of this change alone."
        )
    if overlap < 0.5:
        said.append(
            f"The log has shown only {overlap:.0%} of what this pipeline would show: IPS counts the rest as without"
            " reward, SNIPS leaves it out, and the doubly robust estimate guesses it. Try the change in an experiment:"
            " `lemo experiments create`."
        )
    return said
