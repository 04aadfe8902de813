"""Training: tunes, fits and measures a challenger. The better of it and the champion is put in service."""

import time
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
from pydantic import ValidationError

from lemo import __version__
from lemo.domain.errors import NotFound, Outdated
from lemo.domain.scenario import Scenario
from lemo.domain.scope import Scope
from lemo.domain.time import from_milliseconds
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
from lemo.serving.state import read_model
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
    floor = assessment.decayed_popularity.ndcg_at_10 if assessment else 0.0
    parts = split(interactions)
    verdict = judge(stores, scope, metrics, floor, partial(_measure_version, stores, scope, scenario, parts))
    champion = stores.snapshots.current(scope, KIND)
    readable = champion is not None and _readable(stores, scope, champion)
    fit = partial(_fit, report, scenario, interactions)
    check = partial(_check_soundness, scenario, parts)
    model = fit(config)
    sound = check(model) if verdict.promoted else None
    if readable and sound and sound.fault:
        verdict = replace(verdict, promoted=False, why=f"refused: {sound.fault}")
    kept = None if verdict.promoted or champion is None else config_of(stores, scope, champion)
    if not verdict.promoted and kept is None:
        verdict = Verdict(True, f"the champion {champion} cannot be read by this version of Lemo")
    refresh_of = _outdated(stores, scope, scenario, champion, interactions) if champion and kept else ""
    same = bool(refresh_of) and kept == config
    if same and sound is None:
        sound = check(model)
    publish = partial(_publish, stores, scope, report, scenario, interactions, started)
    version = publish(
        model,
        judged=assessment.config.model_dump(mode="json") if assessment else None,
        metrics=_recorded_metrics(assessment, metrics),
        champion_ndcg_at_10=verdict.champion.ndcg_at_10 if verdict.champion else None,
        comparison=verdict.comparison.model_dump() if verdict.comparison else None,
        soundness=_dump(sound),
        promoted=verdict.promoted,
        refresh_of=refresh_of if same else "",
        why=verdict.why,
    )
    serve = partial(stores.model_changes.put_in_service, scope, fence=report.fence, by="training")
    serving, refused = champion, ""
    if verdict.promoted:
        serving = version
        report.check()
        serve(version=version, action="promote", why=verdict.why)
    elif kept and refresh_of:
        if not same:
            model = fit(kept)
            sound = check(model)
        if readable and sound and sound.fault:
            refused = f"{champion} goes on serving: its parameters fitted on newer events were refused: {sound.fault}"
            log.warning("a refresh is refused", scope=str(scope), why=refused)
        else:
            # The champion's parameters were measured in this run: no old metrics are copied.
            champion_metrics = {"model": verdict.champion.model_dump(mode="json")} if verdict.champion else {}
            why = f"the parameters of {refresh_of} on newer events"
            judged = judged_of(stores, scope, refresh_of)
            about: dict[str, Any] = {
                "metrics": champion_metrics,
                "soundness": _dump(sound),
                "refresh_of": refresh_of,
                "why": why,
            }
            about["judged"] = judged and judged.model_dump(mode="json")
            serving = version if same else publish(model, **about)
            report.check()
            serve(version=serving, action="refresh", why=why)
    detail: dict[str, Any] = {
        "version": version,
        "promoted": verdict.promoted,
        "why": verdict.why,
        "serving": serving,
        "config": config.model_dump(mode="json", exclude={"ranker"}) | {"ranked": config.ranker is not None},
    }
    if refused:
        detail["refused"] = refused
    if assessment and assessment.without:
        log.warning("training without a part", scope=str(scope), why=assessment.without)
        detail["without"] = assessment.without
    if assessment and metrics:
        detail |= {
            "ndcg_at_10": (metrics if verdict.promoted or not verdict.champion else verdict.champion).ndcg_at_10,
            "popularity_ndcg_at_10": assessment.popularity.ndcg_at_10,
            "test_users": metrics.users,
        }
    return Done(len(interactions), len(interactions.item_ids), detail)


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


