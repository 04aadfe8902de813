"""Hyperparameter search: the hybrid that would have answered best in the recent past."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lemo.domain.errors import EngineUnavailable, LemoError
from lemo.domain.scenario import SOURCES, ActionRule
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.evaluation.cold_start import Cold, cold_start, cold_start_questions
from lemo.recommenders.evaluation.metrics import Scorecard, evaluate
from lemo.recommenders.evaluation.splits import Protocol, Split, folds_in_time, held_out, sampled, split
from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
from lemo.recommenders.interfaces import Source, SourceConfig
from lemo.recommenders.selection.further_sources import FurtherSources
from lemo.recommenders.selection.ranker_training import train_ranker
from lemo.recommenders.selection.reference import Reference, reference
from lemo.recommenders.selection.search_space import (
    SEARCHED,
    Mixture,
    Personal,
    SearchSpace,
    alone,
    best_of,
    evaluate_space,
)
from lemo.recommenders.sources.popularity import PopularityConfig

Array = np.ndarray[Any, Any]
Report = Callable[[str, int, int], None]
"""Called with the stage, the steps done and the steps in all."""

STARTS = (0.45, 0.6, 0.75)
"""Quantiles of all interactions at which the validation folds begin."""
RECENCY = 1.5
"""How much more each fold counts than the one before: the near past is most like the future."""
NEAR_BEST = 0.99
"""In time, item-kNN and a ridge together are preferred this close to the best: two that err differently err less."""
NOISE = 1.0
"""In time, a mixture with more popularity is as good where it is behind by at most so many standard errors
(the rule of Breiman et al., 1984)."""
MOST_USERS = 800
"""Users per fold in time: more change the choice little, and cost time."""
HELD_OUT = 0.1
"""Part of each user's interactions that is held out to choose by, where users are asked about their own last part: so
little that what is best on the rest is best on everything."""
MOST_HELD_OUT_USERS = 2_500
NEWEST_FOLDS = 2
"""Folds on which further sources are tried: what the search has fitted on them is kept in memory until then."""
FINALISTS = 4
"""Without time, personal sources among which is chosen again on everything: ridges of many parameters are dear, and
what is best shifts little with a fifth more data. In time all are compared again: the newest days may differ."""
FEWEST_USERS = 10
"""Validation on fewer users than this chooses by chance."""


class Selection(BaseModel):
    """The chosen configuration, and how it did on validation."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    config: HybridConfig
    popularity: HybridConfig
    """The best configuration without a personal source: popularity with its best half-life."""
    ndcg_at_10: float | None
    """Mean over the validation folds; None where there was too little to choose by, and `config` is the default."""
    users: int
    """Users over all folds."""
    folds: int
    alone: dict[str, float] = {}
    """NDCG@10 of the best configuration of each source alone, by the name of the source."""
    left_out: list[str] = []
    """Why sources could not be tried, in sentences."""
    finalists: SearchSpace | None = Field(default=None, exclude=True, repr=False)
    """Without time, the best of the search space, and what was chosen."""


class Assessment(BaseModel):
    """An honest test: chosen and fitted on the first part, measured on the last."""

    config: HybridConfig
    """What was best on validation, with a ranker where that was better than the hybrid."""
    protocol: str
    """`time`: one moment for all; `user`: each user's last part."""
    validation: Selection
    model: Scorecard
    """Of `config`."""
    hybrid: Scorecard
    """Of `validation.config`: the same without a ranker."""
    popularity: Scorecard
    decayed_popularity: Scorecard
    """Popularity with the half-life that was best on validation."""
    cold_start: dict[str, dict[str, Cold]] = {}
    """Of `model` and `decayed_popularity`: `new_items` ranked among themselves, and `new_users_1`, `_3` and `_5` by
    what they have liked. Empty without time; a question without users is left out."""
    reference: Reference | None = None
    """What was possible on the test; null where the model was trained before this was measured."""
    without: str = ""
    """Which sources or ranker were left out because something is missing for them, in sentences."""
    seconds: float

    served: HybridConfig
    """What to fit on everything and to serve."""


def silent(_stage: str, _done: int, _total: int) -> None:
    """A report that nobody reads."""


