"""Statistics of a scenario: what was answered and what followed."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from lemo.analytics.metrics import ATTRIBUTED, DIRECT, definitions
from lemo.analytics.report import Report, report
from lemo.api.dependencies import Api, Here
from lemo.api.problems import DOCUMENTED
from lemo.domain.time import Timestamp
from lemo.stores.clickhouse.traffic import Grouping

router = APIRouter(prefix="/v1/scenarios/{scenario}", tags=["scenarios"], responses=DOCUMENTED)

_REPORT = {
    "since": "2026-11-21T00:00:00+08:00",
    "until": "2026-11-28T00:00:00+08:00",
    "compared_since": "2026-11-13T16:00:00Z",
    "timezone": "Asia/Shanghai",
    "by": "placement",
    "goal": ["purchase", "order"],
    "attributed": {
        "totals": {
            "group": None,
            "values": {"requests": 8000, "impressions": 52000, "clicks": 2600, "ctr": 0.05},
            "change": {"requests": 0.25, "impressions": 0.3, "clicks": 0.17, "ctr": -0.1},
        },
        "groups": [
            {
                "group": "home",
                "values": {"requests": 5000, "impressions": 40000, "clicks": 2200, "ctr": 0.055},
                "change": {"requests": 0.25, "impressions": 0.32, "clicks": 0.21, "ctr": -0.08},
            }
        ],
        "definitions": {name: means for name, means in definitions(ATTRIBUTED).items() if name in ("requests", "ctr")},
    },
    "direct": {
        "totals": {
            "group": None,
            "values": {"events": 91000, "clicks": 6100},
            "change": {"events": 0.22, "clicks": 0.2},
        },
        "groups": [],
        "definitions": {name: means for name, means in definitions(DIRECT).items() if name in ("events", "clicks")},
    },
}
_EXAMPLE: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {"example": _REPORT}}}}


@router.get("/analytics", responses=_EXAMPLE)
def analytics(
    services: Api,
    here: Here,
    by: Annotated[Grouping | None, Query(description="What to group by; without it, totals alone.")] = None,
    since: Annotated[
        Timestamp | None, Query(description="Begin; by default the start of the day a week before the end.")
    ] = None,
    until: Annotated[Timestamp | None, Query(description="End, itself outside; by default now.")] = None,
    timezone: Annotated[
        str, Query(max_length=100, description="Zone of hours and days.", examples=["Asia/Shanghai"])
    ] = "UTC",
) -> Report:
    """Requests, users, impressions, clicks, conversions, value, coverage, faults and latency, each with its change.

    `attributed` are numbers of answers and of the events that carry their request ids; `direct` are numbers of all
    events. Each counts once, whatever was sent again. `definitions` says what each number means.
    """
    return report(services.stores, here.scope, since, until, by, timezone)
