"""Teaching: a ranker learns from the questions of several windows of the past.

LightGBM is imported here alone, so that only the process that trains needs it (and the system's libgomp).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lemo.domain.errors import EngineUnavailable
from lemo.domain.scenario import ActionRule
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.evaluation.metrics import ndcg
from lemo.recommenders.evaluation.splits import Protocol, Split, folds_by_user, folds_in_time, sampled
from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
from lemo.recommenders.hybrid.ranker import Ranker
from lemo.recommenders.hybrid.ranking_features import HalfLives, RankingFeatures
from lemo.recommenders.hybrid.trees import LEAVES, trees_of

Array = np.ndarray[Any, Any]
Report = Callable[[str, int, int], None]
"""Called with the stage, the steps done and the steps in all."""

STARTS = (0.2, 0.35, 0.5, 0.75)
"""Quantiles of all acts at which the windows begin that the ranker learns from; the last overlaps no other."""
PARTS = (0.5, 0.65, 0.8, 1.0)
"""Parts of each user's acts on which such windows are made where there is no time."""
MOST_USERS: Mapping[Protocol, int] = {"time": 300, "user": 800}
"""Users asked about per window: without time blend and ranker are closer, and it takes more of them to tell."""
FEWEST_USERS = 100
"""A ranker that has learnt from fewer users than this in all has learnt their names."""
START = 0.3
"""How much the blend counts before the first tree, in standard deviations of its scores: trees put right what it gets
wrong, and where few users teach them they need not learn first what it knows already."""
SEEDS = (0, 1)
ROUNDS = 40
PARAMETERS = {
    "objective": "lambdarank",
    "lambdarank_truncation_level": 20,
    "learning_rate": 0.15,
    "num_leaves": LEAVES,
    "min_data_in_leaf": 200,
    "lambda_l2": 10.0,
    "max_bin": 63,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}


class RankingDataSet:
    """One window: the candidates of its users, and which of them they liked."""

    def __init__(
        self, window: Split, config: HybridConfig, half_lives: HalfLives, rules: Mapping[str, ActionRule]
    ) -> None:
        model = HybridRecommender.fit(window.train, config, rules)
        tastes = window.train.query_matrix(config.behaviour_half_life_ms)[window.users]
        evidence = RankingFeatures.fit(window.train, half_lives)
        found = model.candidates(tastes, window.train.seen_csr()[window.users], evidence)
        width = window.relevant.shape[1]
        asked = np.repeat(np.arange(len(window.users), dtype=np.int64), np.diff(window.relevant.indptr))
        self.candidates = found
        users = np.repeat(np.arange(len(window.users), dtype=np.int64), found.sizes)
        self.positives = np.isin(users * width + found.items, asked * width + window.relevant.indices)
        self._relevant = np.diff(window.relevant.indptr)

    def ndcg_at_10(self, values: Array) -> float:
        """What the users would see in the order of these values."""
        sizes = self.candidates.sizes
        rows = np.repeat(np.arange(len(sizes)), sizes)
        order = np.lexsort((-values, rows))
        places = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        hits = np.zeros((len(sizes), 10), dtype=bool)
        first = places < 10
        hits[rows[first], places[first]] = self.positives[order][first]
        return float(ndcg(hits, self._relevant).mean())


def teach(
    interactions: Interactions,
    config: HybridConfig,
    rules: Mapping[str, ActionRule],
    report: Report,
    protocol: Protocol = "time",
) -> HybridConfig | None:
    """The configuration with a ranker that was better than the blend alone in the last window, which it had not seen.

    Windows ask as the protocol does. None where it was not better, or where there is too little to learn from. Raises
    EngineUnavailable where LightGBM cannot be loaded.
    """
    if interactions.span == 0 and protocol == "time":
        return None
    half_lives = HalfLives.of(interactions.span)
    windows = folds_in_time(interactions, STARTS) if protocol == "time" else folds_by_user(interactions, PARTS)
    translate_errors = [sampled(window, MOST_USERS[protocol]) for window in windows]
    translate_errors = [window for window in translate_errors if len(window.users)]
    if len(translate_errors) < 2 or sum(len(window.users) for window in translate_errors) < FEWEST_USERS:
        return None
    lessons = []
    for done, window in enumerate(translate_errors):
        report("preparing lessons", done, len(translate_errors))
        lessons.append(RankingDataSet(window, config, half_lives, rules))
    last = lessons[-1]
    report("teaching", 0, 2)
    learnt = _learnt(lessons[:-1], SEEDS, half_lives)
    told = last.candidates
    if learnt is None or last.ndcg_at_10(learnt.scores(told)) <= last.ndcg_at_10(told.blended):
        return None
    report("teaching", 1, 2)
    ranker = _learnt(lessons, SEEDS, half_lives)
    return config.model_copy(update={"ranker": ranker}) if ranker else None


def _learnt(lessons: Sequence[RankingDataSet], seeds: Sequence[int], half_lives: HalfLives) -> Ranker | None:
    """The rankers of all seeds, added up; None where nobody liked a candidate or nothing could be told apart."""
    try:
        import lightgbm
    except OSError as error:  # the wheel is there, the system's OpenMP is not
        raise EngineUnavailable(
            f"LightGBM cannot be loaded: {error}.",
            "Install OpenMP's library: `apt-get install libgomp1` on Debian, `brew install libomp` on macOS.",
        ) from error
    # A user who liked none of the candidates teaches nothing.
    sizes = np.concatenate([lesson.candidates.sizes for lesson in lessons])
    liked = np.concatenate([lesson.positives for lesson in lessons])
    taught = np.add.reduceat(liked, np.cumsum(sizes) - sizes) > 0 if len(liked) else np.zeros(len(sizes), dtype=bool)
    rows = np.repeat(taught, sizes)
    if not rows.any():
        return None
    features = np.concatenate([lesson.candidates.features for lesson in lessons])[rows]
    start = START * np.concatenate([lesson.candidates.standing for lesson in lessons])[rows]
    labels = liked[rows].astype(np.float32)
    data = lightgbm.Dataset(features, labels, group=sizes[taught], init_score=start, params=PARAMETERS)
    dumped: list[dict[str, Any]] = []
    for seed in seeds:
        booster = lightgbm.train(PARAMETERS | {"seed": seed}, data, num_boost_round=ROUNDS)
        dumped += booster.dump_model()["tree_info"]
    trees = trees_of(dumped)
    return Ranker(half_lives=half_lives, trees=trees, start=START * len(seeds)) if np.any(trees.values) else None
