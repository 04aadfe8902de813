"""What another policy would have earned, estimated from what was shown, clicked, and the probability of showing it.

Inverse propensity scores (IPS), their self-normalised form (SNIPS: Swaminathan and Joachims, NeurIPS 2015) and doubly
robust estimates (Dudik, Langford and Li, ICML 2011). obp, which has them, is stale.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from lemo.domain.errors import InvalidInput

Array = np.ndarray[Any, Any]

CONFIDENCE = 0.95
FEWEST_EFFECTIVE, FEWEST_SHARE, FEWEST_REWARDED, LARGEST_WEIGHT = 1_000, 0.01, 25, 0.05


@dataclass(frozen=True, eq=False)
class Log:
    """Shown items, a row each: what came of it, and how likely each policy was to show it in this place."""

    rewards: Array
    """float64 (rows): clicks, or value."""
    logged: Array
    """float64 (rows), above 0: probability that the policy that ran showed this item here."""
    target: Array
    """float64 (rows): probability that the policy to be estimated would show it."""
    clusters: Array
    """int64 (rows), from 0: rows of one request or one user, which are not independent."""

    @classmethod
    def of(cls, rewards: Array, logged: Array, target: Array, clusters: Array | None = None) -> "Log":
        """Checked; without `clusters` every row is independent. Raises InvalidInput where a propensity is none."""
        reward, p, q = (np.asarray(each, dtype=np.float64) for each in (rewards, logged, target))
        keys = np.arange(len(reward)) if clusters is None else np.asarray(clusters)
        if not reward.shape == p.shape == q.shape == keys.shape or reward.ndim != 1 or not len(reward):
            raise InvalidInput("The columns of the log must be lists of one length, of at least one row.", "")
        if not (p > 0).all() or not (p <= 1).all() or not (q >= 0).all() or not (q <= 1).all():
            raise InvalidInput(
                "A propensity is not a probability: logged are above 0 and at most 1, the target's between 0 and 1.",
                "Leave out rows that were shown without chance (pins), and say so: they tell nothing of others.",
            )
        if not np.isfinite(reward).all():
            raise InvalidInput("A reward is infinite or not a number.", "Leave such rows out, and say so.")
        return cls(reward, p, q, np.unique(keys, return_inverse=True)[1])

    @property
    def weights(self) -> Array:
        """float64 (rows): target over logged probability."""
        return np.asarray(self.target / self.logged)


@dataclass(frozen=True)
class Estimate:
    """The mean reward of a row under the target policy."""

    value: float
    low: float
    high: float
    """95 % interval for one look; logs are not watched as they grow."""
    effective: float
    """Rows of an unweighted sample that would tell as much: sum(w)^2 / sum(w^2) (Kish)."""
    rows: int
    warnings: tuple[str, ...]
    """Why not to trust the interval, in plain words."""


def ips(log: Log) -> Estimate:
    """Mean of weight times reward: without bias where the target shows nothing that the log could not show."""
    terms = log.weights * log.rewards
    value = float(terms.mean())
    return _estimate(log, value, terms - value)


def snips(log: Log) -> Estimate:
    """IPS over the mean weight: less variance, for a bias that vanishes with more rows. Preferred to `ips`."""
    weights = log.weights
    total = float(weights.sum())
    if not total:
        return _estimate(log, 0.0, np.zeros_like(weights))
    value = float(weights @ log.rewards) / total
    return _estimate(log, value, weights * (log.rewards - value) * len(weights) / total)


def doubly_robust(log: Log, of_shown: Array, of_target: Array) -> Estimate:
    """A model's prediction, corrected by weighted residuals: right where either the model or the propensities are.

    `of_shown`: predicted reward of the row's item. `of_target`: predicted mean reward of what the target would show.
    Both must come from a model that did not see the row's cluster (`cross_fitted`).
    """
    terms = np.asarray(of_target + log.weights * (log.rewards - of_shown), dtype=np.float64)
    value = float(terms.mean())
    return _estimate(log, value, terms - value)


def cross_fitted(log: Log, actions: Array, policy: Array, folds: int = 5, prior: float = 100.0) -> tuple[Array, Array]:
    """Predictions for `doubly_robust` by the simplest model, the mean reward of an action among the other folds' rows.

    `actions`: int (rows); `policy`: float64 (rows, actions), the target's probability of each action in each row. A
    mean is shrunk towards that of all actions, as if by `prior` rows. Clusters are never split.
    """
    count = policy.shape[1]
    of_shown, of_target = np.empty(len(actions)), np.empty(len(actions))
    # A cluster's fold must not follow the order of time, in which clusters are often numbered.
    fold = np.random.default_rng(0).permutation(log.clusters.max() + 1)[log.clusters] % folds
    for each in range(folds):
        held, rest = fold == each, fold != each
        mean = float(log.rewards[rest].mean()) if rest.any() else 0.0
        shown = np.bincount(actions[rest], minlength=count)
        rewarded = np.bincount(actions[rest], log.rewards[rest], minlength=count)
        predicted = (rewarded + prior * mean) / (shown + prior)
        of_shown[held] = predicted[actions[held]]
        of_target[held] = policy[held] @ predicted
    return of_shown, of_target


def _estimate(log: Log, value: float, influence: Array) -> Estimate:
    """Interval by the influence of each cluster: rows of one cluster may depend on each other in any way."""
    rows, clusters = len(influence), int(log.clusters.max()) + 1
    sums = np.bincount(log.clusters, influence)
    correction = clusters / (clusters - 1) if clusters > 1 else 1.0
    error = float(np.sqrt(correction * (sums @ sums))) / rows
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * error
    weights = log.weights
    squares = float(weights @ weights)
    effective = float(weights.sum()) ** 2 / squares if squares else 0.0
    return Estimate(value, value - reach, value + reach, effective, rows, _warnings(log, effective))


def _warnings(log: Log, effective: float) -> tuple[str, ...]:
    weights, rows = log.weights, len(log.rewards)
    said = []
    if effective < FEWEST_EFFECTIVE or effective < FEWEST_SHARE * rows:
        said.append(
            f"The overlap is too small: {rows:,} rows tell as much as {effective:,.0f}. The target shows mostly "
            "what was rarely shown. Log more exploration, or try the change in an experiment."
        )
    largest = float(weights.max()) / float(weights.sum()) if weights.any() else 1.0
    if largest > LARGEST_WEIGHT:
        said.append(f"One row carries {largest:.0%} of all weight: the estimate is about that row.")
    # The mean weight is 1 where the log could show all that the target shows, and its propensities are right.
    sums = np.bincount(log.clusters, weights - weights.mean())
    error = float(np.sqrt(sums @ sums)) / rows
    if abs(float(weights.mean()) - 1) > max(3 * error, 1e-9):
        said.append(
            f"The mean weight is {weights.mean():.2f}, and not 1: the target shows what was never shown, or the logged "
            "propensities are wrong."
        )
    rewarded = int(np.count_nonzero(log.rewards[weights > 0]))
    if rewarded < FEWEST_REWARDED:
        said.append(f"Only {rewarded} rows with a reward count: the interval's 95 % need {FEWEST_REWARDED}.")
    return tuple(said)
