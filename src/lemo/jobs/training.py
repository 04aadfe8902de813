"""Training: choose, fit and measure a model on the past, and let it serve only if it is better."""

import time
from typing import Any

from lemo import __version__
from lemo.domain.scenario import Scenario
from lemo.domain.scope import Scope
from lemo.domain.time import from_milliseconds
from lemo.jobs.embeddings import new_version
from lemo.jobs.report import Done, Report
from lemo.recommenders.blend import BlendConfig, BlendModel
from lemo.recommenders.evaluation import evaluate
from lemo.recommenders.interactions import Interactions
from lemo.recommenders.selection import Assessment, assess
from lemo.recommenders.split import split
from lemo.stores.connect import Stores
from lemo.stores.models import ModelRecord

KIND = "model"


def read_interactions(stores: Stores, scope: Scope, scenario: Scenario) -> Interactions:
    """All interactions of the scenario, deduplicated, with its weights."""
    return Interactions.from_table(stores.events.interactions(scope), scenario.actions)


def train(stores: Stores, scope: Scope, report: Report) -> Done:
    """Trains a challenger and promotes it if it answers the last part of the past no worse than the champion.

    Both are fitted on the first 80 % of the events and asked about the rest. A challenger that is below decayed
    popularity gives way to it: what is promoted is never below that.
    """
    started = time.monotonic()
    scenario = stores.scenarios.get(scope)
    report.stage("reading events")
    interactions = read_interactions(stores, scope, scenario)
    if not interactions.positive.any():
        return Done(len(interactions), 0, {"promoted": False, "why": "no event that speaks for an item yet"})
    report.stage("choosing and measuring")
    assessment = assess(interactions, scenario.actions, report.at)
    config = challenger(assessment)
    champion = _champion_ndcg(stores, scope, scenario, interactions) if assessment else None
    ndcg = _ndcg(assessment)
    promoted = champion is None or ndcg is None or ndcg >= champion
    report.stage("fitting on all events")
    model = BlendModel.fit(interactions, config, scenario.actions)
    arrays, manifest = model.to_arrays()
    version = new_version()
    report.check()
    stores.snapshots.publish(scope, KIND, version, arrays, manifest)
    stores.models.record(
        scope,
        ModelRecord(
            version=version,
            kind="blend",
            config=config.model_dump(mode="json"),
            metrics=assessment.model_dump(mode="json", exclude={"config"}) if assessment else {},
            champion_ndcg_at_10=champion,
            promoted=promoted,
            events=len(interactions),
            first_event_at=from_milliseconds(interactions.newest - interactions.span),
            last_event_at=from_milliseconds(interactions.newest),
            code_version=__version__,
            seconds=round(time.monotonic() - started, 3),
        ),
    )
    if promoted:
        report.check()
        stores.snapshots.point(scope, KIND, version, report.fence)
    detail: dict[str, Any] = {"version": version, "promoted": promoted, "config": config.model_dump(mode="json")}
    if assessment:
        detail |= {
            "ndcg_at_10": ndcg if promoted else champion,
            "popularity_ndcg_at_10": assessment.popularity.ndcg_at_10,
            "test_users": assessment.model.users,
        }
    return Done(len(interactions), len(interactions.item_ids), detail)


def challenger(assessment: Assessment | None) -> BlendConfig:
    """The configuration to serve: the chosen one, or its popularity alone where that did better in the test."""
    if assessment is None:
        return BlendConfig()
    if assessment.model.ndcg_at_10 >= assessment.decayed_popularity.ndcg_at_10:
        return assessment.config
    return assessment.validation.popularity


def _ndcg(assessment: Assessment | None) -> float | None:
    if assessment is None:
        return None
    return max(assessment.model.ndcg_at_10, assessment.decayed_popularity.ndcg_at_10)


def _champion_ndcg(stores: Stores, scope: Scope, scenario: Scenario, interactions: Interactions) -> float | None:
    """NDCG@10 of the serving configuration, fitted on the same past as the challenger; None without a champion."""
    version = stores.snapshots.current(scope, KIND)
    if version is None:
        return None
    config = BlendConfig.model_validate(stores.snapshots.open(scope, KIND, version).manifest["config"])
    parts = split(interactions)
    return evaluate(BlendModel.fit(parts.train, config, scenario.actions), parts).ndcg_at_10
