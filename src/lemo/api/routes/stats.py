"""Counts of a scenario's events."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from lemo.api.dependencies import Api, Here
from lemo.api.problems import DOCUMENTED
from lemo.domain.time import Timestamp, milliseconds
from lemo.stores.clickhouse.aggregates import Period

router = APIRouter(prefix="/v1/scenarios/{scenario}", tags=["scenarios"], responses=DOCUMENTED)


class ShownPeriod(BaseModel):
    """One hour or day (UTC): its events, and how many different users and items they are of."""

    start: datetime
    events: int
    users: int
    items: int
    actions: dict[str, int]
    """Events by action."""


class PeriodList(BaseModel):
    """Hours or days with events, newest first."""

    by: Period
    periods: list[ShownPeriod]
    unknown_items: int
    """Ids of events that the catalogue does not hold, as of the last training or similarity run: in no answer."""


@router.get("/stats")
def event_stats(
    services: Api,
    here: Here,
    by: Annotated[Period, Query(description="Hours or days, in UTC.")] = "day",
    since: Annotated[Timestamp | None, Query(description="Only those that begin at or after this moment.")] = None,
    until: Annotated[Timestamp | None, Query(description="Only those that begin before this moment.")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="How many, newest first.")] = 100,
) -> PeriodList:
    """How many events, users and items each hour or day had. Each event counts once, at any moment."""
    limits = {
        name: milliseconds(moment) for name, moment in (("since_ms", since), ("until_ms", until)) if moment is not None
    }
    found = services.stores.aggregates.counts(here.scope, by, limit, **limits)
    periods = [ShownPeriod.model_validate(period, from_attributes=True) for period in found]
    return PeriodList(by=by, periods=periods, unknown_items=services.stores.availability.unknown(here.scope))
