"""Statistics of a scenario: what was answered and what followed."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from lemo.analytics.metrics import definitions
from lemo.analytics.report import Group, Report, report
from lemo.api.dependencies import Api, Here
from lemo.api.problems import DOCUMENTED
from lemo.domain.time import Timestamp
from lemo.stores.clickhouse.traffic import Time
from lemo.stores.clickhouse.traffic_metrics import ATTRIBUTED, DIRECT

router = APIRouter(prefix="/v1/scenarios/{scenario}", tags=["scenarios"], responses=DOCUMENTED)

_TOLD = ("requests", "ctr", "events")
_REPORT = {
    "from": "2026-11-21T00:00:00+08:00",
    "to": "2026-11-28T00:00:00+08:00",
    "compared_from": "2026-11-13T16:00:00Z",
    "timezone": "Asia/Shanghai",
    "by": "day",
    "group": "placement",
    "goal": ["purchase", "order"],
    "attribution_hours": 24,
    "totals": {
        "requests": 8000,
        "users": 3100,
        "impressions": 52000,
        "clicks": 2600,
        "ctr": 0.05,
        "conversions": 130,
        "conversion_rate": 0.05,
        "value": 2480.5,
    },
    "change": {"requests": 0.25, "impressions": 0.3, "clicks": 0.17, "ctr": -0.1},
    "series": [
        {"key": "2026-11-21T00:00:00+08:00", "values": {"requests": 1100, "clicks": 350}, "change": None},
        {
            "key": "2026-11-22T00:00:00+08:00",
            "values": {"requests": 1210, "clicks": 364},
            "change": {"requests": 0.1, "clicks": 0.04},
        },
    ],
    "groups": [
        {
            "key": "home",
            "values": {"requests": 5000, "impressions": 40000, "clicks": 2200, "ctr": 0.055},
            "change": {"requests": 0.25, "impressions": 0.32, "clicks": 0.21, "ctr": -0.08},
        }
    ],
    "direct": {
        "totals": {"events": 91000, "users": 9300, "clicks": 6100},
        "change": {"events": 0.22, "users": 0.1, "clicks": 0.2},
        "series": [
            {"key": "2026-11-21T00:00:00+08:00", "values": {"events": 13000, "clicks": 870}, "change": None},
        ],
        "groups": [],
    },
    "definitions": {
        "attributed": {name: means for name, means in definitions(ATTRIBUTED).items() if name in _TOLD},
        "direct": {name: means for name, means in definitions(DIRECT).items() if name in _TOLD},
    },
}
_EXAMPLE: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {"example": _REPORT}}}}


@router.get("/analytics", responses=_EXAMPLE)
def analytics(
    services: Api,
    here: Here,
    since: Annotated[
        Timestamp | None,
        Query(alias="from", description="Begin; by default the start of the day a week before the end."),
    ] = None,
    until: Annotated[Timestamp | None, Query(alias="to", description="End, itself outside; by default now.")] = None,
    by: Annotated[Time, Query(description="What each entry of `series` is.")] = "day",
    group: Annotated[Group | None, Query(description="What to group by; without it, `groups` is empty.")] = None,
    timezone: Annotated[
        str | None,
        Query(
            max_length=100,
            description="Zone of hours and days, in place of the scenario's; answers then take longer.",
            examples=["Asia/Shanghai"],
        ),
    ] = None,
) -> Report:
    """Requests, users, impressions, clicks, conversions, value, coverage, novelty, faults and latency, with changes.

    The numbers at the top are of answers and of the events that followed from them; those in `direct` are of all
    events. Each counts once, whatever was sent again. `definitions` says what each number means.
    """
    return report(services.stores, here.scope, since, until, by, group, timezone)
