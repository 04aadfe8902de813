"""Hyperparameter search: the hybrid that would have answered best in the recent past."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lemo.domain.errors import EngineUnavailable, LemoError
from lemo.domain.scenario import SOURCES, ActionRule
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.evaluation.metrics import Scorecard, evaluate
from lemo.recommenders.evaluation.splits import Protocol, Split, folds_in_time, held_out, sampled, split
from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
from lemo.recommenders.selection.further_sources import FurtherSources
from lemo.recommenders.selection.ranker_training import train_ranker
from lemo.recommenders.selection.search_space import Mixture, Personal, SearchSpace, evaluate_space
from lemo.recommenders.sources.item_knn import ItemKnnConfig
from lemo.recommenders.sources.popularity import PopularityConfig
from lemo.recommenders.sources.ridge import MOST_ITEMS

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
SEARCHED = ("item-knn", "ridge", "popularity")
"""The sources of the search space; others join what is best of these."""
NEWEST_FOLDS = 2
"""Folds on which further sources are tried: each fits the hybrid's own sources once more, and a ridge is dear."""
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
    metrics = []
    for done, contender in enumerate(contenders):
        report("measuring", done, len(contenders))
        metrics.append(evaluate(HybridRecommender.fit(test.train, contender, rules), test))
    return Assessment(
        config=config,
        served=served,
        protocol=test.protocol,
        validation=selection,
        model=metrics[-1] if ranked else metrics[0],
        hybrid=metrics[0],
        popularity=metrics[1],
        decayed_popularity=metrics[2],
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

    def evaluated(space: SearchSpace) -> dict[Mixture, Array]:
        found: dict[Mixture, list[Array]] = {}
        for weight, fold in folds:
            report("choosing", next(steps), spaces * len(folds))
            # Means of all users' values are then means over folds, each with its weight.
            scale = weight / len(fold.users) * users / sum(weight for weight, _ in folds)
            for mixture, values in evaluate_space(fold, space).items():
                found.setdefault(mixture, []).append(values * np.float32(scale))
        return {mixture: np.concatenate(values) for mixture, values in found.items()}

    users = sum(len(fold.users) for _, fold in folds)
    space = finalists or SearchSpace.of(interactions.span if in_time else 0)
    gains = evaluated(space)
    if not finalists and "ridge" in sources and len(interactions.item_ids) <= MOST_ITEMS:
        similar = _best({mixture: values for mixture, values in gains.items() if mixture.share}).personal[0]
        if isinstance(similar, ItemKnnConfig):
            ridges = evaluated(SearchSpace.ridges(interactions, space.popularity, similar, wide=not in_time))
            gains |= ridges
            if not in_time:
                together = (similar, *_best({each: ridges[each] for each in ridges if each.share}).personal)
                gains |= evaluated(SearchSpace(space.popularity, [together]))
    best = _robust(gains) if in_time else _best(gains)
    means = {mixture: float(values.mean(dtype=np.float64)) for mixture, values in gains.items()}
    left_out = []
    further = FurtherSources(best.config(), [fold for _, fold in folds[-NEWEST_FOLDS:]])
    for name in sources:
        if name not in SEARCHED:
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
        alone=_alone(means),
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


def _alone(means: Mapping[Mixture, float]) -> dict[str, float]:
    """NDCG@10 of the best configuration of each source where it has the whole weight."""
    found: dict[str, float] = {}
    for mixture, mean in means.items():
        if mixture.share in (0.0, 1.0):
            name = " + ".join(each.source for each in mixture.personal) or "popularity"
            found[name] = max(found.get(name, 0.0), mean)
    return found


def _best(gains: Mapping[Mixture, Array]) -> Mixture:
    """The mixture that has gained most; of equals the first, and the space goes from plain to elaborate."""
    return max(gains, key=lambda mixture: float(gains[mixture].mean(dtype=np.float64)))


def _robust(gains: Mapping[Mixture, Array]) -> Mixture:
    """The best mixture, or the best of several personal sources where that is near, with the least personal share that
    is as good but for noise: what everybody likes lasts longer than what few users' histories say.
    """
    best = _best(gains)
    together = {mixture: values for mixture, values in gains.items() if len(mixture.personal) > 1}
    if together:
        near = _best(together)
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