def assess(
    interactions: Interactions,
    rules: Mapping[str, ActionRule],
    report: Report = silent,
    protocol: Protocol | None = None,
    sources: Sequence[str] = SOURCES,
    to_serve: bool = True,
) -> Assessment | None:
    """Chooses and fits on the first 80 % of all interactions, measures on the rest; None without users to ask about.

    The test judges and chooses nothing: hybrid and ranker are chosen on validation. `to_serve`: what serves is chosen
    again on everything, as what is best depends on how much data there is; else it is what was measured. So the test
    measures the way of choosing: what serves may have a ranker where what was measured has none.
    """
    started = time.perf_counter()
    test = split(interactions, protocol=protocol)
    if len(test.users) == 0:
        return None
    selection = select(test.train, report, test.protocol, sources)
    without = list(selection.left_out)

    def with_ranker(known: Interactions, config: HybridConfig) -> HybridConfig | None:
        try:
            return train_ranker(known, config, rules, report, test.protocol)
        except EngineUnavailable as error:
            without.append(str(error))
            return None

    ranked = with_ranker(test.train, selection.config)
    config = served = ranked or selection.config
    if to_serve:
        whole = select(interactions, report, test.protocol, sources, selection.finalists)
        served = with_ranker(interactions, whole.config) or whole.config
        without += whole.left_out
    undecayed = HybridConfig(sources=(PopularityConfig(),))
    contenders = [selection.config, undecayed, selection.popularity]
    contenders += [ranked] if ranked else []
    metrics, cold, questions = [], {}, cold_start_questions(test)
    hybrid: HybridRecommender | None = None
    names = {len(contenders) - 1 if ranked else 0: "model", 2: "decayed_popularity"}
    for done, contender in enumerate(contenders):
        report("measuring", done, len(contenders) + 1)
        # A ranker orders what the hybrid has fitted already; it comes last.
        fitted = HybridRecommender.fit(
            test.train, contender, rules, hybrid.sources if hybrid and contender is ranked else None
        )
        hybrid = hybrid or fitted
        metrics.append(evaluate(fitted, test))
        if done in names and questions:
            cold[names[done]] = cold_start(fitted, test, questions)
    model = metrics[-1] if ranked else metrics[0]
    report("measuring", len(contenders), len(contenders) + 1)
    return Assessment(
        config=config,
        served=served,
        protocol=test.protocol,
        validation=selection,
        model=model,
        hybrid=metrics[0],
        popularity=metrics[1],
        decayed_popularity=metrics[2],
        cold_start=cold,
        reference=reference(test, model.ndcg_by_user, selection.config, selection.finalists, sources),
        without=" ".join(dict.fromkeys(without)),
        seconds=time.perf_counter() - started,
    )


