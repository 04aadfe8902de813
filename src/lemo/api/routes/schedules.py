"""When the jobs run: look, change, run now, and who changed what."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, status
from pydantic import BaseModel, ConfigDict

from lemo.api.dependencies import Api, Operator, RawBody, TenantId, model_of
from lemo.api.problems import DOCUMENTED, MEDIA_TYPE, Problem
from lemo.api.routes.runs import RunList
from lemo.scheduling.overview import ScheduleRow, schedule_overview
from lemo.scheduling.service import MOST_LINES, ScheduleService, run_now
from lemo.stores.documents.schedules import Schedule, ScheduleChange, Setting

_RESPONSES: dict[int | str, dict[str, Any]] = {
    **DOCUMENTED,
    403: {"model": Problem, "description": "The key may not change this.", "content": {MEDIA_TYPE: {}}},
    404: {"model": Problem, "description": "No such entry or scenario.", "content": {MEDIA_TYPE: {}}},
}

router = APIRouter(prefix="/v1/schedules", tags=["schedules and runs"], responses=_RESPONSES)


class ScheduleEdit(Setting):
    """A change of a schedule; what is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"scenario": "shop", "cron": "30 2 * * *", "timezone": "Asia/Shanghai"}},
    )

    scenario: str = ""
    """For this scenario alone. Without it for all scenarios of all tenants, which only the tenant `default` may do."""


class RunOrder(BaseModel):
    """Which scenarios to run an entry for."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"scenario": "shop"}})

    scenario: str = ""
    """All of the tenant's without it."""


class Timetable(BaseModel):
    """The schedule with what happened last and what comes next."""

    schedules: list[ScheduleRow]


class Changed(BaseModel):
    """What holds after a change."""

    schedule: Schedule
    changed: bool
    """False where it held before."""
    note: str = ""
    """What is still to be known, as that Redis is away and beat takes it up later."""


class Change(BaseModel):
    """A line of the audit log."""

    entry: str
    scenario_id: str
    changed_at: str
    changed_by: str
    action: str
    before: Schedule
    after: Schedule


class History(BaseModel):
    """Changes of schedules, newest first."""

    changes: list[Change]


def _service(services: Api, tenant_id: TenantId, operator: Operator) -> ScheduleService:
    """The schedule service in the name of the key."""
    return ScheduleService(services.stores, tenant_id, operator)


Service = Annotated[ScheduleService, Depends(_service)]
Entry = Annotated[str, Path(description="Name of the entry.", examples=["train-model-daily"])]
Scenario = Annotated[str, Query(description="Name of a scenario.", examples=["shop"])]


@router.get("")
def list_schedules(services: Api, tenant_id: TenantId, scenario: Scenario = "") -> Timetable:
    """Each entry, and each scenario of the tenant with times of its own; with `scenario`, what holds for that one.

    The last run is one of this tenant that really started; the next one is what beat holds, null while paused.
    """
    return Timetable(schedules=schedule_overview(services.stores, tenant_id, scenario))


@router.get("/history")
def history(
    service: Service,
    entry: Annotated[str, Query(description="Only this entry.")] = "",
    scenario: Scenario = "",
    limit: Annotated[int, Query(ge=1, le=MOST_LINES, description="How many, newest first.")] = 100,
) -> History:
    """Who changed what, when, and what held before and after: default rows and the tenant's own."""
    return History(changes=[_line(change) for change in service.history(entry, scenario, limit)])


def _line(change: ScheduleChange) -> Change:
    return Change.model_validate(change.model_dump(mode="json", include=set(Change.model_fields)))


@router.patch(
    "/{entry}",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": ScheduleEdit.model_json_schema()}},
        }
    },
)
def change_schedule(service: Service, entry: Entry, body: RawBody) -> Changed:
    """Changes crontab or time zone, pauses (`"paused": true`), resumes, or forgets all changes (`"reset": true`).

    It takes effect at once, and holds whatever is restarted. Without `scenario` it is for all tenants, which needs a
    key of the tenant `default`.
    """
    wanted = model_of(body, ScheduleEdit)
    result = service.change(entry, wanted.scenario, Setting(**wanted.model_dump(exclude={"scenario"})))
    return Changed(schedule=result.schedule, changed=result.change is not None, note=result.note)


@router.post(
    "/{entry}/run",
    status_code=status.HTTP_202_ACCEPTED,
    openapi_extra={
        "requestBody": {"content": {"application/json": {"schema": RunOrder.model_json_schema()}}},
    },
)
def run_entry(services: Api, tenant_id: TenantId, operator: Operator, entry: Entry, body: RawBody) -> RunList:
    """Starts an entry now, paused or not, for one scenario or all of the tenant's; its times stay as they are."""
    wanted = model_of(body or b"{}", RunOrder)
    return RunList.of(run_now(services.stores, tenant_id, entry, wanted.scenario, operator))
