"""Selection: the blend that would have answered best in the recent past."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel

from lemo.domain.errors import EngineUnavailable
from lemo.domain.scenario import ActionRule
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.evaluation.metrics import Scorecard, evaluate
from lemo.recommenders.evaluation.significance import compare
from lemo.recommenders.evaluation.splits import Protocol, Split, folds_in_time, sampled, split
from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
from lemo.recommenders.selection.ranker_training import teach
from lemo.recommenders.selection.search_space import SearchSpace, judged
from lemo.recommenders.sources.ridge import MOST_ITEMS

Array = np.ndarray[Any, Any]
Report = Callable[[str, int, int], None]
"""Called with the stage, the steps done and the steps in all."""

STARTS = (0.45, 0.6, 0.75)
"""Quantiles of all acts at which the validation windows begin."""
RECENCY = 1.5
"""How much more each window counts than the one before: the near past is most like the future."""
PLATEAU = 0.99
"""Mixes this close to the best are as good as the best; the middle one of these is chosen, not the luckiest."""
MOST_USERS = 800
"""Users asked about per window: more change the choice little, and cost time."""
FEWEST_USERS = 10
"""Validation on fewer users than this chooses by chance."""


class Selection(BaseModel):
    """The chosen configuration, and how it did on validation."""

    config: HybridConfig
    popularity: HybridConfig
    """The best configuration without behaviour: popularity with its best half-life."""
    ndcg_at_10: float | None
    """Mean over the validation windows; None where there was too little to choose by, and `config` is the default."""
    users: int
    """Users asked about, over all windows."""
    windows: int


class Assessment(BaseModel):
    """What an honest test says: chosen and fitted on the first part, measured on the last."""

    config: HybridConfig
    """What was best on validation, with a ranker where that was better than the blend."""
    protocol: str
    """`time`: one moment for all; `user`: each user's last part."""
    validation: Selection
    model: Scorecard
    """Of `config`."""
    blend: Scorecard
    """Of `validation.config`: the same without a ranker."""
    popularity: Scorecard
    decayed_popularity: Scorecard
    """Popularity with the half-life that was best on validation."""
    without: str = ""
    """Why no ranker could be taught, where something is missing for it."""
    seconds: float

    def best(self) -> tuple[HybridConfig, Scorecard]:
        """The configuration to serve: the chosen one, or what it is made of where that did better in the test."""
        return max(
            (self.config, self.model),
            (self.validation.config, self.blend),
            (self.validation.popularity, self.decayed_popularity),
            key=lambda each: each[1].ndcg_at_10,
        )


def silent(_stage: str, _done: int, _total: int) -> None:
    """A report that nobody reads."""


def assess(
    interactions: Interactions,
    rules: Mapping[str, ActionRule],
    report: Report = silent,
    protocol: Protocol | None = None,
) -> Assessment | None:
    """Chooses and fits on the first 80 % of all acts, measures on the rest; None where nobody can be asked about.

    The model to serve is then `BlendModel.fit(interactions, assessment.best()[0], rules)`, on everything.
    """
    started = time.perf_counter()
    test = split(interactions, protocol=protocol)
    if len(test.users) == 0:
        return None
    selection = select(test.train, report, test.protocol)
    taught, without = None, ""
    try:
        taught = teach(test.train, selection.config, rules, report, test.protocol)
    except EngineUnavailable as error:
        without = f"{error.message} {error.hint}"
    contenders = [selection.config, HybridConfig(behaviour_share=0), selection.popularity]
    contenders += [taught] if taught else []
    metrics = []
    for done, config in enumerate(contenders):
        report("measuring", done, len(contenders))
        metrics.append(evaluate(HybridRecommender.fit(test.train, config, rules), test))
    return Assessment(
        config=taught or selection.config,
        protocol=test.protocol,
        validation=selection,
        model=metrics[-1] if taught else metrics[0],
        blend=metrics[0],
        popularity=metrics[1],
        decayed_popularity=metrics[2],
        without=without,
        seconds=time.perf_counter() - started,
    )


def select(interactions: Interactions, report: Report = silent, protocol: Protocol = "time") -> Selection:
    """Chooses on validation windows inside the interactions, which ask as the protocol does; deterministic.

    Every source is fitted once per window; mixes are judged on the users' best candidates of all sources. Similarities
    of all half-lives come first, then ridges of the half-life that was best among them,
    which must be better beyond noise.
    """
    windows = [
        (RECENCY**place, some)
        for place, window in enumerate(_windows(interactions, protocol))
        if len((some := sampled(window, MOST_USERS)).users) >= FEWEST_USERS
    ]
    if not windows:
        config = HybridConfig()
        alone = config.model_copy(update={"behaviour_share": 0.0})
        return Selection(config=config, popularity=alone, ndcg_at_10=None, users=0, windows=0)
    steps = iter(range(2 * len(windows)))

    def asked(grid: SearchSpace) -> dict[HybridConfig, Array]:
        found: dict[HybridConfig, list[Array]] = {}
        for weight, window in windows:
            report("choosing", next(steps), 2 * len(windows))
            # Means of all users' values are then means over windows, each with its weight.
            scale = weight / len(window.users) * users / sum(weight for weight, _ in windows)
            for mix, values in judged(window, grid).items():
                found.setdefault(mix, []).append(values * np.float32(scale))
        return {mix: np.concatenate(values) for mix, values in found.items()}

    users = sum(len(window.users) for _, window in windows)
    grid = SearchSpace.of(interactions.span)
    gains = asked(grid)
    if len(interactions.item_ids) <= MOST_ITEMS:
        similar = _best(gains, "similarity")
        ridges = asked(grid.ridges(similar.behaviour_half_life_ms))
        if compare(ridges[_best(ridges, "ridge")], gains[similar]).better:
            gains |= ridges
    means = {mix: float(values.mean(dtype=np.float64)) for mix, values in gains.items()}
    best = _middle_of_plateau(means)
    return Selection(
        config=best,
        popularity=max((mix for mix in means if mix.behaviour_share == 0), key=means.__getitem__),
        ndcg_at_10=means[best],
        users=users,
        windows=len(windows),
    )


def _best(gains: Mapping[HybridConfig, Array], relation: str) -> HybridConfig:
    """The mix of this relation that has gained most."""
    mixes = [mix for mix in gains if mix.behaviour_share > 0 and mix.relation == relation]
    return max(mixes, key=lambda mix: float(gains[mix].mean(dtype=np.float64)))


def _middle_of_plateau(means: Mapping[HybridConfig, float]) -> HybridConfig:
    """The best mix among those with the median share of all mixes that are nearly as good as the best."""
    least = PLATEAU * max(means.values())
    good = [mix for mix, mean in means.items() if mean >= least]
    share = sorted(mix.behaviour_share for mix in good)[len(good) // 2]
    # max() keeps the first of equals, and the grid goes from plain to elaborate.
    return max((mix for mix in good if mix.behaviour_share == share), key=means.__getitem__)


def _windows(interactions: Interactions, protocol: Protocol = "time") -> Iterator[Split]:
    if interactions.span == 0 or protocol == "user":
        yield split(interactions, protocol="user")
        return
    yield from folds_in_time(interactions, STARTS)
