"""Training: tunes, fits and measures a challenger. The better of it and the champion is put in service."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import structlog

from lemo import __version__
from lemo.domain.scenario import Scenario
from lemo.domain.scope import Scope
from lemo.domain.time import from_milliseconds
from lemo.jobs.champion import champion_of, judged_of
from lemo.jobs.ratings import with_scales
from lemo.jobs.report import NO_EVENTS, Done, Report, idle
from lemo.jobs.soundness import Soundness, soundness
from lemo.models.promotion import Verdict, judge
from lemo.recommenders.data.catalogue import Catalogue
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.evaluation.metrics import Metrics, Scorecard, evaluate
from lemo.recommenders.evaluation.splits import Split, split
from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
from lemo.recommenders.registry import MissingSource, source_class
from lemo.recommenders.repeats import RepeatRates
from lemo.recommenders.selection.hyperparameter_search import Assessment, assess
from lemo.serving.restore import restore_for
from lemo.stores.connect import Stores
from lemo.stores.documents.models import KIND, ModelRecord
from lemo.stores.objects.versions import new_version

log = structlog.get_logger()

MOST_UNSEEN = 50_000
"""Items of the catalogue that a model holds beside those of the events: each costs every request a little."""


def read_interactions(stores: Stores, scope: Scope, scenario: Scenario) -> Interactions:
    """All interactions of the scenario, deduplicated, with its weights.

    With a source that scores items which nobody has touched, the newest of these are among the items too.
    """
    table = stores.events.interactions(scope)
    catalogue = Catalogue(lambda: stores.items.scan(scope))
    more = catalogue.newest_ids(MOST_UNSEEN) if any(map(_scores_unseen, scenario.sources)) else ()
    return Interactions.from_table(table, scenario.actions, more, catalogue)


def _scores_unseen(name: str) -> bool:
    """Whether a source scores items that nobody has touched; one that is not installed is left out of training."""
    try:
        return bool(getattr(source_class(name), "scores_unseen", False))  # older packages do not say
    except MissingSource:
        return False


def train(stores: Stores, scope: Scope, report: Report) -> Done:
    """Trains a challenger, and promotes it if it is better than the champion on the test data.

    Both are fitted on the first 80 % of the events and measured on the rest. What is promoted is chosen once more on
    all events, in the way that was measured. A champion below decayed popularity gives way to a challenger that is not.
    Where the champion stays, its parameters are fitted again on all events, if there are new ones. The soundness of the
    model to be served is checked on all events.
    """
    started = time.monotonic()
    report.stage("reading events")
    scenario = with_scales(stores, scope, renew=True)
    interactions = read_interactions(stores, scope, scenario)
    if not interactions.positive.any():
        return idle(_nothing_to_learn(scenario, len(interactions)), len(interactions), promoted=False)
    report.stage("choosing and measuring")
    assessment = assess(interactions, scenario.actions, report.at, sources=scenario.sources)
    config, metrics = challenger(assessment)
    run = _Run(stores, scope, report, scenario, interactions, split(interactions), started)
    floor = assessment.decayed_popularity.ndcg_at_10 if assessment else 0.0
    verdict = judge(stores, scope, metrics, floor, run.measure)
    champion = champion_of(stores, scope, scenario, interactions)
    fitted, better = run.fitted(config), verdict.promoted
    if better and champion and champion.readable and (fault := fitted.fault):
        verdict = replace(verdict, promoted=False, why=f"refused: {fault}")
    if champion and champion.config is None and not verdict.promoted:
        verdict = Verdict(True, f"the champion {champion.version} cannot be read by this version of Lemo")
    refresh_of = champion.refresh_of if champion and not verdict.promoted else ""
    same = bool(refresh_of) and champion is not None and champion.config == config
    version = run.publish(
        fitted,
        checked=better or same,
        judged=assessment.config.model_dump(mode="json") if assessment else None,
        metrics=_recorded_metrics(assessment, metrics),
        champion_ndcg_at_10=verdict.champion.ndcg_at_10 if verdict.champion else None,
        comparison=verdict.comparison.model_dump() if verdict.comparison else None,
        promoted=verdict.promoted,
        refresh_of=refresh_of if same else "",
        why=verdict.why,
    )
    serving, refused = champion.version if champion else version, ""
    if verdict.promoted:
        serving = version
        run.serve(version, "promote", verdict.why)
    elif champion and champion.config and refresh_of:
        if not same:
            fitted = run.fitted(champion.config)
        if champion.readable and (fault := fitted.fault):
            refused = f"{serving} goes on serving: its parameters fitted on newer events were refused: {fault}"
            log.warning("a refresh is refused", scope=str(scope), why=refused)
        else:
            why = f"the parameters of {refresh_of} on newer events"
            serving = version if same else run.publish_refresh(fitted, refresh_of, verdict, why)
            run.serve(serving, "refresh", why)
    detail = {"version": version, "serving": serving, **_told(verdict, assessment)}
    if refused:
        detail["refused"] = refused
    if "without" in detail:
        log.warning("training without a part", scope=str(scope), why=detail["without"])
    return Done(len(interactions), len(interactions.item_ids), detail)


class _Fitted:
    """A model fitted on all events, and its soundness, which costs one more fit and is found when it is asked for."""

    def __init__(self, model: HybridRecommender, check: Callable[[HybridRecommender], Soundness | None]) -> None:
        self.model = model
        self._check = check

    @cached_property
    def soundness(self) -> Soundness | None:
        """None where there are no users to judge by."""
        return self._check(self.model)

    @property
    def fault(self) -> str:
        """Why the model may not serve; empty for one that is sound."""
        return self.soundness.fault if self.soundness else ""


@dataclass(frozen=True)
class _Run:
    """What one training run fits, publishes and puts in service."""

    stores: Stores
    scope: Scope
    report: Report
    scenario: Scenario
    interactions: Interactions
    parts: Split
    started: float

    def fitted(self, config: HybridConfig) -> _Fitted:
        """A configuration fitted on all events."""
        self.report.stage("fitting on all events")
        model = HybridRecommender.fit(self.interactions, config, self.scenario.actions)
        return _Fitted(model, self._soundness)

    def measure(self, version: str) -> Metrics | None:
        """Metrics of a version's judged configuration, fitted on the training data; None where it cannot be read."""
        config = judged_of(self.stores, self.scope, version)
        return None if config is None else evaluate(self._on_training_data(config), self.parts)

    def publish_refresh(self, fitted: _Fitted, refresh_of: str, verdict: Verdict, why: str) -> str:
        """Publishes the champion's parameters on newer events, with their metrics of this run: none are copied."""
        judged = judged_of(self.stores, self.scope, refresh_of)
        return self.publish(
            fitted,
            checked=True,
            metrics={"model": verdict.champion.model_dump(mode="json")} if verdict.champion else {},
            refresh_of=refresh_of,
            why=why,
            judged=judged and judged.model_dump(mode="json"),
        )

    def publish(self, fitted: _Fitted, checked: bool, **about: Any) -> str:
        """Publishes and records a model, with its soundness where it is `checked`; returns the version."""
        model = fitted.model
        model.newness = self.scenario.newness
        model.repeats = RepeatRates.fit(self.interactions)
        sound = fitted.soundness if checked else None
        arrays, manifest = model.to_arrays()
        version = new_version()
        restore_for(self.stores, self.scope, self.interactions.item_ids, self.report.check)
        self.report.check()
        self.stores.snapshots.publish(self.scope, KIND, version, arrays, manifest)
        self.stores.models.record(
            self.scope,
            ModelRecord(
                version=version,
                kind="ranked" if model.config.ranker else "blend",
                config=model.config.model_dump(mode="json"),
                events=len(self.interactions),
                first_event_at=from_milliseconds(self.interactions.oldest),
                last_event_at=from_milliseconds(self.interactions.newest),
                code_version=__version__,
                seconds=round(time.monotonic() - self.started, 3),
                soundness=sound.model_dump() if sound else None,
                **about,
            ),
        )
        return version

    def serve(self, version: str, action: Literal["promote", "refresh"], why: str) -> None:
        """Puts a version in service, unless a later run or a person did so meanwhile."""
        self.report.check()
        self.stores.model_changes.put_in_service(
            self.scope, version=version, fence=self.report.fence, action=action, by="training", why=why
        )

    def _on_training_data(self, config: HybridConfig) -> HybridRecommender:
        return HybridRecommender.fit(self.parts.train, config, self.scenario.actions)

    def _soundness(self, model: HybridRecommender) -> Soundness | None:
        """Compares a model to be served with the same configuration fitted on the training data."""
        return soundness(self._on_training_data(model.config), model, self.parts) if len(self.parts.users) else None


