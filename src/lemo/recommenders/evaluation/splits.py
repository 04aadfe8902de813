"""Splits of interactions into a training part and queries with relevant items."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy import sparse

from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.data.weighting import newest_of_each_user

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix
Protocol = Literal["time", "user"]

LENGTH = 0.25
"""Share of all interactions in the queries of a validation fold: as the test part is to the training part. With folds
half as long, the chosen half-lives were too short for the test part."""


@dataclass(frozen=True, eq=False)
class Split:
    """A training part, and the queries of the test part."""

    train: Interactions
    users: Array
    """int32 (q,), rising: the users of the queries."""
    relevant: CSR
    """q x items (bool): the relevant items of each query."""
    protocol: Protocol
    """`time`: one moment for all; `user`: each user's last part."""
    later: Interactions | None = None
    """The test part; kept by `split` alone."""
    cold_start: "Split | None" = None
    """The same for the users without a positive interaction in the training part; None where there are none."""


def split(interactions: Interactions, share: float = 0.8, protocol: Protocol | None = None) -> Split:
    """The first `share` of all interactions is the training part; the rest gives the queries.

    The default protocol is `user` where all timestamps are equal, else `time`. Queries are the users with a positive
    interaction in the training part. Their relevant items have a positive interaction in the test part and none in the
    training part. Both parts keep the codes.
    """
    protocol = protocol or ("time" if interactions.span > 0 else "user")
    test = (_after_moment if protocol == "time" else _last_of_each_user)(interactions, share)
    return replace(_queries(interactions, test, protocol), later=interactions.where(test))


def held_out(interactions: Interactions, share: float) -> Split:
    """Holds out this share of each user's interactions, at least one of a user with two or more."""
    counts = np.bincount(interactions.users, minlength=len(interactions.user_ids))
    kept = np.minimum(np.ceil((1 - share) * counts), np.maximum(counts - 1, 1))
    return _queries(interactions, _from_rank(interactions, kept), "user")


def split_at(interactions: Interactions, moment_ms: int, until_ms: int) -> Split:
    """Trains before the moment; the queries are from there up to (not including) `until_ms`."""
    within = interactions.where(interactions.timestamps < until_ms)
    return _queries(within, within.timestamps >= moment_ms, "time")


def folds_in_time(interactions: Interactions, starts: Sequence[float]) -> Iterator[Split]:
    """Validation folds that begin at these quantiles of all interactions; each tests on the next `LENGTH` of them."""
    for start in starts:
        end = min(start + LENGTH, 1.0)
        moments = np.quantile(_dividing_times(interactions), (start, end), method="higher").tolist()
        yield split_at(interactions, int(moments[0]), int(moments[1]) + (end == 1.0))


def folds_by_user(interactions: Interactions, parts: Sequence[float]) -> Iterator[Split]:
    """Validation folds of these shares of each user's interactions; each tests on the last fifth of them."""
    for part in parts:
        yield split(interactions.where(~_last_of_each_user(interactions, part)), protocol="user")


def sampled(whole: Split, most: int) -> Split:
    """A split with at most so many of its users, by a fixed seed."""
    if len(whole.users) <= most:
        return whole
    rows = np.sort(np.random.default_rng(0).choice(len(whole.users), most, replace=False))
    return replace(whole, users=whole.users[rows], relevant=whole.relevant[rows])


def _after_moment(interactions: Interactions, share: float) -> Array:
    order = np.sort(_dividing_times(interactions))
    if len(order) == 0:
        return np.zeros(0, dtype=bool)
    moment = order[min(int(share * len(order)), len(order) - 1)]
    # If the first moment of activity has more than `share` of all interactions, the test part begins after it.
    return np.asarray(interactions.timestamps >= max(moment, interactions.timeline.since + 1))


def _dividing_times(interactions: Interactions) -> Array:
    """The times whose quantiles divide the data: of each user the newest `LONGEST_HISTORY`, so that none dominates."""
    newest = newest_of_each_user(interactions.users, interactions.timestamps)
    return np.asarray(interactions.timestamps[newest])


def _last_of_each_user(interactions: Interactions, share: float) -> Array:
    """bool (n,): each user's newest interactions behind the first `share` of them."""
    return _from_rank(
        interactions, np.ceil(share * np.bincount(interactions.users, minlength=len(interactions.user_ids)))
    )


def _from_rank(interactions: Interactions, ranks: Array) -> Array:
    """bool (n,): each user's interactions from this rank on, oldest first; equally old ones in a fixed shuffle."""
    mixed = (interactions.pairs.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(31)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    order = np.lexsort((mixed, interactions.timestamps, interactions.users))
    counts = np.bincount(interactions.users, minlength=len(interactions.user_ids))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.asarray(rank >= ranks[interactions.users])


def _queries(interactions: Interactions, test: Array, protocol: Protocol) -> Split:
    """The split, with its cold-start users if there are any."""
    train, later = interactions.where(~test), interactions.where(test)
    liked = later.where(later.positive)
    known = np.zeros(len(interactions.user_ids), dtype=bool)
    known[train.users[train.positive]] = True
    new = ~np.isin(liked.pairs, train.pairs)
    split, cold_start = (
        Split(train, *_relevant(liked.where(new & mask[liked.users])), protocol) for mask in (known, ~known)
    )
    return replace(split, cold_start=cold_start) if len(cold_start.users) else split


def _relevant(liked: Interactions) -> tuple[Array, CSR]:
    """The users with a positive interaction, and their items: one row per user."""
    users, rows = np.unique(liked.users, return_inverse=True)
    relevant = sparse.csr_matrix(
        (np.ones(len(rows), dtype=bool), (rows, liked.items)), shape=(len(users), len(liked.item_ids))
    )
    relevant.sum_duplicates()
    return users.astype(np.int32), relevant.astype(bool)
