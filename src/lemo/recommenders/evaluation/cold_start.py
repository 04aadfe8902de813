"""Cold start: how well new items are ordered among themselves, and what users get after their first interactions.

Both ask about the test part of a split in time, by models that were fitted on its training part.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, computed_field
from scipy import sparse

from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.evaluation.metrics import DEPTH, hits_of, ndcg
from lemo.recommenders.evaluation.significance import intervals
from lemo.recommenders.evaluation.splits import Split
from lemo.recommenders.interfaces import Recommender

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

NEW_PART = 0.1
"""Items published or first seen in this last part of the training part's time, or since, are new."""
HISTORIES = (1, 3, 5)
"""Items that a new user has liked when asking."""
MOST_USERS = 800
"""Users of each question: more change the mean little, and cost time."""
FEWEST_USERS = 20
"""Fewer users than this judge nothing."""


class Cold(BaseModel):
    """NDCG@10 in one question of cold start."""

    ndcg_at_10: float
    interval: tuple[float, float]
    """95 % confidence interval, by bootstrap over the users."""
    users: int
    items: int
    """Items that were ranked."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def judged(self) -> bool:
        """Whether there were enough users to say anything."""
        return self.users >= FEWEST_USERS


@dataclass(frozen=True, eq=False)
class Question:
    """Users with their histories, what they liked next, and the items that are ranked."""

    histories: Interactions
    users: Array
    """int32 (q,): users of `histories`."""
    relevant: CSR
    """q x items (bool)."""
    ranked: Array
    """bool (items,): only these items may be answered."""
    asked_users: Array
    """int32, rising: the users of the split, of whom `users` are some."""

    def ndcg_by_user(self, model: Recommender, train: Interactions) -> Array:
        """float64 (q,): NDCG@10 of what a model that was fitted on `train` answers each user."""
        queries = self.histories.query_matrix(model.query_half_life_ms, train.timeline)[self.users]
        unavailable = np.flatnonzero(~self.ranked).astype(np.int32)
        found, _ = model.rank(queries, self.histories.seen_csr()[self.users], DEPTH, unavailable)
        return ndcg(hits_of(found, self.relevant), np.diff(self.relevant.indptr))

    def asked(self, model: Recommender, train: Interactions) -> Cold:
        """The metrics of a model that was fitted on `train`."""
        values = self.ndcg_by_user(model, train)
        low, high = intervals(values[:, None])[0].tolist()
        return Cold(
            ndcg_at_10=float(values.mean()),
            interval=(low, high),
            users=len(self.users),
            items=int(self.ranked.sum()),
        )


def cold_start(model: Recommender, split: Split, questions: dict[str, Question]) -> dict[str, Cold]:
    """What a model that was fitted on the training part answers to each of `cold_start_questions`."""
    return {name: question.asked(model, split.train) for name, question in questions.items()}


def cold_start_questions(split: Split) -> dict[str, Question]:
    """The questions that the test part allows: `new_items`, and `new_users_1`, `_3` and `_5` by their histories.

    New items are ranked among themselves. New users are those without a positive interaction in the training part; of
    what they liked in the test part the first few items are their history, the others are relevant. Without time there
    are no questions.
    """
    if split.protocol != "time":
        return {}
    found = {"new_items": question_of_new_items(split)}
    found |= {f"new_users_{size}": _of_new_users(split, size) for size in HISTORIES}
    return {name: question for name, question in found.items() if question is not None}


def new_items(train: Interactions) -> Array:
    """bool (items,): published or first seen in the last part of the time of `train`, or never seen in it."""
    timeline = train.timeline
    since = timeline.lived_at(timeline.now) - NEW_PART * timeline.span
    first = np.full(len(train.item_ids), np.iinfo(np.int64).max)
    np.minimum.at(first, train.items, train.timestamps)
    published = train.catalogue.published_ms(train.item_ids)
    seen = first < np.iinfo(np.int64).max
    lately = np.maximum(np.where(seen, first, 0), published)
    return np.asarray(~seen | (timeline.lived(lately) >= since))


def question_of_all_items(split: Split) -> Question:
    """The users of the split, about all items."""
    everything = np.ones(len(split.train.item_ids), dtype=bool)
    return Question(split.train, split.users, split.relevant, everything, split.users)


def question_of_new_items(split: Split) -> Question | None:
    """The users of the split who liked new items, about these items alone; None without such users or without time."""
    if split.protocol != "time":
        return None
    new = new_items(split.train)
    relevant = sparse.csr_matrix(split.relevant.multiply(new[None, :])).astype(bool)
    relevant.eliminate_zeros()
    rows = _some(np.flatnonzero(np.diff(relevant.indptr)))
    return Question(split.train, split.users[rows], relevant[rows], new, split.users) if len(rows) else None


def _of_new_users(split: Split, size: int) -> Question | None:
    """The users who came in the test part and liked more than `size` items there."""
    if split.cold_start is None or split.later is None:
        return None
    later = split.later
    liked = later.where(later.positive & np.isin(later.users, split.cold_start.users))
    order = np.lexsort((liked.items, liked.timestamps, liked.users))
    order = order[np.sort(np.unique(liked.pairs[order], return_index=True)[1])]  # each item at its first time
    liked = liked.where(order)
    starts = np.searchsorted(liked.users, liked.users)
    counts = np.bincount(liked.users, minlength=len(later.user_ids))
    rank = np.arange(len(liked)) - starts
    users = _some(np.flatnonzero(counts > size)).astype(np.int32)
    if not len(users):
        return None
    asked = np.isin(liked.users, users)
    rest = liked.where(asked & (rank >= size))
    relevant = sparse.csr_matrix(
        (np.ones(len(rest), dtype=bool), (np.searchsorted(users, rest.users), rest.items)),
        shape=(len(users), len(later.item_ids)),
    )
    everything = np.ones(len(later.item_ids), dtype=bool)
    return Question(liked.where(asked & (rank < size)), users, relevant, everything, split.cold_start.users)


def _some(rows: Array) -> Array:
    """At most `MOST_USERS` of the rows, by a fixed seed, rising."""
    if len(rows) <= MOST_USERS:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, MOST_USERS, replace=False))