def _told(verdict: Verdict, assessment: Assessment | None) -> dict[str, Any]:
    """What the history of runs tells of the choice."""
    config, metrics = challenger(assessment)
    detail: dict[str, Any] = {
        "promoted": verdict.promoted,
        "why": verdict.why,
        "config": config.model_dump(mode="json", exclude={"ranker"}) | {"ranked": config.ranker is not None},
    }
    if assessment and assessment.without:
        detail["without"] = assessment.without
    if assessment and metrics:
        detail |= {
            "ndcg_at_10": (metrics if verdict.promoted or not verdict.champion else verdict.champion).ndcg_at_10,
            "popularity_ndcg_at_10": assessment.popularity.ndcg_at_10,
            "test_users": metrics.users,
        }
    return detail


def _nothing_to_learn(scenario: Scenario, count: int) -> str:
    """Why there is nothing to learn from, and what to do."""
    if not count:
        return NO_EVENTS
    positive = ", ".join(sorted(name for name, rule in scenario.actions.items() if rule.weight > 0))
    return f"None of {count:,} events speaks for an item. Send events of the actions that do: {positive}."


def challenger(assessment: Assessment | None) -> tuple[HybridConfig, Scorecard | None]:
    """The configuration to serve, and what the choice reached in the test."""
    return (HybridConfig(), None) if assessment is None else (assessment.served, assessment.model)


def _recorded_metrics(assessment: Assessment | None, metrics: Scorecard | None) -> dict[str, Any]:
    """The metrics for the registry: `model` is what the choice reached in the test."""
    if assessment is None or metrics is None:
        return {}
    return assessment.model_dump(mode="json", exclude={"config", "served"})
