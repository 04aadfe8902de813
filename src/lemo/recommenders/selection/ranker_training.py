"""Ranker training: LambdaRank on the candidates of several folds of the past.

LightGBM is imported here alone, so that only the process that trains needs it (and the system's libgomp).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lemo.domain.errors import EngineUnavailable
from lemo.domain.scenario import ActionRule
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.evaluation.metrics import ndcg
from lemo.recommenders.evaluation.significance import compare
from lemo.recommenders.evaluation.splits import Protocol, Split, folds_by_user, folds_in_time, sampled
from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
from lemo.recommenders.hybrid.ranker import TreeRanker
from lemo.recommenders.hybrid.ranking_features import HalfLives, RankingFeatures
from lemo.recommenders.hybrid.trees import LEAVES, trees_of

Array = np.ndarray[Any, Any]
Report = Callable[[str, int, int], None]
"""Called with the stage, the steps done and the steps in all."""

STARTS = (0.2, 0.35, 0.5, 0.75)
"""Quantiles of all interactions at which the folds begin that the ranker is trained on; the last overlaps no other."""
PARTS = (0.5, 0.65, 0.8, 1.0)
"""Parts of each user's interactions on which such folds are made where there is no time."""
MOST_USERS: Mapping[Protocol, int] = {"time": 300, "user": 800}
"""Users per fold: without time hybrid and ranker are closer, and it takes more users to tell."""
MOST_JUDGING_USERS = 800
"""Users of the last fold, on which the ranker is judged."""
FEWEST_USERS = 100
"""Fewest users to train a ranker on; below it, LambdaRank overfits to individual users."""
LEAST_GAIN = 1.01
"""How many times the NDCG@10 of the hybrid a ranker must reach on users it has not seen."""
MOST_NOISE = 0.2
"""Largest p-value of that gain: the hybrid was chosen on the same days, so that the comparison favours the hybrid."""
START = 0.3
"""Weight of the normalised hybrid score before the first tree, so that trees need not learn it from few users."""
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
    """One fold: the candidates of its users, and which of them they liked."""

    def __init__(
        self, fold: Split, config: HybridConfig, half_lives: HalfLives, rules: Mapping[str, ActionRule]
    ) -> None:
        model = HybridRecommender.fit(fold.train, config, rules)
        queries = fold.train.query_matrix(config.query_half_life_ms)[fold.users]
        features = RankingFeatures.fit(fold.train, half_lives)
        found = model.candidates(queries, fold.train.seen_csr()[fold.users], features)
        width = fold.relevant.shape[1]
        asked = np.repeat(np.arange(len(fold.users), dtype=np.int64), np.diff(fold.relevant.indptr))
        self.candidates = found
        users = np.repeat(np.arange(len(fold.users), dtype=np.int64), found.sizes)
        self.positives = np.isin(users * width + found.items, asked * width + fold.relevant.indices)
        self._relevant = np.diff(fold.relevant.indptr)

    def ndcg_at_10(self, values: Array) -> Array:
        """float64 (users,): NDCG@10 of the candidates in the order of these values."""
        sizes = self.candidates.sizes
        rows = np.repeat(np.arange(len(sizes)), sizes)
        order = np.lexsort((-values, rows))
        places = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        hits = np.zeros((len(sizes), 10), dtype=bool)
        first = places < 10
        hits[rows[first], places[first]] = self.positives[order][first]
        return ndcg(hits, self._relevant)


def train_ranker(
    interactions: Interactions,
    config: HybridConfig,
    rules: Mapping[str, ActionRule],
    report: Report,
    protocol: Protocol = "time",
) -> HybridConfig | None:
    """The configuration with a ranker that was better than the hybrid alone in the last fold, which it had not seen.

    Folds ask as the protocol does. None where it was not better, or where there is too little to train on. Raises
    EngineUnavailable where LightGBM cannot be loaded.
    """
    if interactions.span == 0 and protocol == "time":
        return None
    half_lives = HalfLives.of(interactions.span)
    found = folds_in_time(interactions, STARTS) if protocol == "time" else folds_by_user(interactions, PARTS)
    whole = list(found)
    some = [sampled(fold, MOST_USERS[protocol]) for fold in whole[:-1]] + [sampled(whole[-1], MOST_JUDGING_USERS)]
    folds = [fold for fold in some if len(fold.users)]
    if len(folds) < 2 or sum(len(fold.users) for fold in folds) < FEWEST_USERS:
        return None
    data_sets = []
    for done, fold in enumerate(folds):
        report("preparing ranking data", done, len(folds))
        data_sets.append(RankingDataSet(fold, config, half_lives, rules))
    report("training the ranker", 0, 2)
    if not _is_better(_trained(data_sets[:-1], SEEDS, half_lives), data_sets[-1]):
        return None
    report("training the ranker", 1, 2)
    ranker = _trained(data_sets, SEEDS, half_lives)
    return config.model_copy(update={"ranker": ranker}) if ranker else None


def _is_better(ranker: TreeRanker | None, unseen: RankingDataSet) -> bool:
    """Whether a ranker is better than the hybrid on data that it has not seen."""
    if ranker is None:
        return False
    ours, theirs = unseen.ndcg_at_10(ranker.scores(unseen.candidates)), unseen.ndcg_at_10(unseen.candidates.hybrid)
    return ours.mean() >= LEAST_GAIN * theirs.mean() and compare(ours, theirs).p_value <= MOST_NOISE


def _trained(data_sets: Sequence[RankingDataSet], seeds: Sequence[int], half_lives: HalfLives) -> TreeRanker | None:
    """The rankers of all seeds, added up; None where nobody liked a candidate or no tree found a split."""
    try:
        import lightgbm
    except OSError as error:  # the wheel is there, the system's OpenMP is not
        raise EngineUnavailable(
            f"LightGBM cannot be loaded: {error}.",
            "Install OpenMP's library: `apt-get install libgomp1` on Debian, `brew install libomp` on macOS.",
        ) from error
    # A user who liked none of the candidates has no order to learn.
    sizes = np.concatenate([data_set.candidates.sizes for data_set in data_sets])
    liked = np.concatenate([data_set.positives for data_set in data_sets])
    informative = (
        np.add.reduceat(liked, np.cumsum(sizes) - sizes) > 0 if len(liked) else np.zeros(len(sizes), dtype=bool)
    )
    rows = np.repeat(informative, sizes)
    if not rows.any():
        return None
    features = np.concatenate([data_set.candidates.features for data_set in data_sets])[rows]
    start = START * np.concatenate([data_set.candidates.normalised for data_set in data_sets])[rows]
    labels = liked[rows].astype(np.float32)
    data = lightgbm.Dataset(features, labels, group=sizes[informative], init_score=start, params=PARAMETERS)
    dumped: list[dict[str, Any]] = []
    for seed in seeds:
        booster = lightgbm.train(PARAMETERS | {"seed": seed}, data, num_boost_round=ROUNDS)
        dumped += booster.dump_model()["tree_info"]
    trees = trees_of(dumped)
    return TreeRanker(half_lives=half_lives, trees=trees, start=START * len(seeds)) if np.any(trees.values) else None
