"""The users who most likely want an item: recall by the events of similar items, then the model's own scores."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lemo.domain.audience import Audience, AudienceMember, AudienceRequest
from lemo.domain.errors import NotFound
from lemo.domain.interaction import filtered_items
from lemo.domain.reasons import shortened
from lemo.domain.scope import Scope
from lemo.recommenders.hybrid.hybrid import HybridRecommender
from lemo.recommenders.similar_items import SimilarItems
from lemo.serving.catalogue.cache import AttributeTypes
from lemo.serving.choices import Choices
from lemo.serving.state import ServingState
from lemo.serving.user_state import read_users
from lemo.stores.connect import Stores

Array = np.ndarray[Any, Any]

MOST_ITEMS = 200
"""Items of a filter that count, the most popular ones."""
NEIGHBOURS = 50
"""Similar items of each item whose users are looked at."""
MOST_USERS = 5_000
"""Users that the model compares."""
_BATCH = 250


def audience(
    stores: Stores, choices: Choices, state: ServingState, scope: Scope, request: AudienceRequest, types: AttributeTypes
) -> Audience:
    """The n users who most likely want the items of a request, each with the item that it wants most.

    Raises NotFound for items that the model does not know or before the first model, InvalidInput for the filter, and
    EngineUnavailable.
    """
    model = state.mapped.model
    if model is None:
        raise NotFound(f"{scope.scenario_id} has no model yet.", "Train one: `lemo jobs run train-model-daily`.")
    targets = _targets(choices, model, scope, request, types)
    related = _related(state.mapped.similar, model, targets)
    users = stores.events.users_of_items(scope, related, MOST_USERS)
    found: list[tuple[float, str, int]] = []
    for start in range(0, len(users), _BATCH):
        batch = users[start : start + _BATCH]
        states = read_users(stores.redis, stores.history, stores.precomputed, stores.seen, scope, batch)
        histories = [user.history or () for user in states]
        seen = [() if request.seen else user.seen | filtered_items(user.history or (), state.rules) for user in states]
        queries, _ = model.encode(histories)
        known = model.encode([()] * len(batch), seen)[1]
        scores = model.scores_of(queries, known, targets)
        best = scores.argmax(axis=1)
        for user, place in enumerate(best.tolist()):
            if np.isfinite(scores[user, place]) and histories[user]:
                found.append((float(scores[user, place]), batch[user], int(targets[place])))
    found.sort(key=lambda each: (-each[0], each[1]))
    members = found[: request.n]
    return Audience(
        model_version=state.mapped.model_version,
        looked_at=len(users),
        users=[
            AudienceMember(user_id=user, item_id=model.item_ids[item], score=score, because=because)
            for (score, user, item), because in zip(members, _because(stores, model, scope, members), strict=True)
        ],
    )


def _targets(
    choices: Choices, model: HybridRecommender, scope: Scope, request: AudienceRequest, types: AttributeTypes
) -> Array:
    """int32: the items in the model that are meant."""
    if request.filter is None:
        rows = model.rows(request.item_ids)
        if not len(rows):
            names = " or ".join(map(shortened, request.item_ids[:3]))
            raise NotFound(
                f"The model does not know {names}.", "Items are known once a training has read events of them."
            )
        return rows
    matching = choices.matching(scope, request.filter, request.variables, types)
    shown = [
        each.item_id for each in model.popular(MOST_ITEMS, [model.item_ids[row] for row in matching.others(model)])
    ]
    return model.rows(shown)


def _related(similar: SimilarItems | None, model: HybridRecommender, targets: Array) -> Sequence[str]:
    """The targets and the items that are similar to them."""
    ids = [model.item_ids[row] for row in targets.tolist()]
    near = [each.item_id for item_id in ids for each in similar.of(item_id, NEIGHBOURS)] if similar else []
    return list(dict.fromkeys([*ids, *near]))


def _because(
    stores: Stores, model: HybridRecommender, scope: Scope, members: Sequence[tuple[float, str, int]]
) -> list[list[str]]:
    """Of each member the item of the history that speaks most for its item."""
    if not members:
        return []
    histories = stores.history.read_many(scope, [user for _, user, _ in members])
    queries, _ = model.encode(histories)
    return [
        [item_id] if item_id is not None else []
        for item_id in model.because(queries, np.array([item for *_, item in members]))
    ]
