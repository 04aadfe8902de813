"""Offline evaluation on a scenario's own events. Nothing is published or promoted."""

from pydantic import Field

from lemo.domain.scope import Scope
from lemo.jobs.champion import judged_of
from lemo.jobs.ratings import with_scales
from lemo.jobs.report import Report
from lemo.jobs.training import read_interactions
from lemo.recommenders.evaluation.cold_start import cold_start, cold_start_questions
from lemo.recommenders.evaluation.metrics import Scorecard, evaluate
from lemo.recommenders.evaluation.significance import Comparison, compare
from lemo.recommenders.evaluation.splits import Protocol, split
from lemo.recommenders.hybrid.hybrid import HybridRecommender
from lemo.recommenders.selection.hyperparameter_search import Assessment, assess
from lemo.stores.connect import Stores
from lemo.stores.documents.models import KIND


class Evaluation(Assessment):
    """Metrics of the chosen model, and of the champion's parameters on the same data."""

    champion: Scorecard | None = None
    """None without a champion, or where its parameters cannot be read."""
    champion_version: str | None = None
    compared: dict[str, Comparison] = Field(default_factory=dict)
    """The chosen model against each other one: difference of NDCG@10, confidence interval and p-value."""

    @property
    def scorecards(self) -> dict[str, Scorecard]:
        """Scorecards by name, the chosen model first; the hybrid by itself where the model has a ranker."""
        found = {"model": self.model, "hybrid": self.hybrid if self.config.ranker else None, "champion": self.champion}
        found |= {"popularity": self.popularity, "decayed_popularity": self.decayed_popularity}
        return {name: card for name, card in found.items() if card is not None}


def evaluate_scenario(stores: Stores, scope: Scope, protocol: Protocol | None, report: Report) -> Evaluation | None:
    """Chooses a model on the first 80 % of the events and measures it on the rest, with the champion's parameters.

    `protocol` is `time` for a global split in time, `user` for each user's last 20 %, None for `time` where the events
    have times. Returns None without test users.
    """
    report.stage("reading events")
    scenario = with_scales(stores, scope)
    interactions = read_interactions(stores, scope, scenario)
    assessment = assess(interactions, scenario.actions, report.at, protocol, scenario.sources, to_serve=False)
    if assessment is None:
        return None
    champion = stores.snapshots.current(scope, KIND)
    config = judged_of(stores, scope, champion) if champion else None
    card = None
    if config is not None:
        report.stage("measuring the champion")
        parts = split(interactions, protocol=protocol)
        fitted = HybridRecommender.fit(parts.train, config, scenario.actions)
        card = evaluate(fitted, parts)
        if assessment.cold_start:
            assessment.cold_start["champion"] = cold_start(fitted, parts, cold_start_questions(parts))
    given = {name: getattr(assessment, name) for name in type(assessment).model_fields}
    found = Evaluation(**given, champion=card, champion_version=champion if card else None)
    for name, other in found.scorecards.items():
        if name != "model":
            found.compared[name] = compare(found.model.ndcg_by_user, other.ndcg_by_user)
    return found
