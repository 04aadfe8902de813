"""Users whose histories are like one user's: recall by common items, then the cosine of weighted histories."""

from typing import Any

import numpy as np
from scipy import sparse

from lemo.domain.errors import NotFound
from lemo.domain.reasons import shortened
from lemo.domain.scope import Scope
from lemo.domain.similar_users import SimilarUser, SimilarUsers
from lemo.recommenders.hybrid.hybrid import HybridRecommender
from lemo.serving.state import ServingState
from lemo.stores.connect import Stores

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

MOST_USERS = 5_000
"""Users that are compared."""
MOST_ITEMS = 200
"""Items of the user, those that count most, by which the others are found."""
REASONS = 3


def similar_users(stores: Stores, state: ServingState, scope: Scope, user_id: str, n: int) -> SimilarUsers:
    """The n users whose positive interactions, by weight and age, are most like the user's.

    Raises NotFound for a user whose history says nothing to the model, or before the first model; EngineUnavailable.
    """
    model = state.mapped.model
    if model is None:
        raise NotFound(f"{scope.scenario_id} has no model yet.", "Train one: `lemo jobs run train-model-daily`.")
    mine = _weights(stores, model, scope, [user_id])
    if not mine.nnz:
        raise NotFound(
            f"The user {shortened(user_id)} has liked nothing that the model knows.",
            "Check the id, or wait for the next training: `lemo users show` tells the history.",
        )
    strongest = mine.indices[np.argsort(-mine.data, kind="stable")][:MOST_ITEMS]
    common = [model.item_ids[item] for item in strongest.tolist()]
    users = [each for each in stores.events.users_of_items(scope, common, MOST_USERS + 1) if each != user_id]
    users = users[:MOST_USERS]
    theirs = _weights(stores, model, scope, users)
    rarity = _rarity(sparse.vstack([mine, theirs], format="csr"))
    mine, theirs = _unit(mine.multiply(rarity)), _unit(theirs.multiply(rarity))
    scores = (theirs @ mine.T).toarray().ravel()
    best = [row for row in np.lexsort((np.arange(len(users)), -scores))[:n].tolist() if scores[row] > 0]
    return SimilarUsers(
        looked_at=len(users),
        users=[
            SimilarUser(
                user_id=users[row], score=min(float(scores[row]), 1.0), because=_common(model, mine, theirs[row])
            )
            for row in best
        ],
    )


def _weights(stores: Stores, model: HybridRecommender, scope: Scope, users: list[str]) -> CSR:
    """Users x items (float64): what speaks for each item in the users' histories."""
    queries, _ = model.encode(stores.history.read_many(scope, users))
    positive = CSR(queries.maximum(0))
    positive.eliminate_zeros()
    return positive


def _rarity(weights: CSR) -> Array:
    """float64 (1, items): the logarithm of how few of the users have an item (inverse document frequency)."""
    having = np.bincount(weights.indices, minlength=weights.shape[1])
    return np.asarray(np.log1p(weights.shape[0] / np.maximum(having, 1)))[None, :]


def _unit(weights: Any) -> CSR:
    """The rows, each of length 1."""
    rows = CSR(weights)
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    return CSR(sparse.diags(1 / np.maximum(lengths, np.finfo(np.float64).tiny)) @ rows)


def _common(model: HybridRecommender, mine: CSR, theirs: CSR) -> list[str]:
    """The items that add most to the cosine."""
    both = CSR(mine.multiply(theirs))
    order = np.argsort(-both.data, kind="stable")[:REASONS]
    return [model.item_ids[item] for item in both.indices[order].tolist()]
