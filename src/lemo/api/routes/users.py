"""What is known of a user. The id is in the query, so it may hold anything."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from lemo.api.dependencies import Api, Here
from lemo.api.problems import DOCUMENTED
from lemo.api.routes.recommendations import Canonical, IdQuery
from lemo.domain.similar_users import SimilarUsers
from lemo.serving.users import UserOverview, user_overview

router = APIRouter(prefix="/v1/scenarios/{scenario}", tags=["users"], responses=DOCUMENTED)

_OVERVIEW = {
    "user_id": "user 7",
    "history": [{"item_id": "video/42", "action": "like", "value": None, "timestamp": "2026-05-02T19:30:00Z"}],
    "seen_items": 18,
    "profile": {
        "user_id": "user 7",
        "categories": [{"label": "food", "weight": 0.71}, {"label": "travel", "weight": 0.29}],
        "tags": [{"label": "street food", "weight": 0.55}],
        "authors": [{"label": "xiaolin", "weight": 0.4}],
        "interactions": 21,
        "actions": {"click": 14, "like": 7},
        "last_event_at": "2026-05-02T19:30:00Z",
    },
    "precomputed": {
        "model_version": "20260502T030000Z",
        "items": [{"item_id": "video/9", "score": 2.05, "reason": 'because of "video/42"'}],
    },
}
_EXAMPLE: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {"example": _OVERVIEW}}}}


@router.get("/users", responses=_EXAMPLE)
def user(
    services: Api,
    here: Here,
    user_id: Annotated[str, IdQuery, Query(description="The user.", examples=["user 7"]), Canonical],
    n: Annotated[int, Query(ge=1, le=200, description="How many interactions of the history.")] = 50,
) -> UserOverview:
    """What is known of a user: the newest interactions, tastes by weight, and the precomputed recommendations.

    Tastes are as of the last run of `update-user-profiles-2hours`. 404 for a user without events.
    """
    return user_overview(services.stores, here.scope, user_id, n)


_SIMILAR: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/json": {
                "example": {
                    "looked_at": 1_830,
                    "users": [{"user_id": "user 9", "score": 0.41, "because": ["video/42", "video/7"]}],
                }
            }
        }
    }
}


@router.get("/similar-users", responses=_SIMILAR)
def similar_users(
    services: Api,
    here: Here,
    user_id: Annotated[str, IdQuery, Query(description="The user.", examples=["user 7"]), Canonical],
    n: Annotated[int, Query(ge=1, le=200, description="How many users.")] = 10,
) -> SimilarUsers:
    """The users whose histories are most like one user's, with the items in both that weigh most.

    Up to 5,000 users are compared, those with most of the user's items. 404 for a user who has liked nothing that the
    model knows, and before the first model.
    """
    return services.served.similar_users(here.scope, user_id, n)
