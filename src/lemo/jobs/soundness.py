"""The last check before a model is put in service: fitted on all events, it must behave as it did when measured.

Metrics are measured on a model that is fitted on the training data. The model in service is fitted on all events. A
fault of the newest events alone shows in no metric, but in this check.
"""

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from lemo.recommenders.evaluation.splits import Split, sampled
from lemo.recommenders.hybrid.hybrid import HybridRecommender

Array = np.ndarray[Any, Any]

MOST_USERS = 500
PLACES = 10
MIN_RATIO = 0.5
"""A value below this share of the measured value is a fault."""


class Soundness(BaseModel):
    """Statistics of the answers of the measured model and of the model to be served, for the same users."""

    model_config = ConfigDict(extra="forbid")

    measured_personal_share: float
    """Share of the first 10 positions that are personal."""
    personal_share: float
    measured_items: int
    """Distinct items in the first 10 positions of all users."""
    items: int
    users: int

    @property
    def fault(self) -> str:
        """The fault of the model to be served; empty without one."""
        if self.personal_share < MIN_RATIO * self.measured_personal_share:
            return (
                f"only {self.personal_share:.0%} of its answers are personal, where {self.measured_personal_share:.0%}"
                " were when it was measured"
            )
        if self.items < MIN_RATIO * self.measured_items:
            return f"it answers only {self.items:,} different items, where it was {self.measured_items:,} when measured"
        return ""


def soundness(measured: HybridRecommender, fitted: HybridRecommender, parts: Split) -> Soundness | None:
    """Compares both models on the test users and their training histories; None without test users."""
    users = sampled(parts, MOST_USERS).users
    if not len(users):
        return None
    queries = parts.train.query_matrix(fitted.query_half_life_ms)[users]
    seen = parts.train.seen_csr()[users]
    counts = [len(np.setdiff1d(model.rank(queries, seen, PLACES)[0], [-1])) for model in (measured, fitted)]
    return Soundness(
        measured_personal_share=measured.personal_share(queries, seen, PLACES),
        personal_share=fitted.personal_share(queries, seen, PLACES),
        measured_items=counts[0],
        items=counts[1],
        users=len(users),
    )