def _fit(report: Report, scenario: Scenario, interactions: Interactions, config: HybridConfig) -> HybridRecommender:
    report.stage("fitting on all events")
    return HybridRecommender.fit(interactions, config, scenario.actions)


def _check_soundness(scenario: Scenario, parts: Split, model: HybridRecommender) -> Soundness | None:
    """Compares a model to be served with the same configuration fitted on the training data."""
    if not len(parts.users):
        return None
    return soundness(HybridRecommender.fit(parts.train, model.config, scenario.actions), model, parts)


def _dump(sound: Soundness | None) -> dict[str, float] | None:
    return sound.model_dump() if sound else None


def _publish(
    stores: Stores,
    scope: Scope,
    report: Report,
    scenario: Scenario,
    interactions: Interactions,
    started: float,
    model: HybridRecommender,
    **about: Any,
) -> str:
    """Publishes and records a model that was fitted on all events; returns the version."""
    model.newness = scenario.newness
    model.repeats = RepeatRates.fit(interactions)
    arrays, manifest = model.to_arrays()
    version = new_version()
    restore_for(stores, scope, interactions.item_ids, report.check)
    report.check()
    stores.snapshots.publish(scope, KIND, version, arrays, manifest)
    stores.models.record(
        scope,
        ModelRecord(
            version=version,
            kind="ranked" if model.config.ranker else "blend",
            config=model.config.model_dump(mode="json"),
            events=len(interactions),
            first_event_at=from_milliseconds(interactions.oldest),
            last_event_at=from_milliseconds(interactions.newest),
            code_version=__version__,
            seconds=round(time.monotonic() - started, 3),
            **about,
        ),
    )
    return version


def _measure_version(stores: Stores, scope: Scope, scenario: Scenario, parts: Split, version: str) -> Metrics | None:
    """Metrics of a version's judged configuration, fitted on the training data; None where it cannot be read."""
    config = judged_of(stores, scope, version)
    return None if config is None else evaluate(HybridRecommender.fit(parts.train, config, scenario.actions), parts)


def config_of(stores: Stores, scope: Scope, version: str) -> HybridConfig | None:
    """The configuration of a version, from its snapshot or its record; None where this Lemo cannot read it."""
    try:
        try:
            stored = stores.snapshots.open(scope, KIND, version).manifest["config"]
        except NotFound:
            stored = stores.models.get(scope, version).config
        return HybridConfig.model_validate(stored)
    except (NotFound, KeyError, ValidationError):
        return None


def judged_of(stores: Stores, scope: Scope, version: str) -> HybridConfig | None:
    """The configuration to compare a version by: the one that was judged, which has not seen the test."""
    try:
        judged = stores.models.get(scope, version).judged
        return config_of(stores, scope, version) if judged is None else HybridConfig.model_validate(judged)
    except (NotFound, ValidationError):
        return config_of(stores, scope, version)


def _outdated(stores: Stores, scope: Scope, scenario: Scenario, champion: str, interactions: Interactions) -> str:
    """The version whose parameters to fit again, where the champion cannot serve or its events or rules are old.

    Empty where the champion is current.
    """
    try:
        record = stores.models.get(scope, champion)
        model = read_model(scope, stores.snapshots, champion)
    except (NotFound, Outdated):
        return champion
    same_events = (record.events, record.last_event_at) == (len(interactions), from_milliseconds(interactions.newest))
    same_rules = (model.rules, model.newness) == (scenario.actions, scenario.newness)
    return "" if same_events and same_rules else record.refresh_of or champion


def _readable(stores: Stores, scope: Scope, version: str) -> bool:
    """Whether this version of Lemo can read the model."""
    try:
        read_model(scope, stores.snapshots, version)
    except (NotFound, Outdated):
        return False
    return True
