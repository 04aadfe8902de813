"""Teaching: a ranker learns from the questions of several short windows of the past.

LightGBM is imported here alone, so that only the process that trains needs it (and the system's libgomp).
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from lemo.domain.errors import EngineUnavailable
from lemo.domain.scenario import ActionRule
from lemo.recommenders.blend import BlendConfig, BlendModel
from lemo.recommenders.evaluation import ndcg
from lemo.recommenders.evidence import Evidence, HalfLives
from lemo.recommenders.interactions import Interactions
from lemo.recommenders.ranker import Ranker
from lemo.recommenders.split import Split, sampled, split_at
from lemo.recommenders.trees import LEAVES, Trees, trees_of

Array = np.ndarray[Any, Any]
Report = Callable[[str, int, int], None]
"""Called with the stage, the steps done and the steps in all."""

WINDOWS = (0.25, 0.4, 0.55, 0.7, 0.85, 1.0)
"""Quantiles of all acts between which the windows lie that the ranker learns from."""
MOST_USERS = 300
"""Users asked about per window."""
FEWEST_USERS = 100
"""A ranker that has learnt from fewer users than this in all has learnt their names."""
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


class Lesson:
    """One window: the candidates of its users, and which of them they liked."""

    def __init__(
        self, window: Split, config: BlendConfig, half_lives: HalfLives, rules: Mapping[str, ActionRule]
    ) -> None:
        model = BlendModel.fit(window.train, config, rules)
        tastes = window.train.asked(config.behaviour_half_life_ms)[window.users]
        evidence = Evidence.fit(window.train, half_lives)
        found = model.candidates(tastes, window.train.seen_csr()[window.users], evidence)
        width = window.relevant.shape[1]
        asked = np.repeat(np.arange(len(window.users), dtype=np.int64), np.diff(window.relevant.indptr))
        self.features = found.features
        self.blended = found.blended
        users = np.repeat(np.arange(len(window.users), dtype=np.int64), found.sizes)
        self.liked = np.isin(users * width + found.items, asked * width + window.relevant.indices)
        self.sizes = found.sizes
        self._relevant = np.diff(window.relevant.indptr)

    def ndcg_at_10(self, values: Array) -> float:
        """What the users would see in the order of these values."""
        rows = np.repeat(np.arange(len(self.sizes)), self.sizes)
        order = np.lexsort((-values, rows))
        starts = np.cumsum(self.sizes) - self.sizes
        places = np.arange(len(rows)) - np.repeat(starts, self.sizes)
        hits = np.zeros((len(self.sizes), 10), dtype=bool)
        first = places < 10
        hits[rows[first], places[first]] = self.liked[order][first]
        return float(ndcg(hits, self._relevant).mean())


def teach(
    interactions: Interactions, config: BlendConfig, rules: Mapping[str, ActionRule], report: Report
) -> BlendConfig | None:
    """The configuration with a ranker that was better than the blend alone in the last window, which it had not seen.

    None where it was not, or where there is too little to learn from. Raises EngineUnavailable where LightGBM cannot be
    loaded.
    """
    if interactions.span == 0:
        return None
    half_lives = HalfLives.of(interactions.span)
    moments = np.quantile(interactions.timestamps, WINDOWS, method="higher").tolist()
    moments[-1] += 1
    windows = [sampled(split_at(interactions, int(a), int(b)), MOST_USERS) for a, b in pairwise(moments)]
    windows = [window for window in windows if len(window.users)]
    if len(windows) < 2 or sum(len(window.users) for window in windows) < FEWEST_USERS:
        return None
    lessons = []
    for done, window in enumerate(windows):
        report("preparing lessons", done, len(windows))
        lessons.append(Lesson(window, config, half_lives, rules))
    last = lessons[-1]
    report("teaching", 0, 2)
    learnt = _learnt(lessons[:-1], SEEDS[:1])
    if learnt is None or last.ndcg_at_10(learnt.scores(last.features)) <= last.ndcg_at_10(last.blended):
        return None
    report("teaching", 1, 2)
    trees = _learnt(lessons, SEEDS)
    if trees is None:
        return None
    return config.model_copy(update={"ranker": Ranker(half_lives=half_lives, trees=trees)})


def _learnt(lessons: Sequence[Lesson], seeds: Sequence[int]) -> Trees | None:
    """The trees of all seeds, added up; None where nobody liked a candidate or nothing could be told apart."""
    try:
        import lightgbm
    except OSError as error:  # the wheel is there, the system's OpenMP is not
        raise EngineUnavailable(
            f"LightGBM cannot be loaded: {error}.",
            "Install OpenMP's library: `apt-get install libgomp1` on Debian, `brew install libomp` on macOS.",
        ) from error
    # A user who liked none of the candidates teaches nothing.
    taught = [np.add.reduceat(lesson.liked, np.cumsum(lesson.sizes) - lesson.sizes) > 0 for lesson in lessons]
    rows = [np.repeat(some, lesson.sizes) for some, lesson in zip(taught, lessons, strict=True)]
    features = np.concatenate([lesson.features[kept] for lesson, kept in zip(lessons, rows, strict=True)])
    if len(features) == 0:
        return None
    liked = np.concatenate([lesson.liked[kept] for lesson, kept in zip(lessons, rows, strict=True)])
    sizes = np.concatenate([lesson.sizes[some] for lesson, some in zip(lessons, taught, strict=True)])
    data = lightgbm.Dataset(features, liked.astype(np.float32), group=sizes, params=PARAMETERS)
    dumped: list[dict[str, Any]] = []
    for seed in seeds:
        booster = lightgbm.train(PARAMETERS | {"seed": seed}, data, num_boost_round=ROUNDS)
        dumped += booster.dump_model()["tree_info"]
    trees = trees_of(dumped)
    return trees if np.any(trees.values) else None
