"""Items and events in."""

from typing import Any

from fastapi import APIRouter

from lemo.api.dependencies import Api, Here, IngestTurn, RawBody, list_of
from lemo.api.problems import DOCUMENTED, MEDIA_TYPE, Problem
from lemo.api.schemas import EVENT_EXAMPLE, ITEM_EXAMPLE, list_body
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.intake.publishing import Accepted

_RESPONSES: dict[int | str, dict[str, Any]] = {
    **DOCUMENTED,
    400: {"model": Problem, "description": "The body is no JSON.", "content": {MEDIA_TYPE: {}}},
    413: {"model": Problem, "description": "More than one request may carry.", "content": {MEDIA_TYPE: {}}},
}

router = APIRouter(prefix="/v1/scenarios/{scenario}", tags=["items and events"], responses=_RESPONSES)


@router.post(
    "/items",
    response_model_exclude_defaults=True,
    openapi_extra=list_body(
        "items", Item, ITEM_EXAMPLE, "Up to 10,000 items. Fields that are not listed become attributes."
    ),
)
def post_items(services: Api, here: Here, body: RawBody, turn: IngestTurn) -> Accepted:  # noqa: ARG001
    """Writes or replaces items, by `item_id`. Each is checked by itself; a bad one does not stop the others.

    When this answers, the accepted items are durably in the ingest log, and will be seen within seconds.
    """
    return services.ingest.items(here.scope, here.scenario, list_of(body, "items"))


@router.post(
    "/events",
    response_model_exclude_defaults=True,
    openapi_extra=list_body(
        "events", Event, EVENT_EXAMPLE, "Up to 10,000 events. Fields that are not listed become attributes."
    ),
)
def post_events(services: Api, here: Here, body: RawBody, turn: IngestTurn) -> Accepted:  # noqa: ARG001
    """Takes what users did with items. Each event is checked by itself; a bad one does not stop the others.

    An event counts once however often it is sent: by its `event_id`, else by what it says. One that bears the
    `event_id` of another event of the request is rejected. Send the `request_id` and `position` of the recommendation
    that showed the item, so that the click can be credited to it.
    """
    events = list_of(body, "events")
    services.limits.take("events", here.scope.tenant_id, len(events))
    return services.ingest.events(here.scope, here.scenario, events)
