"""Splits: what a model may know, and what it is then asked."""

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
"""Part of all acts that a window asks about: as the test part is to the training part. What was best for windows half
as long, half-lives above all, did not last as long as the test."""


@dataclass(frozen=True, eq=False)
class Split:
    """A training part and the questions of the test part."""

    train: Interactions
    users: Array
    """int32 (q,), rising: the users who are asked about."""
    relevant: CSR
    """q x items (bool): the new items that each of them liked afterwards."""
    protocol: Protocol
    """`time`: one moment for all; `user`: each user's last part."""
    cold_start: "Split | None" = None
    """The same for the users who liked nothing in the training part; None where there are none."""


def split(interactions: Interactions, share: float = 0.8, protocol: Protocol | None = None) -> Split:
    """The first `share` of all acts train, the rest asks; by default by user only where all timestamps are equal.

    Asked are users with a positive act in the training part. Relevant is what they like in the test part and
    have not touched in the training part. Both parts keep the codes.
    """
    protocol = protocol or ("time" if interactions.span > 0 else "user")
    test = (_after_moment if protocol == "time" else _last_of_each_user)(interactions, share)
    return _questions(interactions, test, protocol)


def split_at(interactions: Interactions, moment_ms: int, until_ms: int) -> Split:
    """Trains before the moment, asks about the acts from it up to (not including) `until_ms`."""
    within = interactions.where(interactions.timestamps < until_ms)
    return _questions(within, within.timestamps >= moment_ms, "time")


def folds_in_time(interactions: Interactions, starts: Sequence[float]) -> Iterator[Split]:
    """What could have been asked at these quantiles of all acts, each about the next `LENGTH` of them."""
    for start in starts:
        end = min(start + LENGTH, 1.0)
        moments = np.quantile(_telling(interactions), (start, end), method="higher").tolist()
        yield split_at(interactions, int(moments[0]), int(moments[1]) + (end == 1.0))


def folds_by_user(interactions: Interactions, parts: Sequence[float]) -> Iterator[Split]:
    """What could have been asked when users had done these parts of their acts, about the last fifth of each."""
    for part in parts:
        yield split(interactions.where(~_last_of_each_user(interactions, part)), protocol="user")


def sampled(translate_errors: Split, most: int) -> Split:
    """The same with at most so many users, always the same ones."""
    if len(translate_errors.users) <= most:
        return translate_errors
    rows = np.sort(np.random.default_rng(0).choice(len(translate_errors.users), most, replace=False))
    return replace(translate_errors, users=translate_errors.users[rows], relevant=translate_errors.relevant[rows])


def _after_moment(interactions: Interactions, share: float) -> Array:
    order = np.sort(_telling(interactions))
    if len(order) == 0:
        return np.zeros(0, dtype=bool)
    moment = order[min(int(share * len(order)), len(order) - 1)]
    # Where the first moment of activity holds more than `share` of all acts, the test part is what comes after it.
    return np.asarray(interactions.timestamps >= max(moment, interactions.timeline.since + 1))


def _telling(interactions: Interactions) -> Array:
    """The moments by which time is divided: of one user's acts the newest `LONGEST_HISTORY`: no user decides."""
    newest = newest_of_each_user(interactions.users, interactions.timestamps)
    return np.asarray(interactions.timestamps[newest])


def _last_of_each_user(interactions: Interactions, share: float) -> Array:
    """Each user's newest acts; where all are equally new, a fixed shuffle that no order of rows or ids can bias."""
    mixed = (interactions.pairs.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(31)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    order = np.lexsort((mixed, interactions.timestamps, interactions.users))
    counts = np.bincount(interactions.users, minlength=len(interactions.user_ids))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.asarray(rank >= np.ceil(share * counts)[interactions.users])


def _questions(interactions: Interactions, test: Array, protocol: Protocol) -> Split:
    """The split, with its newcomers where there are any."""
    train, later = interactions.where(~test), interactions.where(test)
    liked = later.where(later.positive)
    known = np.zeros(len(interactions.user_ids), dtype=bool)
    known[train.users[train.positive]] = True
    new = ~np.isin(liked.pairs, train.pairs)
    asked, cold_start = (
        Split(train, *_relevant(liked.where(new & mask[liked.users])), protocol) for mask in (known, ~known)
    )
    return replace(asked, cold_start=cold_start) if len(cold_start.users) else asked


def _relevant(liked: Interactions) -> tuple[Array, CSR]:
    """Who likes something, and what: one row for each of these users."""
    users, rows = np.unique(liked.users, return_inverse=True)
    relevant = sparse.csr_matrix(
        (np.ones(len(rows), dtype=bool), (rows, liked.items)), shape=(len(users), len(liked.item_ids))
    )
    relevant.sum_duplicates()
    return users.astype(np.int32), relevant.astype(bool)
