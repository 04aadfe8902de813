"""The last look before a model serves: fitted on all events, it must behave as it did where it was measured.

Quality is measured with the parameters fitted on the training part; what serves is fitted on everything. Whatever is
wrong with the newest events alone would show in no metric, and first in the answers.
"""

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from lemo.recommenders.evaluation.splits import Split, sampled
from lemo.recommenders.hybrid.hybrid import HybridRecommender

Array = np.ndarray[Any, Any]

MOST_USERS = 500
PLACES = 10
LEAST = 0.5
"""Less than this part of what was measured is a collapse."""


class Soundness(BaseModel):
    """How the answers of the model that was measured and of the one that is to serve look, for the same users."""

    model_config = ConfigDict(extra="forbid")

    measured_personal_share: float
    """Part of the first 10 places in which the user's own taste decides."""
    personal_share: float
    measured_items: int
    """Different items in the first 10 places of all users asked."""
    items: int
    users: int

    @property
    def fault(self) -> str:
        """What is wrong with the model that is to serve; empty where nothing is."""
        if self.personal_share < LEAST * self.measured_personal_share:
            return (
                f"only {self.personal_share:.0%} of its answers are personal, where {self.measured_personal_share:.0%}"
                " were when it was measured"
            )
        if self.items < LEAST * self.measured_items:
            return f"it answers only {self.items:,} different items, where it was {self.measured_items:,} when measured"
        return ""


def soundness(measured: HybridRecommender, fitted: HybridRecommender, parts: Split) -> Soundness | None:
    """Asks both for the users of the test, as they were known before it; None where nobody can be asked."""
    users = sampled(parts, MOST_USERS).users
    if not len(users):
        return None
    tastes = parts.train.query_matrix(fitted.query_half_life_ms)[users]
    seen = parts.train.seen_csr()[users]
    counts = [len(np.setdiff1d(model.rank(tastes, seen, PLACES)[0], [-1])) for model in (measured, fitted)]
    return Soundness(
        measured_personal_share=measured.personal_share(tastes, seen, PLACES),
        personal_share=fitted.personal_share(tastes, seen, PLACES),
        measured_items=counts[0],
        items=counts[1],
        users=len(users),
    )
