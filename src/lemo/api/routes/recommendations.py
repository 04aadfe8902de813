"""Recommendations, similar, popular and latest items out. Ids are in the query, so they may hold anything."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BeforeValidator

from lemo.api.dependencies import Api, Count, Here
from lemo.api.problems import DOCUMENTED
from lemo.domain.errors import EngineUnavailable, NotFound
from lemo.domain.ids import canonical_id
from lemo.domain.reasons import shortened
from lemo.domain.recommendation import Answer
from lemo.domain.scope import Scope
from lemo.stores.connect import Stores

router = APIRouter(prefix="/v1/scenarios/{scenario}", tags=["recommendations"], responses=DOCUMENTED)

IdQuery = Query(min_length=1, max_length=256)
Canonical = BeforeValidator(canonical_id)
"""Brings an id in a query to its one form."""
Placement = Annotated[
    str | None,
    Query(min_length=1, max_length=100, description="The place on a page that asks, for analytics.", examples=["home"]),
]
"""Read by the log of what was served."""
Visit = Annotated[
    str | None,
    Query(min_length=1, max_length=256, description="The visit, for experiments that give an arm to sessions."),
]
Asker = Annotated[
    Annotated[str, Canonical] | None,
    Query(
        min_length=1,
        max_length=256,
        description="Who asks, for experiments on these answers; they are the same for all otherwise.",
        examples=["user 7"],
    ),
]
_ANSWER = {
    "request_id": "8f14e45fceea467a9538e4f6a1b2c3d4",
    "model_version": "20260502T030000Z",
    "degraded": False,
    "items": [
        {"item_id": "video/42", "score": 3.71, "reason": 'because of "video/7"'},
        {"item_id": "video/9", "score": 2.05, "reason": "popular now"},
    ],
}
_EXAMPLE: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {"example": _ANSWER}}}}


@router.get("/recommendations", responses=_EXAMPLE)
def recommendations(
    services: Api,
    here: Here,
    user_id: Annotated[str, IdQuery, Query(description="The user.", examples=["user 7"]), Canonical],
    n: Count = 10,
    exclude: Annotated[
        list[str], Query(max_length=1000, description="Items not to answer, such as those on the page.")
    ] = [],  # noqa: B006 - FastAPI copies it
    placement: Placement = None,  # noqa: ARG001
    session_id: Visit = None,
) -> Answer:
    """The best items for a user, best first, each with its reason. A click of a second ago counts already.

    Where an experiment has an arm for the user, the arm answers, and `experiment` and `arm` name it. A user of whom
    nothing is known gets popular items and some new ones. `degraded` is true while there is no model yet, or the user's
    history is unavailable: then the answer is the best without it.
    """
    types = here.scenario.attribute_types
    return services.served.recommend(here.scope, user_id, n, frozenset(exclude), types, session_id)


@router.get("/similar", responses=_EXAMPLE)
def similar(
    services: Api,
    here: Here,
    item_id: Annotated[str, IdQuery, Query(description="The item.", examples=["video/42"]), Canonical],
    n: Count = 10,
    placement: Placement = None,  # noqa: ARG001
    user_id: Asker = None,
    session_id: Visit = None,
) -> Answer:
    """The items most similar to an item; popular ones, `degraded`, for an item that nothing is similar to yet.

    404 for an item that neither the catalogue nor the events that models were made of know.
    """
    types = here.scenario.attribute_types
    answer = services.served.similar(here.scope, item_id, n, types, user_id, session_id)
    if answer.degraded and not services.served.knows(here.scope, item_id):
        check_any_exists(services.stores, here.scope, [item_id])
    return answer


def check_any_exists(stores: Stores, scope: Scope, item_ids: Sequence[str]) -> None:
    """Raises NotFound where the catalogue has none of the items; where it is away, they count as known."""
    try:
        found = stores.items.get_many(scope, item_ids)
    except EngineUnavailable:
        return
    if not found:
        raise NotFound(
            f"There is no item {' or '.join(map(shortened, item_ids[:3]))}.",
            "Check the id. An item is known once it was sent to .../items, or a training has read events of it.",
        )


@router.get("/popular", responses=_EXAMPLE)
def popular(
    services: Api,
    here: Here,
    n: Count = 10,
    placement: Placement = None,  # noqa: ARG001
    user_id: Asker = None,
    session_id: Visit = None,
) -> Answer:
    """The most popular items: those with the largest sum of the weights of their interactions, older ones decayed."""
    return services.served.popular(here.scope, n, here.scenario.attribute_types, user_id, session_id)


@router.get("/latest", responses=_EXAMPLE)
def latest(
    services: Api,
    here: Here,
    n: Count = 10,
    placement: Placement = None,  # noqa: ARG001
) -> Answer:
    """The newest items, by publication, else arrival."""
    return services.served.latest(here.scope, n, here.scenario.attribute_types)