def select(
    interactions: Interactions,
    report: Report = silent,
    protocol: Protocol = "time",
    sources: Sequence[str] = SOURCES,
    finalists: SearchSpace | None = None,
) -> Selection:
    """Chooses on validation folds inside the interactions, which ask as the protocol does; deterministic.

    Every source is fitted once per fold; mixtures are evaluated on the users' best candidates of all sources. Item-kNN
    of all half-lives comes first, then ridges of the best of these half-lives. Where another choice has `finalists`,
    only those are compared. Other sources join one by one where the hybrid is better with them; one that raises is left
    out.
    """
    folds = [
        (RECENCY**place, fold)
        for place, fold in enumerate(_folds(interactions, protocol))
        if len(fold.users) >= FEWEST_USERS
    ]
    if not folds:
        popular = HybridConfig(sources=(PopularityConfig(),))
        return Selection(config=HybridConfig(), popularity=popular, ndcg_at_10=None, users=0, folds=0)
    in_time = folds[0][1].protocol == "time"
    spaces = 1 if finalists else 2 if in_time else 3
    steps = iter(range(spaces * len(folds)))

    others = [name for name in sources if name not in SEARCHED]
    older = max(len(folds) - NEWEST_FOLDS, 0) if others else len(folds)
    kept: list[dict[SourceConfig, Source] | None] = [None if place < older else {} for place in range(len(folds))]

    def evaluated(space: SearchSpace) -> dict[Mixture, Array]:
        found: dict[Mixture, list[Array]] = {}
        for (weight, fold), sources_of_fold in zip(folds, kept, strict=True):
            report("choosing", next(steps), spaces * len(folds))
            # Means of all users' values are then means over folds, each with its weight.
            scale = weight / len(fold.users) * users / sum(weight for weight, _ in folds)
            for mixture, values in evaluate_space(fold, space, sources_of_fold).items():
                found.setdefault(mixture, []).append(values * np.float32(scale))
        return {mixture: np.concatenate(values) for mixture, values in found.items()}

    users = sum(len(fold.users) for _, fold in folds)
    space = finalists or SearchSpace.of(interactions.span if in_time else 0)
    gains = evaluated(space)
    if not finalists and "ridge" in sources and SearchSpace.has_ridges(interactions):
        similar = best_of({mixture: values for mixture, values in gains.items() if mixture.share}).personal[0]
        ridges = evaluated(SearchSpace.ridges(interactions, space.popularity, similar, wide=not in_time))
        gains |= ridges
        if not in_time:
            together = (similar, *best_of({each: ridges[each] for each in ridges if each.share}).personal)
            gains |= evaluated(SearchSpace(space.popularity, [together]))
    best = _robust(gains) if in_time else best_of(gains)
    means = {mixture: float(values.mean(dtype=np.float64)) for mixture, values in gains.items()}
    left_out = []
    further = FurtherSources(
        best.config(), [fold for _, fold in folds[older:]], [each for each in kept if each is not None]
    )
    for name in others:
        report(f"trying {name}", 0, 1)
        try:
            further.offer(name)
        except Exception as error:  # noqa: BLE001 - a source of another package must not stop all training
            why = str(error) if isinstance(error, LemoError) else f"{type(error).__name__}: {error}"
            left_out.append(f"The source {name!r} was left out. {why.rstrip('.')}.")
    return Selection(
        config=further.config,
        popularity=max((mixture for mixture in means if mixture.share == 0), key=means.__getitem__).config(),
        ndcg_at_10=means[best],
        users=users,
        folds=len(folds),
        alone=alone(means),
        left_out=left_out,
        finalists=None if in_time else SearchSpace(space.popularity, _finalists(means, best)),
    )


def _finalists(means: Mapping[Mixture, float], best: Mixture) -> list[tuple[Personal, ...]]:
    """The personal sources of the best mixture, and those that are best by their own best mixture."""
    found: dict[tuple[Personal, ...], float] = {}
    for mixture, mean in means.items():
        if mixture.share:
            found[mixture.personal] = max(found.get(mixture.personal, 0.0), mean)
    ordered = sorted(found, key=found.__getitem__, reverse=True)[:FINALISTS]
    return ordered if best.share == 0 or best.personal in ordered else [*ordered, best.personal]


def _robust(gains: Mapping[Mixture, Array]) -> Mixture:
    """The best mixture, or the best of several personal sources where that is near, with the least personal share that
    is as good but for noise: what everybody likes lasts longer than what few users' histories say.
    """
    best = best_of(gains)
    together = {mixture: values for mixture, values in gains.items() if len(mixture.personal) > 1}
    if together:
        near = best_of(together)
        if gains[near].mean(dtype=np.float64) >= NEAR_BEST * gains[best].mean(dtype=np.float64):
            best = near
    plainer = [
        mixture
        for mixture in gains
        if mixture.personal == best.personal
        and mixture.popularity_half_life_ms == best.popularity_half_life_ms
        and mixture.share < best.share
    ]
    for mixture in sorted(plainer, key=lambda mixture: mixture.share):
        behind = gains[best].astype(np.float64) - gains[mixture]
        if behind.mean() <= NOISE * behind.std() / np.sqrt(len(behind)):
            return mixture
    return best


def _folds(interactions: Interactions, protocol: Protocol = "time") -> Iterator[Split]:
    if interactions.span == 0 or protocol == "user":
        yield sampled(held_out(interactions, HELD_OUT), MOST_HELD_OUT_USERS)
        return
    for fold in folds_in_time(interactions, STARTS):
        yield sampled(fold, MOST_USERS)
